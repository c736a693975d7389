package graph

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConnections(nil, maxReads, maxWrites)
		first := c.get(time.Now())
		time.Sleep(minAge - time.Second)
		if c.get(time.Now()) != first {
			t.Error("renewed too early")
		}
		time.Sleep(maxAge - minAge + 2*time.Second)
		next := c.get(time.Now())
		if next == first || next.before != first || c.get(time.Now()) != next {
			t.Error("not renewed once")
		}
		time.Sleep(maxAge + time.Second)
		if last := c.get(time.Now()); last.before != next || next.before != nil {
			t.Error("an old generation is still held")
		}
	})
}

// CountConnections counts the connections of a server that has not started yet. The tests outside the package use it as
// well.
func CountConnections(server *httptest.Server) *atomic.Int64 {
	opened := new(atomic.Int64)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	return opened
}

// LeaveAlone sets how many reads of a client have a connection of their own, for the tests outside the package: the
// others share theirs.
func LeaveAlone(client *Client, reads int) { client.connections.bundles.most = reads }

// Renew has the connections of a client renewed now.
func Renew(client *Client) {
	aged := *client.connections.get(time.Now())
	aged.until = time.Now()
	client.connections.current.Store(&aged)
}

// counted starts a server that counts its connections, and a client of it.
func counted(t *testing.T, handler http.HandlerFunc) (*Client, *atomic.Int64) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	opened := CountConnections(server)
	server.Start()
	t.Cleanup(server.Close)
	client, err := New(Options{Endpoint: server.URL, Tokens: Unsigned{}, Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, opened
}

func TestARequestUnderWayKeepsItsConnection(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	client, opened := counted(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Client-Request-Id") == "slow" {
			close(arrived)
			<-release
		}
	})
	ended := make(chan error)
	go func() {
		slow := newRequest(http.MethodGet)
		slow.RequestID = "slow"
		_, err := client.Do(context.Background(), slow)
		ended <- err
	}()
	<-arrived
	old := client.connections.get(time.Now())
	aged := *old
	aged.until = time.Now()
	client.connections.current.Store(&aged)
	if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil {
		t.Fatal(err)
	}
	if client.connections.get(time.Now()).reads == old.reads || opened.Load() != 2 {
		t.Errorf("%d connections", opened.Load())
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the request under way: %v", err)
	}
}

func TestARepeatAfterA503OpensAConnection(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		var received atomic.Int64
		client, opened := counted(t, func(w http.ResponseWriter, _ *http.Request) {
			if received.Add(1)%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		for range 3 {
			if _, err := client.Do(t.Context(), newRequest(method)); err != nil {
				t.Fatal(err)
			}
		}
		// One stays open for first attempts; each repeat has its own.
		if opened.Load() != 4 {
			t.Errorf("%s: %d connections, want 4", method, opened.Load())
		}
	}
}

// dripping is a body that arrives in pieces, each after a wait, and fails when the request is cancelled.
type dripping struct {
	ctx   context.Context
	wait  func(n int) time.Duration
	piece int
	left  int
	n     int
}

func (d *dripping) Read(p []byte) (int, error) {
	if d.left <= 0 {
		return 0, io.EOF
	}
	if err := sleep(d.ctx, d.wait(d.n)); err != nil {
		return 0, err
	}
	d.n++
	n := min(d.piece, d.left, len(p))
	d.left -= n
	return copy(p[:n], bytes.Repeat([]byte(" "), n)), nil
}

func (*dripping) Close() error { return nil }

func TestABodyThatTricklesIsCut(t *testing.T) {
	every := func(wait time.Duration) func(int) time.Duration { return func(int) time.Duration { return wait } }
	for _, test := range []struct {
		name   string
		piece  int
		wait   func(n int) time.Duration
		status int
		// cut is when the body is cut; 0 when it is read to its end of 64 KiB.
		cut time.Duration
	}{
		{"a byte a second", 1, every(time.Second), 200, 10 * time.Second},
		{"nothing", 1, every(time.Hour), 200, 10 * time.Second},
		{"a little too slow", 1000, every(time.Second), 200, 10 * time.Second},
		{"fast enough", 1200, every(time.Second), 200, 0},
		{"a good beginning", 1200, func(n int) time.Duration { return time.Duration(1+n/25*3600) * time.Second }, 200, 30 * time.Second},
		{"an error", 1, every(time.Second), 404, 10 * time.Second},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, upstream := responding(t, nil)
					client.roundTrip = func(request *http.Request, _ way) (*http.Response, error) {
						body := &dripping{ctx: request.Context(), wait: test.wait, piece: test.piece, left: 64 << 10}
						return &http.Response{StatusCode: test.status, Header: http.Header{}, ContentLength: -1, Body: body}, nil
					}
					_, err := client.Do(t.Context(), newRequest(method))
					e, took := failure(t, err), time.Since(upstream.start)
					switch {
					case test.cut == 0:
						if e != nil || took < 50*time.Second {
							t.Errorf("got %+v after %v", e, took)
						}
					case e == nil || took != test.cut || e.Sent != (method == http.MethodPost):
						t.Errorf("got %+v after %v, want it to be cut after %v", e, took, test.cut)
					case test.status == 200 && (e.Kind != KindInvalidResponse || e.Cause != CauseTooSlow), test.status != 200 && (e.Kind != KindResponse || e.Status != test.status):
						t.Errorf("got %+v", e)
					}
				})
			})
		}
	}
}

