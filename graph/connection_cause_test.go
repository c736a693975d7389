package graph

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// unreachable is an upstream that cannot be reached: what to set up of the client, and where it sends its requests.
type unreachable struct {
	endpoint string
	roots    *x509.CertPool
	change   func(*http.Transport)
}

// fails sends a read and a write to an upstream, which both fail for one cause.
func (u unreachable) fails(t *testing.T, cause Cause, sent bool) {
	t.Helper()
	client, err := New(Options{Endpoint: u.endpoint, Tokens: Unsigned{}, RootCAs: u.roots, Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if u.change != nil {
		g := client.connections.get(time.Now())
		for _, transport := range []*http.Transport{g.reads, g.writes, g.fresh} {
			u.change(transport)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		e := failure(t, second(client.Do(t.Context(), newRequest(method))))
		if e == nil || e.Kind != KindUnreachable || e.Cause != cause || e.Sent != (sent && method == http.MethodPost) {
			t.Errorf("%s: got %v, caused by %v, want cause %q", method, e, errors.Unwrap(e), cause)
		}
	}
}

// listenTCP hands every connection to a function and closes it afterwards.
func listenTCP(t *testing.T, handle func(conn net.Conn, received *bufio.Reader)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				handle(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait()
	})
	return listener.Addr().String()
}

// deadAddress is an address where nothing listens.
func deadAddress(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// serveTLS starts a server with a certificate of its own. Nothing arrives there.
func serveTLS(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// certify makes a certificate of its own authority, trusted by the pool.
func certify(t *testing.T, host string, until time.Time) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-24 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

// throughProxy is an upstream behind a proxy.
func throughProxy(scheme, address string) unreachable {
	return unreachable{endpoint: "https://graph.example", change: func(transport *http.Transport) {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: scheme, Host: address})
	}}
}

// connectProxy responds to CONNECT with a status.
func connectProxy(t *testing.T, status int) unreachable {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy got %s", r.Method)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(proxy.Close)
	return throughProxy("http", strings.TrimPrefix(proxy.URL, "http://"))
}

// socksProxy responds to the greeting of SOCKS 5 with a method, and to the request to connect with a code.
func socksProxy(t *testing.T, method, code byte) unreachable {
	return throughProxy("socks5", listenTCP(t, func(conn net.Conn, received *bufio.Reader) {
		head := make([]byte, 2)
		if _, err := io.ReadFull(received, head); err != nil {
			return
		}
		_, _ = received.Discard(int(head[1]))
		_, _ = conn.Write([]byte{5, method})
		if _, err := io.ReadFull(received, make([]byte, 5)); err != nil {
			return
		}
		_, _ = conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
		_, _ = io.Copy(io.Discard, received)
	}))
}

func TestAConnectionThatFailsSaysWhy(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause Cause
		sent  bool
		with  func(t *testing.T) unreachable
	}{
		{"no name server", CauseDNS, false, func(t *testing.T) unreachable {
			dead := deadAddress(t)
			resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", dead)
			}}
			return unreachable{endpoint: "https://graph.example", change: func(transport *http.Transport) {
				transport.DialContext = (&net.Dialer{Resolver: resolver}).DialContext
			}}
		}},
		{"nothing listens", CauseRefused, false, func(t *testing.T) unreachable {
			return unreachable{endpoint: "http://" + deadAddress(t)}
		}},
		{"the connection is reset", CauseReset, true, func(t *testing.T) unreachable {
			return unreachable{endpoint: "http://" + listenTCP(t, func(conn net.Conn, received *bufio.Reader) {
				if request, err := http.ReadRequest(received); err == nil {
					_, _ = io.Copy(io.Discard, request.Body)
				}
				_ = conn.(*net.TCPConn).SetLinger(0)
			})}
		}},
		{"the connection is closed", CauseReset, true, func(t *testing.T) unreachable {
			return unreachable{endpoint: "http://" + listenTCP(t, func(_ net.Conn, received *bufio.Reader) {
				if request, err := http.ReadRequest(received); err == nil {
					_, _ = io.Copy(io.Discard, request.Body)
				}
			})}
		}},
		{"the response is cut in its head", CauseReset, true, func(t *testing.T) unreachable {
			return unreachable{endpoint: "http://" + listenTCP(t, func(conn net.Conn, received *bufio.Reader) {
				if request, err := http.ReadRequest(received); err == nil {
					_, _ = io.Copy(io.Discard, request.Body)
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			})}
		}},
		{"the handshake hangs", CauseTimeout, false, func(t *testing.T) unreachable {
			address := listenTCP(t, func(_ net.Conn, received *bufio.Reader) { _, _ = io.Copy(io.Discard, received) })
			return unreachable{endpoint: "https://" + address, change: func(transport *http.Transport) {
				transport.TLSHandshakeTimeout = 10 * time.Millisecond
			}}
		}},
		{"an unknown authority", CauseTLSUnknownAuthority, false, func(t *testing.T) unreachable {
			return unreachable{endpoint: serveTLS(t, nil).URL}
		}},
		{"a certificate that has expired", CauseTLSExpired, false, func(t *testing.T) unreachable {
			config, roots := certify(t, "127.0.0.1", time.Now().Add(-time.Hour))
			return unreachable{endpoint: serveTLS(t, config).URL, roots: roots}
		}},
		{"a certificate that is not valid yet", CauseTLSExpired, false, func(t *testing.T) unreachable {
			config, roots := certify(t, "127.0.0.1", time.Now().Add(48*time.Hour))
			return unreachable{endpoint: serveTLS(t, config).URL, roots: roots}
		}},
		{"a certificate of another host", CauseTLSName, false, func(t *testing.T) unreachable {
			config, roots := certify(t, "other.example", time.Now().Add(time.Hour))
			return unreachable{endpoint: serveTLS(t, config).URL, roots: roots}
		}},
		{"no common version", CauseTLSOther, false, func(t *testing.T) unreachable {
			return unreachable{endpoint: serveTLS(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).URL} //nolint:gosec // The old version is what the test is about.
		}},
		{"a version that was not offered", CauseTLSOther, false, func(t *testing.T) unreachable {
			return unreachable{endpoint: "https://" + listenTCP(t, func(conn net.Conn, received *bufio.Reader) {
				// A ServerHello of TLS 1.0.
				_, _ = io.WriteString(conn, "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"+strings.Repeat("r", 32)+"\x00\xc0\x2f\x00")
				_, _ = io.Copy(io.Discard, received)
			})}
		}},
		{"a server without TLS", CauseTLSOther, false, func(t *testing.T) unreachable {
			return unreachable{endpoint: "https://" + listenTCP(t, func(conn net.Conn, received *bufio.Reader) {
				_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
				_, _ = io.Copy(io.Discard, received)
			})}
		}},
		{"a server of another protocol", CauseTLSOther, false, func(t *testing.T) unreachable {
			return unreachable{endpoint: "https://" + listenTCP(t, func(conn net.Conn, received *bufio.Reader) {
				_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
				_, _ = io.Copy(io.Discard, received)
			})}
		}},
		{"a proxy that demands credentials", CauseProxyAuthentication, false, func(t *testing.T) unreachable {
			return connectProxy(t, http.StatusProxyAuthRequired)
		}},
		{"a SOCKS proxy that demands credentials", CauseProxyAuthentication, false, func(t *testing.T) unreachable {
			return socksProxy(t, 0xff, 0)
		}},
		{"a proxy that forbids it", CauseProxyRefused, false, func(t *testing.T) unreachable {
			return connectProxy(t, http.StatusForbidden)
		}},
		{"a SOCKS proxy that forbids it", CauseProxyRefused, false, func(t *testing.T) unreachable {
			return socksProxy(t, 0, 2)
		}},
		{"no proxy", CauseProxyRefused, false, func(t *testing.T) unreachable {
			return throughProxy("http", deadAddress(t))
		}},
	} {
		t.Run(test.name, func(t *testing.T) { test.with(t).fails(t, test.cause, test.sent) })
	}
}
