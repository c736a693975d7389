package credential

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

// asked is an authority in memory: it counts the requests, and a function responds to them.
type asked struct {
	mu       sync.Mutex
	requests []graph.TokenRequest
	respond  func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error)
}

func (a *asked) fetch(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error) {
	a.mu.Lock()
	a.requests = append(a.requests, request)
	number := len(a.requests)
	a.mu.Unlock()
	return a.respond(ctx, number, request)
}

func (a *asked) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

// numbered responds with tokens that are good for an hour: a1 is the first one of tenant a.
func numbered(_ context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: fmt.Sprint(request.Tenant, number), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// after responds like another function, but later.
func after(wait time.Duration, respond func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error)) func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error) {
	return func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		select {
		case <-time.After(wait):
			return respond(ctx, number, request)
		case <-ctx.Done():
			return azcore.AccessToken{}, ctx.Err()
		}
	}
}

// hanging responds when the request has timed out.
func hanging(ctx context.Context, _ int, _ graph.TokenRequest) (azcore.AccessToken, error) {
	<-ctx.Done()
	return azcore.AccessToken{}, ctx.Err()
}

// inTime runs a test on a clock of its own.
func inTime(t *testing.T, respond func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error), test func(t *testing.T, a *asked, c *cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &asked{respond: respond}
		c := newCache(a.fetch, func() hash { return hash{} })
		defer c.close()
		test(t, a, c)
	})
}

func want(t *testing.T, c *cache, request graph.TokenRequest, token string) {
	t.Helper()
	got, err := c.token(t.Context(), request)
	if err != nil || got != token {
		t.Errorf("got %q and error %v, want %q", got, err, token)
	}
}

func wantKind(t *testing.T, c *cache, request graph.TokenRequest, kind graph.TokenKind) {
	t.Helper()
	got, err := c.token(t.Context(), request)
	var failed *graph.TokenError
	if !errors.As(err, &failed) || failed.Kind != kind {
		t.Errorf("got %q and error %v, want kind %d", got, err, kind)
	}
}

func TestFirstCallsAtOnceCostOneRequestATenant(t *testing.T) {
	inTime(t, after(time.Second, func(_ context.Context, _ int, request graph.TokenRequest) (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: "of " + request.Tenant, ExpiresOn: time.Now().Add(time.Hour)}, nil
	}), func(t *testing.T, a *asked, c *cache) {
		var calls sync.WaitGroup
		for n := range 1000 {
			tenant := "ab"[n%2 : n%2+1]
			calls.Go(func() { want(t, c, graph.TokenRequest{Tenant: tenant}, "of "+tenant) })
		}
		calls.Wait()
		if a.count() != 2 {
			t.Errorf("%d requests, want 2", a.count())
		}
	})
}

func TestACallerKeepsItsDeadlineAndTheOthersTheirToken(t *testing.T) {
	inTime(t, after(2*time.Second, numbered), func(t *testing.T, a *asked, c *cache) {
		start := time.Now()
		var others sync.WaitGroup
		others.Go(func() {
			want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("the other caller waited %v, want 2s", took)
			}
		})
		// The caller without patience comes first or second. In both cases the token request outlives it.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := c.token(ctx, graph.TokenRequest{Tenant: "a"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 200*time.Millisecond {
			t.Errorf("returned after %v, want 200ms", took)
		}
		others.Wait()
		if a.count() != 1 {
			t.Errorf("%d requests, want 1", a.count())
		}
	})
}

func TestATenantThatHangsBlocksNoOther(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if request.Tenant == "hangs" {
			return hanging(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		start := time.Now()
		var hanging sync.WaitGroup
		hanging.Go(func() { wantKind(t, c, graph.TokenRequest{Tenant: "hangs"}, graph.TokenUnavailable) })
		synctest.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
		if time.Since(start) != 0 {
			t.Errorf("the other tenant waited %v", time.Since(start))
		}
		hanging.Wait()
		if time.Since(start) != fetchTime {
			t.Errorf("given up after %v, want %v", time.Since(start), fetchTime)
		}
	})
}

func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		a.respond = numbered
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(44 * time.Minute)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		if a.count() != 1 {
			t.Fatalf("%d requests after 44 minutes", a.count())
		}
		time.Sleep(5 * time.Minute)
		a.respond = after(2*time.Second, numbered)
		for range 10 {
			want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		}
		time.Sleep(3 * time.Second)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
		if a.count() != 2 {
			t.Errorf("%d requests, want 2", a.count())
		}
	})
}

