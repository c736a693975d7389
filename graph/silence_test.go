package graph_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

// natProxy forwards connections to an upstream. It can forget those that it has: it then forwards nothing more on them,
// and closes them neither. A NAT or a load balancer does that.
type natProxy struct {
	listener net.Listener
	upstream string
	// epoch counts how often it forgot.
	epoch  atomic.Int64
	opened atomic.Int64
	group  sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn
}

func startNATProxy(t *testing.T, upstream string) *natProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &natProxy{listener: listener, upstream: upstream}
	p.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.opened.Add(1)
			to, err := net.Dial("tcp", upstream)
			if err != nil {
				conn.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn, to)
			p.mu.Unlock()
			epoch := p.epoch.Load()
			p.group.Go(func() { p.forward(to, conn, epoch) })
			p.group.Go(func() { p.forward(conn, to, epoch) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

// forward copies until either side closes. Of a connection that it has forgotten it drops every byte.
func (p *natProxy) forward(to, from net.Conn, epoch int64) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		forgotten := p.epoch.Load() != epoch
		if err != nil {
			if !forgotten {
				to.Close()
			}
			return
		}
		if !forgotten {
			to.Write(buffer[:n])
		}
	}
}

// atOnce sends requests at once, each with its own deadline, and returns how many failed.
func atOnce(t *testing.T, client *graph.Client, n int, deadline time.Duration, request *graph.Request) int64 {
	t.Helper()
	var failed atomic.Int64
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			if _, err := client.Do(ctx, request); err != nil {
				failed.Add(1)
			}
		})
	}
	group.Wait()
	return failed.Load()
}

func TestConnectionsThatDiedSilentlyAreReplaced(t *testing.T) {
	const reads = 60
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			// No response is sent before all first requests are there, so that each has a connection.
			var waiting sync.WaitGroup
			waiting.Add(reads)
			var first atomic.Int64
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if first.Add(1) <= reads {
					waiting.Done()
					waiting.Wait()
				}
				io.WriteString(w, "{}")
			}))
			t.Cleanup(upstream.Close)
			proxy := startNATProxy(t, upstream.Listener.Addr().String())
			client := newClient(t, "http://"+proxy.listener.Addr().String()+"/v1.0")
			request := read()
			if method != http.MethodGet {
				request = write()
			}
			if failed := atOnce(t, client, reads, time.Minute, request); failed != 0 || proxy.opened.Load() != reads {
				t.Fatalf("%d of %d requests failed, %d connections", failed, reads, proxy.opened.Load())
			}
			proxy.epoch.Add(1)
			start := time.Now()
			if method == http.MethodGet {
				if failed := atOnce(t, client, reads, 2*time.Second, request); failed > 2 {
					t.Errorf("%d of %d reads failed over connections that died silently", failed, reads)
				}
			} else if failed := atOnce(t, client, 1, 2*time.Second, request); failed != 1 {
				t.Error("a write over a connection that died silently cannot work")
			}
			for round := range 2 {
				if failed := atOnce(t, client, reads, 2*time.Second, request); failed != 0 {
					t.Errorf("round %d: %d of %d requests failed", round, failed, reads)
				}
			}
			t.Logf("all well after %v, %d connections", time.Since(start), proxy.opened.Load())
		})
	}
}
