package graph

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveWrites starts a server of HTTP/2 that takes a number of streams on each connection, and a client of it.
func serveWrites(t *testing.T, streams int, handler http.HandlerFunc) (*Client, *atomic.Int64) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	opened := CountConnections(server)
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := New(Options{Endpoint: server.URL, Tokens: Unsigned{}, RootCAs: roots, Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, opened
}

// renew makes the connections due for renewal.
func renew(client *Client) {
	aged := *client.connections.get(time.Now())
	aged.until = time.Now()
	client.connections.current.Store(&aged)
}

// TestAThousandWritesAtOnceShareTheirConnections prints how many connections they made, and how long that took. No
// response is sent before all requests are there, so that a full connection stays full. No server takes fewer than 100
// streams.
func TestAThousandWritesAtOnceShareTheirConnections(t *testing.T) {
	const writes = 1000
	for _, streams := range []int{100, 250} {
		t.Run(fmt.Sprintf("%d streams on each", streams), func(t *testing.T) {
			var mutex sync.Mutex
			waiting, all := 0, make(chan struct{})
			client, opened := serveWrites(t, streams, func(_ http.ResponseWriter, r *http.Request) {
				mutex.Lock()
				release := all
				if waiting++; waiting == writes {
					close(all)
					waiting, all = 0, make(chan struct{})
				}
				mutex.Unlock()
				select {
				case <-release:
				case <-r.Context().Done():
				}
			})
			for _, when := range []string{"cold", "warm", "renewed", "renewed again"} {
				if when[0] == 'r' {
					renew(client)
				}
				before, start := opened.Load(), time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				var group sync.WaitGroup
				for range writes {
					group.Go(func() {
						if _, err := client.Do(ctx, newRequest(http.MethodPost)); err != nil {
							t.Errorf("%s: %v", when, failure(t, err).Err)
							cancel()
						}
					})
				}
				group.Wait()
				cancel()
				made := opened.Load() - before
				t.Logf("%s: %d connections in %v", when, made, time.Since(start).Round(time.Millisecond))
				// The connections that they need, and those that were being made meanwhile.
				if limit := int64(writes/streams + 5*maxWrites); made > limit || when == "warm" && made > maxWrites {
					t.Errorf("%s: %d connections, want at most %d", when, made, limit)
				}
			}
		})
	}
}

// TestWritesThatGiveUpLeaveNoConnectionCounted has callers give up while connections are made and lost. net/http has
// miscounted its connections then (golang.org/issue/61474), until no request got one.
func TestWritesThatGiveUpLeaveNoConnectionCounted(t *testing.T) {
	client, _ := serveWrites(t, 100, func(http.ResponseWriter, *http.Request) {})
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for n := range 4 * maxWrites {
			group.Go(func() {
				if n == 3*maxWrites {
					client.connections.giveUpDialing()
					cancel()
				}
				client.Do(ctx, newRequest(http.MethodPost))
			})
		}
		group.Wait()
		cancel()
	}
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var group sync.WaitGroup
		for range 4 * maxWrites {
			group.Go(func() {
				if _, err := client.Do(ctx, newRequest(http.MethodPost)); err != nil {
					t.Error(failure(t, err).Err)
				}
			})
		}
		group.Wait()
		cancel()
	}
}
