package credential

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// PublicAuthority is Microsoft's token authority of the global cloud.
const PublicAuthority = "https://" + publicHost

// publicHost is its host, publicRegions the end of the names of its regional ones, and publicAliases are its other
// names.
const (
	publicHost    = "login.microsoftonline.com"
	publicRegions = "login.microsoft.com"
)

var publicAliases = []string{"login.windows.net", "sts.windows.net"}

// IsPublicAuthority tells whether a host, in lower case, gives tokens of Microsoft's global cloud, under whatever name.
func IsPublicAuthority(host string) bool {
	return host == publicHost || isRegional(host) || slices.Contains(publicAliases, host)
}

func isRegional(host string) bool {
	return host == publicRegions || strings.HasSuffix(host, "."+publicRegions)
}

// ParseAuthority checks the URL of an authority, https with a host and nothing else, and returns it without a slash at
// the end.
func ParseAuthority(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		// What it is stays out of it: it may have a password.
		return nil, errors.New("the token authority is no https URL of a host alone")
	}
	return u, nil
}

const (
	// maxAnswer is how much of an answer of the authority is read.
	maxAnswer = 1 << 20
	// discoveryTime is for how long the endpoints of a tenant are remembered, maxDiscoveries for how many tenants.
	discoveryTime  = 24 * time.Hour
	maxDiscoveries = 10_000
	discoveryPath  = "/v2.0/.well-known/openid-configuration"
)

// newHTTPClient returns a client that follows no redirect: a secret would go along.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			Protocols:              protocols,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			// An authority that hangs in one answer must not hang the other tenants on its connection.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// authority carries requests to one host and to no other, whatever the authority itself says about where its endpoints
// are. It remembers what it says: azidentity would ask before every token, as each token has a credential of its own.
type authority struct {
	transport http.RoundTripper
	host      string

	mu          sync.Mutex
	discoveries map[string]discovery
}

type discovery struct {
	header http.Header
	body   []byte
	until  time.Time
}

func newAuthority(transport http.RoundTripper, host string) *authority {
	return &authority{transport: transport, host: strings.ToLower(host), discoveries: make(map[string]discovery)}
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
				Header: known.header.Clone(), Body: io.NopCloser(bytes.NewReader(known.body)), ContentLength: int64(len(known.body)), Request: request,
			}, nil
		}
	}
	// A client would look after redirects, and to do so rewind the body that the transport may still be sending.
	response, err := a.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errors.New("the answer of the authority is too large")
	}
	if discovers && response.StatusCode == http.StatusOK && a.namesEndpoint(body) {
		a.discover(where, discovery{response.Header.Clone(), body, time.Now().Add(discoveryTime)})
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// mayAsk tells whether a host is the authority's. Microsoft's has regional ones, for those who ask azidentity for them.
func (a *authority) mayAsk(host string) bool {
	return host == a.host || a.host == publicHost && isRegional(host)
}

// namesEndpoint tells whether an answer says where tokens are, on a host that may be asked. Whatever else a proxy answers
// with 200 would keep a tenant without tokens for as long as it is remembered.
func (a *authority) namesEndpoint(body []byte) bool {
	var said struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	if json.Unmarshal(body, &said) != nil || said.Issuer == "" || said.Authorize == "" {
		return false
	}
	token, err := url.Parse(said.Token)
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
	if len(a.discoveries) >= maxDiscoveries {
		clear(a.discoveries)
	}
	a.discoveries[where] = d
}
