package servicetest

import (
	"crypto/x509"
	"net/http/httptest"
	"testing"

	"github.com/m365backup/backupstorage/graph"
)

// Transport is the protocol between the server and its upstream. The value is its name in subtests.
type Transport string

const (
	// ClearText is HTTP/1.1 without encryption.
	ClearText Transport = "HTTP/1.1 in clear text"
	// TLS is what Graph is reached over: writes go over HTTP/2, reads over HTTP/1.1.
	TLS Transport = "TLS"
)

// Start starts an upstream, which ends with the test, and returns the options of a client for it.
func (t Transport) Start(tb testing.TB, upstream *httptest.Server) graph.Options {
	tb.Helper()
	tb.Cleanup(upstream.Close)
	if t == ClearText {
		upstream.Start()
		return graph.Options{Endpoint: upstream.URL + "/v1.0"}
	}
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(upstream.Certificate())
	return graph.Options{Endpoint: upstream.URL + "/v1.0", RootCAs: roots}
}

// Scheme is the scheme of URLs of this transport: `http` or `https`.
func (t Transport) Scheme() string {
	if t == ClearText {
		return "http"
	}
	return "https"
}
