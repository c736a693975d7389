package credential

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/connection"
)

// PublicAuthority is Microsoft's token authority of the global cloud.
const PublicAuthority = "https://" + publicHost

// publicHost is its host, publicRegions the suffix of its regional hosts, and publicAliases are its other names.
const (
	publicHost    = "login.microsoftonline.com"
	publicRegions = "login.microsoft.com"
)

var publicAliases = []string{"login.windows.net", "sts.windows.net"}

// IsPublicAuthority reports whether a host, in lower case, issues tokens of Microsoft's global cloud, under any of its
// names.
func IsPublicAuthority(host string) bool {
	return host == publicHost || isRegional(host) || slices.Contains(publicAliases, host)
}

func isRegional(host string) bool {
	return host == publicRegions || strings.HasSuffix(host, "."+publicRegions)
}

// ParseAuthority parses the URL of an authority, https with a host and nothing else, and returns it without a slash at
// the end.
func ParseAuthority(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		// The error does not quote the URL, which may hold a password.
		return nil, errors.New("the token authority is no https URL of a host alone")
	}
	return u, nil
}

const (
	// maxBody is how much of a response of the authority is read.
	maxBody = 1 << 20
	// discoveryTime is how long the endpoints of a tenant are cached, maxDiscoveries for how many tenants. Microsoft's
	// take 2 kB; those of more than maxDiscovery bytes are not cached, since any caller can name any tenant.
	discoveryTime  = 24 * time.Hour
	maxDiscoveries = 10_000
	maxDiscovery   = 16 << 10
	discoveryPath  = "/v2.0/.well-known/openid-configuration"
)

// newHTTPClient returns a client that follows no redirect, since a redirected request carries a secret.
func newHTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     recorder{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport(roots *x509.CertPool, conns *connection.Conns) *http.Transport {
	transport := conns.Transport(roots, true)
	transport.MaxIdleConnsPerHost = 16
	return transport
}

// newFreshTransport returns a transport that makes a connection for each request. With HTTP/2 it would have to wait for
// the peer's settings to know that the connection is its own.
func newFreshTransport(roots *x509.CertPool, conns *connection.Conns) *http.Transport {
	transport := conns.Transport(roots, false)
	transport.DisableKeepAlives = true
	return transport
}

// authority sends requests to one host and to no other, also when the authority's own metadata names endpoints
// elsewhere. It caches that metadata: azidentity would request it before every token, since each token has a credential
// of its own.
type authority struct {
	// fresh is the transport of second requests; see attempt.
	transport, fresh http.RoundTripper
	host             string

	mu          sync.Mutex
	discoveries map[string]discovery
}

type discovery struct {
	body  []byte
	until time.Time
}

func newAuthority(transport, fresh http.RoundTripper, host string) *authority {
	return &authority{transport: transport, fresh: fresh, host: strings.ToLower(host), discoveries: make(map[string]discovery)}
}

// Do is policy.Transporter of azcore.
func (a *authority) Do(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" || !a.mayAsk(strings.ToLower(request.URL.Host)) {
		return nil, errors.New("the authority has an endpoint on another host")
	}
	discovers := request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, discoveryPath)
	where := request.URL.String()
	if discovers {
		if known, ok := a.discovered(where); ok {
			return &http.Response{
				Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(known.body)), ContentLength: int64(len(known.body)), Request: request,
			}, nil
		}
	}
	response, body, err := a.roundTrip(request)
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errors.New("the response of the authority is too large")
	}
	if discovers && response.StatusCode == http.StatusOK && len(body) <= maxDiscovery && a.namesEndpoint(body) {
		a.discover(where, discovery{bytes.Clone(body), time.Now().Add(discoveryTime)})
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// roundTrip sends a request and reads the response. The attempt of the request gets to know a failure.
func (a *authority) roundTrip(request *http.Request) (response *http.Response, body []byte, err error) {
	attempt := attemptOf(request.Context())
	attempt.failed.Store(nil)
	defer func() {
		if err != nil {
			attempt.failed.Store(asConnectionError(err))
		}
	}()
	transport := a.transport
	if attempt.second {
		transport = a.fresh
	}
	// An http.Client would handle redirects, and for that rewind the body that the transport may still be sending.
	if response, err = transport.RoundTrip(request); err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	return response, body, err
}

// mayAsk reports whether a host is the authority's. Microsoft's authority has regional hosts, which azidentity can be
// set to.
func (a *authority) mayAsk(host string) bool {
	return host == a.host || a.host == publicHost && isRegional(host)
}

// namesEndpoint reports whether a response names a token endpoint on a host that may be asked. Any other page with
// status 200, such as that of a proxy, would leave a tenant without tokens for as long as it is cached.
func (a *authority) namesEndpoint(body []byte) bool {
	var metadata struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	if json.Unmarshal(body, &metadata) != nil || metadata.Issuer == "" || metadata.Authorize == "" {
		return false
	}
	token, err := url.Parse(metadata.Token)
	return err == nil && token.Scheme == "https" && a.mayAsk(strings.ToLower(token.Host))
}

func (a *authority) discovered(where string) (discovery, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.discoveries[where]
	return d, ok && time.Now().Before(d.until)
}

func (a *authority) discover(where string, d discovery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.discoveries[where]; !known && len(a.discoveries) >= maxDiscoveries {
		// Any one: it costs its tenant one more request.
		for other := range a.discoveries {
			delete(a.discoveries, other)
			break
		}
	}
	a.discoveries[where] = d
}
