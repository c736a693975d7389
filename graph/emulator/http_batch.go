package emulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// batchPath is the one path of Graph that stands beside the API and not below it.
const batchPath = "/v1.0/$batch"

const (
	maxBatchParts  = 20
	maxBatchAnswer = 64 << 20 // bytes of one part
)

// batchRoute is the operation of a whole batch. Its parts are requests of their
// own: for fault rules, for the ledger and for throttling.
func batchRoute() *route {
	rt := &route{method: http.MethodPost, template: "/$batch", gate: gateOpen, outside: true, handle: serveBatch}
	rt.segments = splitTemplate(rt.template)
	return rt
}

// batchPart is one request of a batch.
type batchPart struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// batchAnswer is what became of one.
type batchAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

// serveBatch does the parts one after the other, in the order of the request.
func serveBatch(c *call) (*answer, *graphError) {
	parts, err := c.readBatch()
	if err != nil {
		return nil, err
	}
	answers := make([]batchAnswer, 0, len(parts))
	failed := map[string]bool{}
	for _, p := range parts {
		var a batchAnswer
		if slices.ContainsFunc(p.DependsOn, func(id string) bool { return failed[strings.ToLower(id)] }) {
			a = c.skipped(p)
		} else {
			a = c.servePart(p)
		}
		failed[strings.ToLower(p.ID)] = a.Status >= http.StatusBadRequest
		answers = append(answers, a)
	}
	return ok(map[string]any{"responses": answers}), nil
}

// readBatch reads the body. What is wrong with one part fails the whole batch
// before any part is done.
func (c *call) readBatch() ([]batchPart, *graphError) {
	bad := func(format string, args ...any) ([]batchPart, *graphError) {
		return nil, refuse(c.r.Method, codeBadRequest, format, args...)
	}
	var batch struct {
		Requests []batchPart `json:"requests"`
	}
	if err := json.Unmarshal(c.body, &batch); err != nil || len(batch.Requests) == 0 {
		return bad("The body is not a JSON object with a list of requests, each with an id, a method and a url.")
	}
	if n := len(batch.Requests); n > maxBatchParts {
		return bad("The batch has %d requests; at most %d are allowed.", n, maxBatchParts)
	}
	seen := map[string]bool{}
	for _, p := range batch.Requests {
		id := strings.ToLower(p.ID)
		switch {
		case p.ID == "" || p.Method == "" || p.URL == "":
			return bad("A request of the batch lacks its id, method or url.")
		case seen[id]:
			return bad("The request id %.60s is not unique in the batch.", p.ID)
		case strings.Contains(p.URL, "://") || strings.HasPrefix(p.URL, "//"):
			return bad("The url of request %.60s is not relative to the version of the API.", p.ID)
		case writes(p.Method) && (!p.has("Content-Type") || len(p.Body) == 0):
			return bad("The request %.60s writes, and has no Content-Type header or no body.", p.ID)
		}
		for _, other := range p.DependsOn {
			if !seen[strings.ToLower(other)] {
				return bad("The request %.60s depends on %.60s, which does not stand before it.", p.ID, other)
			}
		}
		seen[id] = true
	}
	if !inOrder(batch.Requests) {
		return bad("The requests depend on each other neither all in a row, nor on the same one, nor not at all.")
	}
	return batch.Requests, nil
}

func writes(method string) bool {
	switch strings.ToUpper(method) {
	case http.MethodPost, http.MethodPatch, http.MethodPut:
		return true
	}
	return false
}

func (p *batchPart) has(header string) bool {
	for name := range p.Headers {
		if strings.EqualFold(name, header) {
			return true
		}
	}
	return false
}

// inOrder tells whether the dependencies are ones that Graph takes: each request
// depends on the one before it, or all that depend do so on the same one.
func inOrder(parts []batchPart) bool {
	row, same := true, true
	first := ""
	for i, p := range parts {
		if len(p.DependsOn) > 1 {
			return false
		}
		on := strings.ToLower(strings.Join(p.DependsOn, ""))
		if i > 0 && on != strings.ToLower(parts[i-1].ID) {
			row = false
		}
		if on != "" && first != "" && on != first {
			same = false
		}
		if on != "" {
			first = on
		}
	}
	return row || same
}

