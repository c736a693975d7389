package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// inMemory is a network of connections in memory. In a bubble of synctest the time limits of the transport pass at
// once.
type inMemory struct {
	accepted chan net.Conn
	closed   chan struct{}
	dialed   atomic.Int64
	// lost is how many of the first connections are dead: what is written to them is lost without an error.
	lost atomic.Int64
}

func (n *inMemory) Accept() (net.Conn, error) {
	select {
	case conn := <-n.accepted:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *inMemory) Close() error {
	close(n.closed)
	return nil
}

func (*inMemory) Addr() net.Addr { return &net.TCPAddr{} }

func (n *inMemory) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	n.accepted <- server
	return &losable{client, n, n.dialed.Add(1)}, nil
}

type losable struct {
	net.Conn
	network *inMemory
	number  int64
}

func (l *losable) Write(p []byte) (int, error) {
	if l.number <= l.network.lost.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// overMemory runs a test in a bubble with a server of HTTP/1.1 and HTTP/2 and a client of it that repeats nothing. The
// client's transports are those of New, except for the dialer.
func overMemory(t *testing.T, handler http.HandlerFunc, test func(*testing.T, *Client, *inMemory)) {
	t.Helper()
	// The server is only needed for its certificate.
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	synctest.Test(t, func(t *testing.T) {
		network := &inMemory{accepted: make(chan net.Conn), closed: make(chan struct{})}
		// Session tickets would arrive while the client writes, and a pipe has no buffer for them.
		config := &tls.Config{Certificates: certified.TLS.Certificates, SessionTicketsDisabled: true}
		server := &http.Server{Handler: handler, TLSConfig: config}
		ended := make(chan error)
		go func() { ended <- server.ServeTLS(network, "", "") }()
		client, err := New(Options{Endpoint: "https://example.com", Tokens: Unsigned{}, RootCAs: roots, Repeats: -1})
		if err != nil {
			t.Fatal(err)
		}
		g := client.connections.get(time.Now())
		g.reads.DialContext, g.writes.DialContext, g.fresh.DialContext = network.dial, network.dial, network.dial
		test(t, client, network)
		client.Close()
		// crypto/tls waits 5 s until the other side takes the end of a connection, and a server that closes holds its lock
		// meanwhile: for who waits for the lock, a bubble lets no time pass. So all have to be at rest before.
		time.Sleep(6 * time.Second)
		server.Close()
		<-ended
		time.Sleep(6 * time.Second)
	})
}

func TestADeadConnectionFailsWritesForSecondsOnly(t *testing.T) {
	overMemory(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, client *Client, network *inMemory) {
		for _, test := range []struct {
			lost int64
			fail bool
		}{{0, false}, {1, true}, {1, false}} {
			network.lost.Store(test.lost)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			got := <-begin(t, ctx, client, newRequest(http.MethodPost))
			cancel()
			if (got.err != nil) != test.fail || got.took > 25*time.Second {
				t.Errorf("%d connections of %d are dead: got %+v after %v", test.lost, network.dialed.Load(), got.err, got.took)
			}
			if got.err != nil && (got.err.Kind != KindUnreachable || !got.err.Sent) {
				t.Errorf("got %+v", got.err)
			}
		}
	})
}

func TestAResponseIsWaitedForAMinute(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			overMemory(t, silent, func(t *testing.T, client *Client, _ *inMemory) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				got := <-begin(t, ctx, client, newRequest(method))
				if got.err == nil || got.err.Kind != KindUnreachable || got.err.Cause != CauseTimeout || got.took != time.Minute {
					t.Errorf("got %+v after %v", got.err, got.took)
				}
			})
		})
	}
}

func TestDialsThatHangDoNotBlockLaterWrites(t *testing.T) {
	overMemory(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, client *Client, network *inMemory) {
		network.lost.Store(math.MaxInt64)
		var hanging sync.WaitGroup
		for range maxWrites {
			hanging.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := client.Do(ctx, newRequest(http.MethodPost)); err == nil {
					t.Error("a write got through a network that takes none")
				}
			})
		}
		hanging.Wait()
		network.lost.Store(network.dialed.Load())
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if got := <-begin(t, ctx, client, newRequest(http.MethodPost)); got.err != nil {
			t.Errorf("the network is well again: %+v after %v", got.err, got.took)
		}
	})
}
