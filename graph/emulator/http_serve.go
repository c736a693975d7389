package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// response is an answer as bytes, ready to be spoilt or sent.
type response struct {
	status int
	header http.Header
	body   []byte
}

// serve takes a request through all that can happen to it: it is noted, meets
// the fault rules, is worked on, and is answered.
func (c *call) serve(w http.ResponseWriter) {
	refusal := c.arrive()
	c.enter()

	f, wait := c.e.faults.act(c, c.e.opts.Base())
	if f != nil {
		c.fault = f.ID
	}
	var resp response
	switch {
	case wait > 0:
		resp = c.throttled(f, wait)
	case f != nil:
		if !c.before(f) {
			return
		}
		if f.answersItself() && !f.AfterWork {
			resp = c.scripted(f)
			break
		}
		c.nextLink = f.NextLink
		resp = c.work(refusal)
		if f.AfterWork && !c.delay(f) {
			return
		}
		if f.answersItself() {
			resp = c.scripted(f)
		}
	default:
		resp = c.work(refusal)
	}
	c.decorate(f, &resp)
	c.resp = &resp
	if f != nil && f.Cut == "after" {
		c.leave(0, f.Cut)
		panic(http.ErrAbortHandler)
	}
	if f != nil && f.Cut == "within" {
		c.leave(resp.status, f.Cut)
		c.sendHalf(w, resp)
		panic(http.ErrAbortHandler)
	}
	c.leave(resp.status, "")
	c.send(w, f, resp)
}

// arrive finds out what is asked for, and by whom. It returns why nothing can be done, or nil.
func (c *call) arrive() *graphError {
	c.now = c.e.clock.Now()
	lost := c.findRoute()
	refusal := c.whoAsks()
	number := c.e.requests.Add(1)
	if refusal == nil {
		c.tenant = c.e.tenant(c.caller.tenant)
		number = c.settle()
	}
	c.requestID = hashedID("request", c.caller.tenant, number)
	c.clientRequestID = c.requestID
	if id := c.r.Header.Get("client-request-id"); isGUID(id) {
		c.clientRequestID = id
	}
	if refusal == nil {
		refusal = lost
	}
	return refusal
}

// whoAsks reads the caller from the bearer token; the token authority has no caller, but the tenant of the path.
func (c *call) whoAsks() (refusal *graphError) {
	if c.route != nil && c.route.area == areaAuthority {
		c.caller, refusal = c.authorityTenant()
		return refusal
	}
	if c.e.opts.RequireToken && isGraphPath(c.r.URL.Path) {
		if refusal = c.checkToken(); refusal != nil {
			c.caller = caller{tenant: c.e.opts.DefaultTenant, app: DefaultApp}
			return refusal
		}
	}
	c.caller, refusal = readCaller(c.r, c.e.opts.DefaultTenant)
	return refusal
}

// isGraphPath tells whether a path is one of Graph's, where a token is asked for before anything else is looked at.
func isGraphPath(path string) bool {
	return strings.HasPrefix(path, "/v1.0") || strings.HasPrefix(path, "/beta")
}

// settle lets what is due in the tenant happen before the request is noted, so
// that the ledger has it in the order in which it happened. It returns the number of the request in the tenant.
func (c *call) settle() (number uint64) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	c.now = c.tenant.now()
	c.tenant.settle(c.now)
	c.tenant.requests++
	return c.tenant.requests
}

func (c *call) findRoute() *graphError {
	if path, err := url.PathUnescape(c.r.URL.EscapedPath()); err == nil && strings.EqualFold(path, batchPath) {
		if c.r.Method != http.MethodPost {
			err := refuse(c.r.Method, codeMethodNotAllowed, "A batch is sent by POST.")
			err.header = http.Header{"Allow": {http.MethodPost}}
			return err
		}
		c.route = c.e.router.named(http.MethodPost, []string{"$batch"})
		return nil
	}
	segments, ok := splitPath(c.r.URL.EscapedPath())
	var allowed []string
	if ok {
		c.segments = uncast(segments)
		c.route, c.params, allowed = c.e.router.find(c.method(), c.segments)
	} else if c.route, c.params, allowed = c.findOutside(); c.route == nil && len(allowed) == 0 {
		return refuse(c.r.Method, codeNotFound, "The emulator serves nothing at this path.")
	}
	switch {
	case c.route != nil:
		return nil
	case len(allowed) > 0:
		err := refuse(c.r.Method, codeMethodNotAllowed, "This resource allows %s.", strings.Join(allowed, ", "))
		err.header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
		return err
	}
	return refuse(c.r.Method, codeNotFound, "The API has no resource at this path.")
}

