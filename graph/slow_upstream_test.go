package graph

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// readsOver sends reads at once, each with a deadline, and returns how many failed.
func readsOver(t *testing.T, client *Client, n int, deadline time.Duration, request *Request) int64 {
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

// TestASlowUpstreamGetsFewRequestsMore has an upstream that is slow and alive: no read is given up for that, and only
// scouts are sent besides.
func TestASlowUpstreamGetsFewRequestsMore(t *testing.T) {
	for _, test := range []struct {
		name            string
		takes, deadline time.Duration
		// more is how many requests more the upstream gets for ten rounds of 60 reads, failed how many reads fail.
		more, failed int64
	}{
		{"within the deadline", 1500 * time.Millisecond, 2 * time.Second, 2, 0},
		{"long", 20 * time.Second, time.Minute, 10, 0},
		{"longer than the deadline", 5 * time.Second, 2 * time.Second, 2, 10 * 60},
		{"quick", 10 * time.Millisecond, 2 * time.Second, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var received atomic.Int64
			var takes atomic.Int64
			overMemory(t, func(_ http.ResponseWriter, r *http.Request) {
				received.Add(1)
				select {
				case <-time.After(time.Duration(takes.Load())):
				case <-r.Context().Done():
					panic(http.ErrAbortHandler)
				}
			}, func(t *testing.T, client *Client, _ *inMemory) {
				// The connections of the first reads are reused by the others.
				takes.Store(int64(100 * time.Millisecond))
				readsOver(t, client, 60, time.Minute, newRequest(http.MethodGet))
				takes.Store(int64(test.takes))
				received.Store(0)
				var failed int64
				for range 10 {
					failed += readsOver(t, client, 60, test.deadline, newRequest(http.MethodGet))
				}
				if more := received.Load() - 10*60; more > test.more || failed != test.failed {
					t.Errorf("%d requests more than reads, want at most %d; %d reads failed, want %d", more, test.more, failed, test.failed)
				}
			})
		})
	}
}

func TestSilenceIsRememberedForFewTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := silences{tenants: make(map[string]*silence)}
		for n := range 2 * maxSilences {
			one := &trip{request: &Request{Tenant: time.Duration(n).String()}, began: time.Now()}
			if scouts := s.report(one); scouts != (n < maxSilences) {
				t.Fatalf("tenant %d: scout %t", n, scouts)
			}
		}
		for n := range maxSilences {
			s.verdict(time.Duration(n).String(), slow)
		}
		time.Sleep(slowPeriod + time.Second)
		if !s.report(&trip{request: &Request{Tenant: "new"}, began: time.Now()}) || len(s.tenants) != 1 {
			t.Errorf("%d tenants are remembered", len(s.tenants))
		}
	})
}

// TestDeadConnectionsAreReplacedForEachTenant has reads of ten tenants on connections that died, beside one that is
// alive.
func TestDeadConnectionsAreReplacedForEachTenant(t *testing.T) {
	overMemory(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }, func(t *testing.T, client *Client, network *inMemory) {
		var group sync.WaitGroup
		for n := range 2 {
			for tenant := range 10 {
				group.Go(func() {
					request := readOf(time.Duration(tenant).String())
					if failed := readsOver(t, client, 6, 2*time.Second, request); failed != 0 {
						t.Errorf("round %d: %d reads of tenant %d failed", n, failed, tenant)
					}
				})
			}
			group.Wait()
			// The last of the first connections stays alive.
			network.lost.Store(network.dialed.Load() - 1)
		}
	})
}
