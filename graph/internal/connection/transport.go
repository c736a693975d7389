package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"
)

// Transport returns a transport with what all connections have in common. It trusts the given authorities, nil for
// those of the machine. It speaks HTTP/1.1, and with http2 also HTTP/2 if the peer does. It uses the proxy that
// HTTPS_PROXY, HTTP_PROXY and NO_PROXY name when the process makes its first connection. How many connections there are
// is up to the caller.
func (c *Conns) Transport(roots *x509.CertPool, http2 bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: c.DialContext,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
			return proxyResponse(response.StatusCode)
		},
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Protocols:              protocols,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Without pings a dead connection would fail requests for minutes, and a response that hangs would block the other
		// tenants on the same connection.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}
