package connection

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The tests of graph and graph/credential cause the other failures, over connections to Graph and to the authority.
// net/http has no types for these.
func TestAnHTTP2ConnectionThatEndsIsReset(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"no longer responds to pings": func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"goes away": func(conn net.Conn) {
			// GOAWAY, for which no stream was processed and with the error INTERNAL_ERROR.
			_, _ = conn.Write([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})
		},
		"closes": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			certified := httptest.NewTLSServer(http.NotFoundHandler())
			roots := x509.NewCertPool()
			roots.AddCert(certified.Certificate())
			certified.Close()
			listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				// A client of another test may look for a server that had this port before.
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					serving.Go(func() {
						defer conn.Close()
						// The server's SETTINGS, then the preface, the SETTINGS and the request of the client.
						if _, err := conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}); err != nil {
							return
						}
						if _, err := conn.Read(make([]byte, 1<<10)); err == nil {
							end(conn)
						}
					})
				}
			})
			var conns Conns
			transport := conns.Transport(roots, true)
			transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 10*time.Millisecond, 10*time.Millisecond
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+listener.Addr().String(), io.NopCloser(http.NoBody))
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err == nil {
				response.Body.Close()
				t.Fatalf("got %s", response.Status)
			}
			if got := CauseOf(err); got != reset {
				t.Errorf("got %q of %v", got, err)
			}
			conns.Close()
			listener.Close()
			serving.Wait()
		})
	}
}
