package credential

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
)

// proxyOf returns a function for http.Transport.Proxy. The proxy's password must never be seen.
func proxyOf(address string) func(*http.Request) (*url.URL, error) {
	return http.ProxyURL(&url.URL{Scheme: "http", Host: address, User: url.UserPassword("user", "canary-of-the-password")})
}

// connectProxy starts a proxy that responds to CONNECT with a status.
func connectProxy(t *testing.T, status int) func(*http.Request) (*url.URL, error) {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") == "" {
			t.Errorf("the proxy got %s with %v", r.Method, r.Header)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(proxy.Close)
	return proxyOf(proxy.Listener.Addr().String())
}

// dials makes a transport connect to a listener of its own, which hands each connection to a function.
func dials(t *testing.T, transport *http.Transport, accepted func(net.Conn)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			accepted(conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-ended
	})
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
	}
}

// A connection to the authority fails for the causes that one to Graph has, in TokenError and log alike.
func TestAConnectionToTheAuthorityThatFailsSaysWhy(t *testing.T) {
	dead := "127.0.0.1:1"
	for _, test := range []struct {
		name  string
		cause graph.Cause
		// untrusted leaves out the authority's certificate.
		untrusted bool
		host      string
		change    func(t *testing.T, transport *http.Transport)
	}{
		{name: "no name server", cause: graph.CauseDNS, host: "login.example", change: func(_ *testing.T, transport *http.Transport) {
			resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", dead)
			}}
			transport.DialContext = (&net.Dialer{Resolver: resolver}).DialContext
		}},
		{name: "nothing listens", cause: graph.CauseRefused, host: dead},
		{name: "the handshake hangs", cause: graph.CauseTimeout, change: func(t *testing.T, transport *http.Transport) {
			dials(t, transport, func(net.Conn) {})
			transport.TLSHandshakeTimeout = 10 * time.Millisecond
		}},
		{name: "the connection is closed", cause: graph.CauseReset, change: func(t *testing.T, transport *http.Transport) {
			dials(t, transport, func(conn net.Conn) { conn.Close() })
		}},
		{name: "an unknown authority", cause: graph.CauseTLSUnknownAuthority, untrusted: true},
		{name: "a certificate of another host", cause: graph.CauseTLSName, change: func(_ *testing.T, transport *http.Transport) {
			transport.TLSClientConfig.ServerName = "other.invalid"
		}},
		{name: "a proxy that demands credentials", cause: graph.CauseProxyAuthentication, change: func(t *testing.T, transport *http.Transport) {
			transport.Proxy = connectProxy(t, http.StatusProxyAuthRequired)
		}},
		{name: "a proxy that forbids it", cause: graph.CauseProxyRefused, change: func(t *testing.T, transport *http.Transport) {
			transport.Proxy = connectProxy(t, http.StatusForbidden)
		}},
		{name: "a proxy that cannot connect", cause: graph.CauseProxyRefused, change: func(t *testing.T, transport *http.Transport) {
			transport.Proxy = connectProxy(t, http.StatusBadGateway)
		}},
		{name: "no proxy", cause: graph.CauseProxyRefused, change: func(_ *testing.T, transport *http.Transport) {
			transport.Proxy = proxyOf(dead)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			authority := authoritytest.New(t)
			options := Options{Mode: ClientSecret, Authority: authority.URL, RootCAs: authority.Roots, ClientID: "client", Secret: "secret"}
			if test.host != "" {
				options.Authority = "https://" + test.host
			}
			if test.untrusted {
				options.RootCAs = nil
			}
			var log strings.Builder
			options.Logger = slog.New(slog.NewJSONHandler(&log, nil))
			s, err := New(options)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if test.change != nil {
				for _, transport := range []http.RoundTripper{s.authority.transport, s.authority.fresh} {
					test.change(t, transport.(*http.Transport))
				}
			}
			_, err = s.Token(t.Context(), graph.TokenRequest{Tenant: "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"})
			failed, ok := errors.AsType[*graph.TokenError](err)
			if !ok || failed.Kind != graph.TokenUnavailable || failed.Cause != test.cause || failed.AADSTS != 0 {
				t.Errorf("got %+v, want cause %q", err, test.cause)
			}
			s.Close()
			if got := log.String(); !strings.Contains(got, `"cause":"`+string(test.cause)+`","host":"authority"`) || strings.Contains(got, "canary") {
				t.Errorf("log: %s", got)
			}
			if n := len(authority.Requests()); n != 0 {
				t.Errorf("%d token requests arrived", n)
			}
		})
	}
}

// The endpoint of a managed identity, and the tools of a chain, are reached without the authority's transport.
func TestAManagedIdentityWithoutAnEndpointSaysWhy(t *testing.T) {
	t.Setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/token")
	t.Setenv("IDENTITY_HEADER", "header")
	const tenant = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	s, err := New(Options{Mode: ManagedIdentity, HomeTenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// azidentity would try for a minute.
	s.provider.options.Retry.MaxRetries = -1
	_, err = s.Token(t.Context(), graph.TokenRequest{Tenant: tenant})
	if failed, ok := errors.AsType[*graph.TokenError](err); !ok || failed.Kind != graph.TokenUnavailable || failed.Cause != graph.CauseRefused {
		t.Errorf("got %+v", err)
	}
}
