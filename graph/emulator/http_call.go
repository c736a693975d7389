package emulator

import (
	"net/http"
	"strings"
	"time"
)

// call is one request on its way through the emulator.
type call struct {
	e        *Emulator
	r        *http.Request
	route    *route
	segments []string // of the path below the API's root
	shape    shape
	params   []string
	caller   caller
	body     []byte
	sent     requestBody

	tenant *tenant
	now    time.Time // emulated, one moment for the whole request
	seq    uint64    // in the ledger

	requestID       string
	clientRequestID string

	recording Recording // what the ledger keeps of it
	resp      *response // what is sent back, once it is known

	items    []*itemFault // in-band faults that fit the operation
	nextLink *string      // what a fault rule puts in place of the next link
	fault    string       // id of the rule that made or altered the answer
}

// answer is what a handler wants to say. A nil body sends none.
type answer struct {
	status          int
	contentLocation string
	body            any
	text            string // in place of a body
}

func ok(body any) *answer { return &answer{status: http.StatusOK, body: body} }

// method is the one that decides: HEAD is a GET of which only the head is sent.
func (c *call) method() string {
	if c.r.Method == http.MethodHead {
		return http.MethodGet
	}
	return c.r.Method
}

// param returns placeholder i of the route's template.
func (c *call) param(i int) string { return c.params[i] }

// cause is this request as the reason of a change.
func (c *call) cause() cause {
	return cause{at: c.now, request: c.seq, by: c.caller.identitySet(c.tenant.dir)}
}

// origin is the scheme and host that the request was made to, as the client knows them: what a proxy in between says,
// or [Options.ExternalURL].
func (c *call) origin() string {
	if c.e.opts.ExternalURL != "" {
		return c.e.opts.ExternalURL
	}
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	switch proto, _, _ := strings.Cut(c.r.Header.Get("X-Forwarded-Proto"), ","); strings.ToLower(strings.TrimSpace(proto)) {
	case "http":
		scheme = "http"
	case "https":
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// host is the host of the origin.
func (c *call) host() string {
	_, host, _ := strings.Cut(c.origin(), "://")
	return host
}

// url is an absolute URL below the API's root.
func (c *call) url(path string) string {
	return c.origin() + "/v1.0/solutions/backupRestore" + path
}

// context is the @odata.context for what stands at path below the API's root.
func (c *call) context(path string) string {
	return c.origin() + "/v1.0/$metadata#solutions/backupRestore" + path
}

// perform checks who asks and does the work. It is the only place that runs
// handlers.
func (c *call) perform() (*answer, *graphError) {
	if c.route.area == areaAuthority {
		c.tenant.mu.Lock()
		defer c.tenant.mu.Unlock()
		return c.route.handle(c)
	}
	if err := c.caller.check(c.route); err != nil {
		return nil, err
	}
	if err := c.sent.check(c.r.Method); err != nil {
		return nil, err
	}
	if c.sent.tooLarge {
		if c.route.method == http.MethodPost && strings.HasSuffix(c.route.template, "ProtectionPolicies") {
			return nil, refuse(c.r.Method, "InvalidCreateRequest", "The request body is larger than %d bytes.", MaxBody)
		}
		return nil, refuse(c.r.Method, codeTooLarge, "The request body is larger than %d bytes.", MaxBody)
	}
	if c.route.outside {
		return c.route.handle(c)
	}
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	c.now = c.tenant.now()
	c.tenant.settle(c.now)
	if err := c.tenant.notOpen(c.route.gate, c.r.Method); err != nil {
		return nil, err
	}
	if err := c.barred(); err != nil {
		return nil, err
	}
	if c.route.bodyless && !emptyBody(c.body) {
		return nil, refuse(c.r.Method, codeBadRequest, "This operation takes no body.")
	}
	defer c.tenant.tellPolicies()
	return c.do()
}