func TestTheTokensOwnRefreshTimeCounts(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		token, err := numbered(ctx, number, request)
		token.RefreshOn = time.Now().Add(10 * time.Minute)
		return token, err
	}, func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(11 * time.Minute)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		synctest.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
	})
}

func TestASlowDiskDelaysNoCallerWithAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{respond: func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
			if request.Tenant == "refused" {
				return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenRefused}
			}
			return numbered(ctx, number, request)
		}}
		var slow atomic.Bool
		var reads atomic.Int32
		c := newCache(a.fetch, func() hash {
			reads.Add(1)
			if slow.Load() {
				time.Sleep(3 * time.Second)
			}
			return hash{}
		})
		defer c.close()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		wantKind(t, c, graph.TokenRequest{Tenant: "refused"}, graph.TokenRefused)
		time.Sleep(2 * time.Second)
		slow.Store(true)
		before := reads.Load()
		start := time.Now()
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() { wantKind(t, c, graph.TokenRequest{Tenant: "refused"}, graph.TokenRefused) })
		}
		synctest.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		if took := time.Since(start); took != 0 {
			t.Errorf("another tenant waited %v", took)
		}
		// A caller whose deadline passes does not wait for it either.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.token(ctx, graph.TokenRequest{Tenant: "refused"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		waiting.Wait()
		if took, n := time.Since(start), reads.Load()-before; took != 3*time.Second || n != 1 {
			t.Errorf("the tenant itself waited %v, and the file was read %d times", took, n)
		}
	})
}

func TestARefreshTimeInThePastCostsFewRequests(t *testing.T) {
	for _, renewal := range []time.Duration{-time.Minute, 0, time.Minute} {
		inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
			token, err := numbered(ctx, number, request)
			token.ExpiresOn, token.RefreshOn = time.Now().Add(24*time.Hour), time.Now().Add(renewal)
			return token, err
		}, func(t *testing.T, a *asked, c *cache) {
			for range 1000 {
				if _, err := c.token(t.Context(), graph.TokenRequest{Tenant: "a"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				time.Sleep(10 * time.Millisecond)
			}
			if n := a.count(); n > 2 {
				t.Errorf("renewal in %v: 1000 calls in 10 s cost %d requests", renewal, n)
			}
		})
	}
}

func TestClosingEndsTheRequestsUnderWay(t *testing.T) {
	inTime(t, after(10*time.Second, numbered), func(t *testing.T, _ *asked, c *cache) {
		var calls sync.WaitGroup
		calls.Go(func() { wantKind(t, c, graph.TokenRequest{Tenant: "a"}, graph.TokenUnavailable) })
		synctest.Wait()
		start := time.Now()
		c.close()
		if time.Since(start) != 0 {
			t.Errorf("closed after %v", time.Since(start))
		}
		calls.Wait()
	})
}

func TestAnOlderFlightDoesNotReplaceANewerToken(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if number == 2 {
			return after(2*time.Second, numbered)(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(50 * time.Minute)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1") // Its renewal takes two seconds.
		synctest.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a1"}, "a3")
		time.Sleep(3 * time.Second)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a3")
	})
}

func TestUsersAndTheApplicationShareNothing(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		for range 2 {
			want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
			want(t, c, graph.TokenRequest{Tenant: "a", UserAssertion: "one"}, "a2")
			want(t, c, graph.TokenRequest{Tenant: "a", UserAssertion: "two"}, "a3")
			want(t, c, graph.TokenRequest{Tenant: "b", UserAssertion: "one"}, "b4")
		}
		if a.count() != 4 {
			t.Errorf("%d requests, want 4", a.count())
		}
	})
}

func TestNoAssertionAndNoClaimIsHeld(t *testing.T) {
	assertion, claims := strings.Repeat("assertion", 10_000), strings.Repeat("claims", 10_000)
	a := &asked{respond: numbered}
	c := newCache(func(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error) {
		return numbered(ctx, 1, request)
	}, func() hash { return hash{} })
	defer c.close()
	var before, afterwards runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const users = 1000
	for n := range users {
		// Each of them has 150 kB of its own.
		request := graph.TokenRequest{Tenant: "a", UserAssertion: fmt.Sprint(n, assertion), Claims: fmt.Sprint(n, claims)}
		if _, err := c.token(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&afterwards)
	if grown := int64(afterwards.HeapAlloc) - int64(before.HeapAlloc); grown > users*4096 {
		t.Errorf("%d users take %d bytes", users, grown)
	}
	runtime.KeepAlive(a)
	runtime.KeepAlive(c)
}
