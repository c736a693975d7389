package emulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Recording says what the ledger keeps of requests besides what it always has. Secrets are never kept: see [redacted].
type Recording struct {
	Headers bool `json:"headers"`
	Bodies  bool `json:"bodies"` // the first [MaxRecordedBody] bytes of each
}

// MaxRecordedBody is how much of a body the ledger keeps, in bytes.
const MaxRecordedBody = 64 << 10

// Record says what the ledger keeps of the requests of a tenant from now on; an empty tenant is all those that were not
// named. A reset of the tenant, or of everything, takes what was said of a tenant back.
func (e *Emulator) Record(tenant string, what Recording) error {
	if tenant != "" && !isGUID(tenant) {
		return fmt.Errorf("tenant %q is not a GUID", tenant)
	}
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	if e.ledger.recordings == nil {
		e.ledger.recordings = map[string]Recording{}
	}
	e.ledger.recordings[strings.ToLower(tenant)] = what
	return nil
}

func (l *ledger) recording(tenant string) Recording {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, said := l.recordings[tenant]; said {
		return r
	}
	return l.recordings[""]
}

func (e *Emulator) controlRecording(in controlRequest) (any, error) {
	var what Recording
	if err := in.read(&what); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return what, e.Record(in.tenant(), what)
}

// redacted stands in the ledger for a value that is a secret, or could be used as one.
const redacted = "redacted"

// shownHeaders are headers without credentials.
func shownHeaders(h http.Header) map[string][]string {
	shown := map[string][]string(h.Clone())
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-User-Assertion"} {
		if len(shown[name]) > 0 {
			shown[name] = []string{redacted}
		}
	}
	return shown
}

// shownForm is a request for a token without its credentials.
func shownForm(body []byte) string {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return redacted
	}
	for name := range form {
		if !slices.Contains([]string{"grant_type", "client_id", "scope", "requested_token_use", "client_assertion_type", "client_info"}, name) {
			form.Set(name, redacted)
		}
	}
	return form.Encode()
}

func shownBody(body []byte) string { return string(body[:min(len(body), MaxRecordedBody)]) }

// recordRequest puts headers and body of a request into its entry, as far as the ledger keeps them.
func (c *call) recordRequest(e *Entry) {
	what := c.e.ledger.recording(c.caller.tenant)
	c.recording = what
	if what.Headers {
		e.RequestHeaders = shownHeaders(c.r.Header)
	}
	switch {
	case !what.Bodies:
	case c.route != nil && c.route.area == areaAuthority:
		e.RequestBody = shownForm(c.body)
	default:
		e.RequestBody = shownBody(c.body)
	}
}

// recordResponse does the same with what is sent back.
func (c *call) recordResponse(e *Entry, resp *response) {
	if resp == nil {
		return
	}
	if c.recording.Headers {
		h := http.Header{}
		c.head(h, *resp)
		e.ResponseHeaders = shownHeaders(h)
	}
	switch {
	case !c.recording.Bodies:
	case c.route != nil && c.route.area == areaAuthority && resp.status == http.StatusOK:
		e.ResponseBody = redacted // it has a token
	default:
		e.ResponseBody = shownBody(resp.body)
	}
}
