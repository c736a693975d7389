package graph_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/m365backup/backupstorage/graph"
)

// sharing starts an upstream over TLS, whose connections it counts, and a client of it with enough permits.
func sharing(t *testing.T, handler http.HandlerFunc, change func(*httptest.Server)) (*graph.Client, *atomic.Int64) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = nothingLogged()
	opened := graph.CountConnections(server)
	server.EnableHTTP2 = true
	if change != nil {
		change(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return sharingClient(t, server.URL, server.Certificate()), opened
}

func sharingClient(t *testing.T, url string, trusted *x509.Certificate) *graph.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(trusted)
	client, err := graph.New(graph.Options{
		Endpoint: url + "/v1.0", Tokens: fixedToken("secret"), RootCAs: roots, Repeats: -1, MaxReads: 1000, OneTenant: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// With a connection for each, these reads would start 500 handshakes.
func TestReadsBeyondTheFirstShareConnections(t *testing.T) {
	const reads = 500
	client, opened := sharing(t, whenAllAreThere(reads), nil)
	for range 2 {
		together(t, client, reads, http.MethodGet)
	}
	// Four bundles, each of which makes two at once.
	if got := opened.Load(); got > 128+4*2 {
		t.Errorf("opened %d connections for %d reads", got, reads)
	}
}

func TestBundlesWithUpstreamsOfAllKinds(t *testing.T) {
	const reads = 150
	for _, test := range []struct {
		name   string
		change func(*httptest.Server)
		// most is how many connections are opened at most, by two rounds of reads. In each round a bundle may open as many
		// as it makes at once in vain: whether a stream ends before the handshake does is chance.
		most int64
	}{
		{"HTTP/2", nil, 10 + 2*2},
		{"few streams on a connection", func(s *httptest.Server) {
			s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 20}
		}, 10 + 2*(5+2*2)},
		{"HTTP/1.1", func(s *httptest.Server) { s.EnableHTTP2 = false }, reads},
		{"HTTP/1.1 that ignores what clients offer", func(s *httptest.Server) {
			// Go's server refuses clients that offer nothing that it has.
			s.EnableHTTP2 = false
			s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				own := s.TLS.Clone()
				own.NextProtos, own.GetConfigForClient = nil, nil
				return own, nil
			}}
		}, reads},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client, opened := sharing(t, whenAllAreThere(reads), test.change)
			graph.LeaveAlone(client, 10)
			together(t, client, reads, http.MethodGet)
			if test.most == reads {
				// Some were opened in vain, to find out.
				opened.Store(0)
			}
			together(t, client, reads, http.MethodGet)
			if got := opened.Load(); got > test.most {
				t.Errorf("opened %d connections, want %d at most", got, test.most)
			}
		})
	}
}

// A read over HTTP/2 that was not processed, or that got no response, is sent again like any other.
func TestHTTP2EndsReadsAsItEndsWrites(t *testing.T) {
	for name, ends := range map[string]ending{
		"refused": reset(http2.ErrCodeRefusedStream), "goes away": goAway(0), "goes away behind it": goAway(1), "reset": reset(http2.ErrCodeInternal),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, roots, received := http2Server(t, ends, respondOK)
			client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: fixedToken("secret"), RootCAs: roots, Backoff: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			graph.LeaveAlone(client, 0)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if name == "goes away behind it" {
				// The connection ends after the response, which never comes.
				ends = goAway(1)
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				fails(t, ctx, client, read(), graph.KindDeadline)
				ctx = t.Context()
			}
			if _, err := client.Do(ctx, read()); err != nil || received.Load() != 2 {
				t.Errorf("got %v after %d requests", err, received.Load())
			}
		})
	}
}

func TestSharedConnectionsThatDiedSilentlyAreReplaced(t *testing.T) {
	const reads = 60
	upstream := httptest.NewUnstartedServer(whenAllAreThere(1))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	proxy := startNATProxy(t, upstream.Listener.Addr().String())
	client := sharingClient(t, "https://"+proxy.listener.Addr().String(), upstream.Certificate())
	graph.LeaveAlone(client, 0)
	if failed := atOnce(t, client, reads, time.Minute, read()); failed != 0 || proxy.opened.Load() > 2 {
		t.Fatalf("%d of %d reads failed, %d connections", failed, reads, proxy.opened.Load())
	}
	proxy.epoch.Add(1)
	if failed := atOnce(t, client, reads, 4*time.Second, read()); failed > 2 {
		t.Errorf("%d of %d reads failed over a connection that died silently", failed, reads)
	}
	before := proxy.opened.Load()
	begin := time.Now()
	for range 3 {
		if failed := atOnce(t, client, reads, 4*time.Second, read()); failed != 0 {
			t.Errorf("%d of %d reads failed later", failed, reads)
		}
	}
	// Reads that find the dead connection get one each, after a second.
	if more := proxy.opened.Load() - before; more > 4 {
		t.Errorf("%d connections were opened later, in %v", more, time.Since(begin))
	}
}

// A dial that hangs holds up the reads that wait for it, and none that come after them.
func TestADialThatHangsHoldsUpNoLaterRead(t *testing.T) {
	upstream := httptest.NewUnstartedServer(whenAllAreThere(1))
	upstream.EnableHTTP2 = true
	inner := upstream.Listener
	hangs := make(chan net.Conn, 16)
	var hanging atomic.Bool
	hanging.Store(true)
	upstream.Listener = &choosing{inner, func(conn net.Conn) bool {
		if !hanging.Load() {
			return true
		}
		hangs <- conn
		return false
	}}
	upstream.StartTLS()
	t.Cleanup(func() {
		upstream.Close()
		for len(hangs) > 0 {
			(<-hangs).Close()
		}
	})
	client := sharingClient(t, upstream.URL, upstream.Certificate())
	graph.LeaveAlone(client, 0)
	if failed := atOnce(t, client, 10, 500*time.Millisecond, read()); failed != 10 {
		t.Fatalf("%d of 10 reads failed while no handshake ends", failed)
	}
	hanging.Store(false)
	if failed := atOnce(t, client, 10, 5*time.Second, read()); failed != 0 {
		t.Errorf("%d of 10 reads failed after that", failed)
	}
}

// choosing is a listener that keeps some connections to itself.
type choosing struct {
	net.Listener
	takes func(net.Conn) bool
}

func (c *choosing) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || c.takes(conn) {
			return conn, err
		}
	}
}

func TestSharedConnectionsAreRenewed(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	client, opened := sharing(t, func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "slow") {
			close(arrived)
			<-release
		}
	}, nil)
	graph.LeaveAlone(client, 0)
	ended := make(chan error)
	go func() {
		slow := read()
		slow.Target += "/slow"
		_, err := client.Do(context.Background(), slow)
		ended <- err
	}()
	<-arrived
	graph.Renew(client)
	if _, err := client.Do(t.Context(), read()); err != nil || opened.Load() != 2 {
		t.Errorf("%d connections, %v", opened.Load(), err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the read under way: %v", err)
	}
}