// enter notes the request in the ledger, leave what became of it.
func (c *call) enter() {
	e := Entry{
		Kind: EntryRequest, Time: c.now, Tenant: c.caller.tenant, Method: c.r.Method, Path: c.r.URL.RequestURI(),
		RequestID: c.requestID, ClientRequestID: c.clientRequestID,
	}
	if c.route != nil {
		e.Operation = c.route.operation()
	}
	c.recordRequest(&e)
	c.seq = c.e.ledger.add(e)
}

func (c *call) leave(status int, cut string) {
	c.e.ledger.update(c.seq, func(e *Entry) {
		e.Status, e.Fault, e.Cut = status, c.fault, cut
		c.recordResponse(e, c.resp)
	})
}

// work does the operation and puts its outcome into bytes.
func (c *call) work(refusal *graphError) response {
	var a *answer
	if refusal == nil {
		a, refusal = c.perform()
	}
	if refusal != nil {
		return c.refused(refusal)
	}
	resp := response{status: a.status, header: http.Header{}}
	if a.contentLocation != "" {
		resp.header.Set("Content-Location", a.contentLocation)
	}
	if a.text != "" {
		resp.body = []byte(a.text)
		resp.header.Set("Content-Type", "text/plain")
	}
	if n := c.maxPageSize(); n > 0 && c.route.isList() {
		resp.header.Set("Preference-Applied", "odata.maxpagesize="+strconv.Itoa(n))
	}
	if a.body != nil {
		resp.setJSON(a.body)
		resp.body = c.hideEvolved(resp.body)
	}
	return resp
}

func (r *response) setJSON(body any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // links keep their ampersands
	if err := enc.Encode(body); err != nil {
		panic(fmt.Sprintf("emulator: own answer cannot be encoded: %v", err))
	}
	r.body = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	r.header.Set("Content-Type", "application/json")
}

func (c *call) refused(err *graphError) response {
	resp := response{status: err.status, header: http.Header{}}
	if c.route != nil && c.route.area == areaAuthority {
		resp.setJSON(c.aadRefused(err))
		return resp
	}
	if err.status == http.StatusUnauthorized {
		resp.header.Set("WWW-Authenticate", c.challenge())
	}
	resp.setJSON(errorBody{errorObject{
		Code: err.code, Message: err.message, Target: err.target, Details: err.details,
		InnerError: innerError{
			Date:      c.now.Format("2006-01-02T15:04:05"),
			RequestID: c.requestID, ClientRequestID: c.clientRequestID,
		},
	}})
	maps.Copy(resp.header, err.header)
	return resp
}

func (c *call) throttled(f *Fault, wait time.Duration) response {
	resp := c.refused(refuse(c.r.Method, codeThrottled, "Too many requests of this tenant in too short a time."))
	if len(f.RetryAfter) == 0 {
		resp.header.Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	}
	resp.header.Set("x-ms-throttle-scope", "Tenant_Application/ReadWrite/"+c.caller.app+"/"+c.caller.tenant)
	return resp
}

// head sets the headers that every answer has, and those of this one, which win: a rule can set any header.
func (c *call) head(h http.Header, resp response) {
	h.Set("request-id", c.requestID)
	h.Set("client-request-id", c.clientRequestID)
	h.Set("Date", c.now.UTC().Format(http.TimeFormat))
	maps.Copy(h, resp.header)
}

func (c *call) send(w http.ResponseWriter, f *Fault, resp response) {
	c.head(w.Header(), resp)
	if f != nil && f.Body != nil && f.Body.Mode == "huge" {
		sendHuge(w, resp.status, f.Body.Size)
		return
	}
	if resp.status != http.StatusNoContent && resp.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
	}
	w.WriteHeader(resp.status)
	if f != nil && f.Body != nil && f.Body.Mode == "slow" {
		c.sendSlowly(w, f.Body, resp.body)
		return
	}
	// A client that went away cannot be told.
	_, _ = w.Write(resp.body)
}
