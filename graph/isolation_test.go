package graph_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

// upstreamDelay is how long the upstream of these tests takes for a tenant that is well, so that they do not measure
// the CPU.
const upstreamDelay = 50 * time.Millisecond

// tenantPath names the tenant in the path, for the upstream.
func tenantPath(tenant string) string { return policies + "/" + tenant }

func readOf(tenant string) *graph.Request {
	return &graph.Request{Method: http.MethodGet, Target: tenantPath(tenant), Tenant: tenant, RequestID: requestID, Safe: true}
}

func writeOf(tenant string) *graph.Request {
	return &graph.Request{Method: http.MethodPost, Target: tenantPath(tenant), Tenant: tenant, RequestID: requestID, Body: []byte(`{"a":1}`)}
}

// hanging is an upstream that never answers tenants whose name begins with `x`, and the others after upstreamDelay.
type hanging struct {
	// underWay counts the requests that hang.
	underWay atomic.Int64
}

func (h *hanging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Only then does the server notice that the client has gone.
	io.Copy(io.Discard, r.Body)
	if strings.Contains(r.URL.Path, "/x") {
		h.underWay.Add(1)
		defer h.underWay.Add(-1)
		<-r.Context().Done()
		return
	}
	select {
	case <-time.After(upstreamDelay):
		w.Write([]byte("{}"))
	case <-r.Context().Done():
	}
}

// protocol is how the upstream is reached.
type protocol string

const (
	withoutTLS protocol = "HTTP/1.1 without TLS"
	overTLS    protocol = "HTTP/1.1 over TLS"
	overHTTP2  protocol = "HTTP/2"
)

// over starts an upstream and a client of it.
func over(t *testing.T, how protocol, handler http.Handler, options graph.Options) *graph.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = nothingLogged()
	if how == withoutTLS {
		server.Start()
	} else {
		server.EnableHTTP2 = how == overHTTP2
		server.StartTLS()
		options.RootCAs = x509.NewCertPool()
		options.RootCAs.AddCert(server.Certificate())
	}
	t.Cleanup(server.Close)
	options.Endpoint, options.Tokens, options.Repeats = server.URL+"/v1.0", fixedToken("secret"), -1
	client, err := graph.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// flood sends requests at once, and returns when all have begun. They end with the test. refused counts those that the
// client refuses.
func flood(t *testing.T, client *graph.Client, requests []*graph.Request) (refused *atomic.Int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	refused = new(atomic.Int64)
	started := make(chan struct{}, len(requests))
	for _, request := range requests {
		group.Go(func() {
			started <- struct{}{}
			_, err := client.Do(ctx, request)
			var failed *graph.Error
			if errors.As(err, &failed) && failed.Kind != graph.KindCancelled {
				refused.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	for range requests {
		<-started
	}
	return refused
}

// steady waits until a number has not changed for a while, and returns it.
func steady(number func() int64) int64 {
	last, since := number(), time.Now()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for time.Since(since) < time.Second {
		<-ticker.C
		if now := number(); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

// p99 sends 200 requests, sixteen at a time, each with a deadline of 5 s, and returns the 99th percentile of the times.
func p99(t *testing.T, client *graph.Client, request *graph.Request) time.Duration {
	t.Helper()
	const requests, parallel = 200, 16
	took := make([]time.Duration, requests)
	var group sync.WaitGroup
	for first := range parallel {
		group.Go(func() {
			for n := first; n < requests; n += parallel {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				start := time.Now()
				_, err := client.Do(ctx, request)
				cancel()
				took[n] = time.Since(start)
				if err != nil {
					t.Errorf("a request of a tenant that is well: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	return took[requests*99/100]
}

// stays fails unless the 99th percentile is within twice its quiet value. It measures up to three times, since other
// programs use the CPU as well: a fault of the client would be there each time.
func stays(t *testing.T, client *graph.Client, request *graph.Request, quiet time.Duration) {
	t.Helper()
	var got time.Duration
	for range 3 {
		if got = p99(t, client, request); got <= 2*quiet || t.Failed() {
			return
		}
	}
	t.Errorf("p99 is %v, and %v while all is quiet", got, quiet)
}

func times(n int, request *graph.Request) []*graph.Request {
	return slices.Repeat([]*graph.Request{request}, n)
}

// TestHangingRequestsOfATenantStayItsOwn has a tenant that takes all it can, of reads and of writes.
func TestHangingRequestsOfATenantStayItsOwn(t *testing.T) {
	for _, test := range []struct {
		how     protocol
		request func(tenant string) *graph.Request
	}{{withoutTLS, readOf}, {withoutTLS, writeOf}, {overTLS, writeOf}, {overHTTP2, writeOf}} {
		t.Run(fmt.Sprintf("%s over %s", test.request("y").Method, test.how), func(t *testing.T) {
			upstream := new(hanging)
			client := over(t, test.how, upstream, graph.Options{})
			quiet := p99(t, client, test.request("y"))
			flood(t, client, times(600, test.request("x")))
			taken := steady(upstream.underWay.Load)
			stays(t, client, test.request("y"), quiet)
			// A tenant that was never seen before is served as well.
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := client.Do(ctx, test.request("z")); err != nil {
				t.Errorf("a tenant that was never seen before: %v", err)
			}
			t.Logf("p99 %v quiet; %d requests of the other tenant hang", quiet, taken)
		})
	}
}

// TestBodiesThatNobodyReadsHoldUpNoOtherTenant has an upstream that reads no body of one tenant: over HTTP/2 these
// bodies would fill the window of the connection that all writes share.
func TestBodiesThatNobodyReadsHoldUpNoOtherTenant(t *testing.T) {
	upstream, done := new(hanging), make(chan struct{})
	client := over(t, overHTTP2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/x") {
			upstream.underWay.Add(1)
			// A handler that reads no body does not notice that the client has gone.
			<-done
			return
		}
		upstream.ServeHTTP(w, r)
	}), graph.Options{})
	t.Cleanup(func() { close(done) })
	quiet := p99(t, client, writeOf("y"))
	large := writeOf("x")
	large.Body = bytes.Repeat([]byte(" "), 256<<10)
	flood(t, client, times(60, large))
	if taken := steady(upstream.underWay.Load); taken < 60 {
		t.Errorf("%d of 60 requests reached the upstream", taken)
	}
	stays(t, client, writeOf("y"), quiet)
}

// TestInventedTenantsDoNotTakeEverything has 10,000 tenants of which each sends one request that hangs.
func TestInventedTenantsDoNotTakeEverything(t *testing.T) {
	for _, request := range []func(string) *graph.Request{readOf, writeOf} {
		t.Run(request("y").Method, func(t *testing.T) {
			upstream := new(hanging)
			client := over(t, withoutTLS, upstream, graph.Options{})
			quiet := p99(t, client, request("y"))
			var invented []*graph.Request
			for n := range 10_000 {
				invented = append(invented, request(fmt.Sprintf("x%d", n)))
			}
			refused := flood(t, client, invented)
			taken := steady(upstream.underWay.Load)
			stays(t, client, request("y"), quiet)
			t.Logf("%d requests hang, %d were refused", taken, steady(refused.Load))
		})
	}
}