// skipped answers a part whose dependency failed. Nothing is asked, so the ledger
// does not have it.
func (c *call) skipped(p batchPart) batchAnswer {
	resp := c.refused(&graphError{
		status: http.StatusFailedDependency, code: "FailedDependency",
		message: "A request that this one depends on has failed.",
	})
	return batchAnswer{
		ID: p.ID, Status: resp.status, Headers: map[string]string{"Content-Type": "application/json"}, Body: json.RawMessage(resp.body),
	}
}

// servePart does one part as if it had come alone.
func (c *call) servePart(p batchPart) batchAnswer {
	w := &partWriter{header: http.Header{}}
	r, problem := c.partRequest(p)
	if problem == nil {
		problem = w.serve(c.e, r)
	}
	if problem != nil {
		// What a gateway says when the service behind it does not answer.
		resp := c.refused(&graphError{status: http.StatusBadGateway, code: "BadGateway", message: problem.Error()})
		w = &partWriter{header: http.Header{"Content-Type": {"application/json"}}, status: resp.status}
		w.body.Write(resp.body)
	}
	a := batchAnswer{ID: p.ID, Status: w.status, Headers: map[string]string{}}
	for name, values := range w.header {
		switch name {
		case "Content-Length", "Date":
			continue
		case "Request-Id", "Client-Request-Id":
			name = strings.ToLower(name) // as Graph writes it; in JSON the case of letters counts
		}
		a.Headers[name] = strings.Join(values, ", ")
	}
	switch body := w.body.Bytes(); {
	case len(body) == 0:
	case json.Valid(body):
		a.Body = json.RawMessage(body)
	default:
		a.Body = base64.StdEncoding.EncodeToString(body)
	}
	return a
}

// partRequest is the request that a part stands for: with the batch's caller and
// preferences, unless it has its own.
func (c *call) partRequest(p batchPart) (*http.Request, error) {
	path := "/v1.0/" + strings.TrimPrefix(p.URL, "/")
	target, err := url.Parse(path)
	if err != nil {
		return nil, errors.New("the url of the request cannot be read")
	}
	body := []byte(p.Body)
	var text string
	if json.Unmarshal(body, &text) == nil { // anything but JSON is packed into a string
		if body, err = base64.StdEncoding.DecodeString(text); err != nil {
			body = []byte(p.Body)
		}
	}
	r := c.r.Clone(c.r.Context())
	r.Method, r.URL, r.RequestURI = strings.ToUpper(p.Method), target, path
	r.Header = http.Header{}
	for _, name := range []string{"client-request-id", "Prefer"} {
		if values := c.r.Header.Values(name); len(values) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name, value := range p.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Del("Authorization")
	if token := c.r.Header.Get("Authorization"); token != "" {
		r.Header.Set("Authorization", token)
	}
	r.Header.Del("Content-Encoding") // of the batch, which is unpacked
	r.Body, r.ContentLength = nil, int64(len(body))
	if len(body) > 0 {
		r.Body = readCloser{bytes.NewReader(body)}
	}
	return r, nil
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// partWriter takes the answer of a part.
type partWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *partWriter) Header() http.Header { return w.header }

func (w *partWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *partWriter) Write(p []byte) (int, error) {
	if w.body.Len()+len(p) > maxBatchAnswer {
		panic(http.ErrAbortHandler) // a rule's huge body
	}
	return w.body.Write(p)
}

// serve has the emulator answer. A part whose connection a fault rule cuts has no
// answer.
func (w *partWriter) serve(e *Emulator, r *http.Request) (problem error) {
	defer func() {
		switch what := recover(); what {
		case nil:
		case http.ErrAbortHandler:
			problem = errors.New("the answer to this request did not arrive")
		default:
			panic(what)
		}
	}()
	e.serveRequest(w, r)
	if w.status == 0 {
		return errors.New("the client went away")
	}
	return nil
}
