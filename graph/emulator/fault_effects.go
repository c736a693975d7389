package emulator

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// before does what a rule asks for before the work. It reports false when the
// client went away during a delay.
func (c *call) before(f *Fault) bool {
	if !f.AfterWork && !c.delay(f) {
		return false
	}
	if f.Cut == "before" {
		c.leave(0, f.Cut)
		panic(http.ErrAbortHandler)
	}
	return true
}

// delay holds a request back. It reports false when the client went away.
func (c *call) delay(f *Fault) bool {
	if f.Delay == 0 {
		return true
	}
	timer := time.NewTimer(time.Duration(f.Delay))
	defer timer.Stop()
	gone := c.r.Context().Done()
	if f.Late {
		gone = nil
	}
	select {
	case <-timer.C:
		return true
	case <-gone:
		c.leave(0, "")
		return false
	}
}

// scripted is the answer that a rule gives by itself.
func (c *call) scripted(f *Fault) response {
	if f.Redirect != "" {
		status := f.Status
		if status == 0 {
			status = http.StatusFound
		}
		return response{status: status, header: http.Header{"Location": {f.Redirect}}}
	}
	status := f.Status
	if status == 0 {
		status, _ = f.documentedStatus(c.e.known)
	}
	if f.Code == "" && f.Message == "" {
		// A bare status: what a proxy on the way would send.
		return response{status: status, header: http.Header{}}
	}
	message := f.Message
	if message == "" {
		message = "A fault rule of the emulator answered this."
	}
	return c.refused(&graphError{status: status, code: f.Code, message: message})
}

const htmlPage = "<!DOCTYPE html>\n<html><head><title>Our services aren't available right now</title></head>" +
	"<body><h2>A gateway on the way answered instead of the service.</h2></body></html>\n"

// decorate adds what a rule wants on top of an answer, whoever made it.
func (c *call) decorate(f *Fault, resp *response) {
	if f == nil {
		return
	}
	for _, value := range f.RetryAfter {
		// Values were checked when the rule was added.
		if v, err := retryAfter(value, c.now); err == nil {
			resp.header.Add("Retry-After", v)
		}
	}
	for name, value := range f.Headers {
		resp.header.Set(name, value)
	}
	if f.Body == nil {
		return
	}
	switch f.Body.Mode {
	case "truncated":
		resp.body = resp.body[:len(resp.body)/2]
	case "html":
		resp.body = []byte(htmlPage)
		resp.header.Set("Content-Type", "text/html; charset=utf-8")
	case "empty":
		resp.body = nil
	case "raw":
		resp.body = []byte(f.Body.Content)
		resp.header.Set("Content-Type", "application/json")
		if f.Body.ContentType != "" {
			resp.header.Set("Content-Type", f.Body.ContentType)
		}
	case "huge":
		resp.body = nil // send makes it, piece by piece
		resp.header.Set("Content-Type", "application/json")
	}
}

// sendHalf promises a whole body and sends half of it.
func (c *call) sendHalf(w http.ResponseWriter, resp response) {
	c.head(w.Header(), resp)
	// Even an answer without a body must promise something to be cut.
	w.Header().Set("Content-Length", strconv.Itoa(max(len(resp.body), 2)))
	if resp.status == http.StatusNoContent {
		resp.status = http.StatusOK
	}
	w.WriteHeader(resp.status)
	_, _ = w.Write(resp.body[:len(resp.body)/2])
	// What is not flushed would never leave, and the cut would look like one
	// before the answer.
	_ = http.NewResponseController(w).Flush()
}

// sendHuge sends size bytes that are one JSON object, without ever holding them.
func sendHuge(w http.ResponseWriter, status int, size int64) {
	if size == 0 {
		size = defaultHugeBody
	}
	const head, tail = `{"value":[],"padding":"`, `"}`
	size = max(size, int64(len(head)+len(tail)))
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(status)
	if _, err := w.Write([]byte(head)); err != nil {
		return
	}
	padding := bytes.Repeat([]byte("x"), 64<<10)
	for left := size - int64(len(head)+len(tail)); left > 0; {
		n := min(left, int64(len(padding)))
		if _, err := w.Write(padding[:n]); err != nil {
			return // the client has had enough
		}
		left -= n
	}
	_, _ = w.Write([]byte(tail))
}

// sendSlowly sends a body piece by piece, and waits before each. It ends early when the client went away.
func (c *call) sendSlowly(w http.ResponseWriter, how *FaultBody, body []byte) {
	piece, pause := int(cmp.Or(how.Size, 1)), time.Duration(cmp.Or(how.Pause, Duration(defaultPause)))
	control := http.NewResponseController(w)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for len(body) > 0 {
		// The head goes out at once, so that a client sees an answer that has begun.
		if control.Flush() != nil {
			return
		}
		select {
		case <-timer.C:
		case <-c.r.Context().Done():
			return
		}
		n := min(piece, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		body = body[n:]
		timer.Reset(pause)
	}
}
