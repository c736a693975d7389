package graph

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/m365backup/backupstorage/internal/memo"
)

// outgoing makes HTTP requests to one endpoint.
type outgoing struct {
	endpoint *url.URL
	// template has what all requests have in common.
	template *http.Request
	// userAgent is the value of that header.
	userAgent []string
	// plain says that the path of the endpoint needs no escaping.
	plain bool
	// authorizations are the values of that header, by their tokens: a token is the same for an hour, and long.
	authorizations *memo.Memo[string, []string]
}

func newOutgoing(endpoint *url.URL, userAgent string) outgoing {
	return outgoing{
		endpoint: endpoint, userAgent: []string{userAgent}, plain: endpoint.RawPath == "" && isPlain(endpoint.Path),
		authorizations: new(memo.Memo[string, []string]),
		template:       &http.Request{Host: endpoint.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1},
	}
}

// The values of headers that are the same in each request. net/http only reads them.
var (
	acceptJSON = []string{"application/json"}
	// Without it Graph hides the enum members that were added after unknownFutureValue.
	preferUnknown = []string{"include-unknown-enum-members"}
)

// authorization returns the value of that header, nil for no token. It is not ok for a token that fits no header.
func (o *outgoing) authorization(token string) (value []string, ok bool) {
	if token == "" {
		return nil, true
	}
	if value, ok := o.authorizations.Get(token); ok {
		return value, true
	}
	if !fitsHeader(token) {
		return nil, false
	}
	value = []string{"Bearer " + token}
	o.authorizations.Put(token, value)
	return value, true
}

// request makes the HTTP request of an attempt.
func (o *outgoing) request(ctx context.Context, request *Request, authorization []string) (*http.Request, error) {
	if !fitsHeader(request.RequestID) {
		return nil, errors.New("request id must be printable ASCII")
	}
	made := new(struct {
		url    url.URL
		values [1]string
	})
	if err := o.setTarget(&made.url, request.Target); err != nil {
		return nil, err
	}
	made.values[0] = request.RequestID
	header := http.Header{
		"Accept":            acceptJSON,
		"Client-Request-Id": made.values[:],
		"Prefer":            preferUnknown,
		"User-Agent":        o.userAgent,
	}
	if authorization != nil {
		header["Authorization"] = authorization
	}
	result := o.template.WithContext(ctx)
	result.Method, result.URL, result.Header = request.Method, &made.url, header
	if len(request.Body) > 0 {
		header["Content-Type"] = acceptJSON
		result.Body = io.NopCloser(bytes.NewReader(request.Body))
		result.ContentLength = int64(len(request.Body))
		// No GetBody: the transport must not repeat a request of which it may have written a part.
	} else if request.Method != http.MethodGet && request.Method != http.MethodDelete {
		result.Body = http.NoBody
		if !request.Safe && o.endpoint.Scheme == "https" {
			// Over HTTP/2 the transport repeats requests without a body, even when the server may have processed them.
			result.Body = emptyBody{}
		}
	}
	return result, nil
}

// setTarget sets the URL of a target. One in which nothing is escaped, as most are, need not be parsed: its parts are
// what stands there.
func (o *outgoing) setTarget(into *url.URL, target string) error {
	*into = *o.endpoint
	path, query, _ := strings.Cut(target, "?")
	if o.plain && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && isPlain(path) && isQuery(query) {
		into.Path, into.RawQuery = o.endpoint.Path+path, query
		return nil
	}
	parsed, err := url.Parse(target)
	if err != nil {
		return err
	}
	if parsed.Scheme != "" || parsed.Host != "" || !strings.HasPrefix(parsed.Path, "/") {
		return errors.New("target is no path")
	}
	into.RawPath = o.endpoint.EscapedPath() + parsed.EscapedPath()
	into.Path = o.endpoint.Path + parsed.Path
	into.RawQuery = parsed.RawQuery
	return nil
}

// isPlain reports whether a path has only characters that stand for themselves.
func isPlain(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("/-_.~$&+,:;=@", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// isQuery reports whether a query can be sent as it is.
func isQuery(query string) bool {
	for i := range len(query) {
		if query[i] <= ' ' || query[i] >= 0x7f || query[i] == '#' {
			return false
		}
	}
	return true
}

// header returns the first value of a header, whose key is in the canonical form.
func header(response *http.Response, key string) string {
	if values := response.Header[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// dates reads the header Date. It changes once a second, and every response has it.
var dates dateReader

type dateReader struct{ last atomic.Pointer[readDate] }

type readDate struct {
	text string
	time time.Time
}

// read returns the time of a header, zero for one that cannot be read.
func (d *dateReader) read(text string) time.Time {
	if last := d.last.Load(); last != nil && last.text == text {
		return last.time
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}
	}
	// The text may be a part of something larger.
	d.last.Store(&readDate{strings.Clone(text), date})
	return date
}