func TestATrickleOverTheNetworkIsCut(t *testing.T) {
	client, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	trip := client.begin(t.Context(), newRequest(http.MethodGet), nil, way{}, time.Now())
	defer trip.close()
	request, err := client.outgoing.request(trip.within, newRequest(http.MethodGet), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, _, err := trip.roundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	body := trip.watch(response.Body)
	defer body.Close()
	// The timer does the same after ten seconds.
	go body.measure()
	if _, err := io.ReadAll(body); !errors.Is(err, errTooSlow) {
		t.Errorf("got %v", err)
	}
}

func TestAPackedErrorKeepsItsStatus(t *testing.T) {
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	io.WriteString(packer, `{"error":{"code":"PolicyNotFound"}}`)
	packer.Close()
	client, _ := counted(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Request-Id", "graph-1")
		w.WriteHeader(http.StatusNotFound)
		w.Write(packed.Bytes())
	})
	_, err := client.Do(t.Context(), newRequest(http.MethodGet))
	if e := failure(t, err); e == nil || e.Kind != KindResponse || e.Status != 404 || e.RequestID != "graph-1" || len(e.Codes) != 0 {
		t.Errorf("got %+v", e)
	}
}

// TestARequestThatIsCutWhileItIsSentIsSentOnce has a server that closes the connection in the middle of a large body.
func TestARequestThatIsCutWhileItIsSentIsSentOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var opened atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			io.CopyN(io.Discard, conn, 4<<10)
			conn.Close()
		}
	}()
	client, err := New(Options{Endpoint: "http://" + listener.Addr().String(), Tokens: Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	large := newRequest(http.MethodPost)
	large.Body = bytes.Repeat([]byte(" "), 8<<20)
	_, err = client.Do(t.Context(), large)
	if e := failure(t, err); e == nil || e.Kind != KindUnreachable || !e.Sent || opened.Load() != 1 {
		t.Errorf("got %+v after %d connections", e, opened.Load())
	}
}

// BenchmarkIdleConnections sends 16 reads at a time, with net/http's default number of idle connections and with that
// of the client. The time is CPU time as long as no core is idle.
func BenchmarkIdleConnections(b *testing.B) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	// Some connections end during the handshake.
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for _, idle := range []int{http.DefaultMaxIdleConnsPerHost, idlePerHost} {
		b.Run(strconv.Itoa(idle), func(b *testing.B) {
			client, err := New(Options{Endpoint: server.URL, Tokens: Unsigned{}, RootCAs: roots})
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			client.connections.get(time.Now()).reads.MaxIdleConnsPerHost = idle
			b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(b *testing.PB) {
				for b.Next() {
					if _, err := client.Do(context.Background(), newRequest(http.MethodGet)); err != nil {
						panic(err)
					}
				}
			})
		})
	}
}
