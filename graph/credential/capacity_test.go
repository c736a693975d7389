package credential

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

func TestTheLeastRecentlyUsedTokensAreEvicted(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		c.users.limit = 3
		user := func(name string) graph.TokenRequest { return graph.TokenRequest{Tenant: "a", UserAssertion: name} }
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		want(t, c, user("one"), "a2")
		want(t, c, user("two"), "a3")
		want(t, c, user("three"), "a4")
		want(t, c, user("one"), "a2")
		want(t, c, user("four"), "a5")
		want(t, c, user("one"), "a2")
		want(t, c, user("two"), "a6")
		// Users do not evict tenants.
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		if len(c.users.entries) != 3 || c.users.with.all.Len() != 3 {
			t.Errorf("%d entries for 3", len(c.users.entries))
		}
	})
}

func TestTenantsWithoutATokenEvictNoTokens(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if strings.HasPrefix(request.Tenant, "unknown") {
			return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenRefused}
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, a *asked, c *cache) {
		c.tenants = newRecent(3)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		want(t, c, graph.TokenRequest{Tenant: "b"}, "b2")
		for round := range 2 {
			for n := range 10 {
				// Twice, since the second refusal comes from the cache.
				wantKind(t, c, graph.TokenRequest{Tenant: fmt.Sprint("unknown", round, n)}, graph.TokenRefused)
				wantKind(t, c, graph.TokenRequest{Tenant: fmt.Sprint("unknown", round, n)}, graph.TokenRefused)
			}
		}
		if a.count() != 22 {
			t.Errorf("%d requests, want 22", a.count())
		}
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		want(t, c, graph.TokenRequest{Tenant: "b"}, "b2")
		// A tenant that gets a token later counts like the others.
		want(t, c, graph.TokenRequest{Tenant: "c"}, "c23")
		want(t, c, graph.TokenRequest{Tenant: "c"}, "c23")
		if c.tenants.with.all.Len() != 3 || c.tenants.without.all.Len() != 2 || len(c.tenants.entries) != 5 {
			t.Errorf("%d entries with a token and %d without, %d in all, want 3, 2 and 5", c.tenants.with.all.Len(), c.tenants.without.all.Len(), len(c.tenants.entries))
		}
	})
}

func TestTenantsThatHangEvictNoTokens(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if strings.HasPrefix(request.Tenant, "unknown") {
			return hanging(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		c.tenants, c.shares = newRecent(3), newShares(2)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		var waiting sync.WaitGroup
		for n := range 2 {
			waiting.Go(func() {
				wantKind(t, c, graph.TokenRequest{Tenant: fmt.Sprint("unknown", n)}, graph.TokenUnavailable)
			})
		}
		synctest.Wait()
		for n := range 10 {
			wantKind(t, c, graph.TokenRequest{Tenant: fmt.Sprint("unknown", 2+n)}, graph.TokenUnavailable)
		}
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		waiting.Wait()
	})
}

func TestTooManyRequestsAtOnceAreNotMade(t *testing.T) {
	inTime(t, after(time.Second, numbered), func(t *testing.T, a *asked, c *cache) {
		c.shares = newShares(2)
		var calls sync.WaitGroup
		for _, tenant := range []string{"a", "b"} {
			calls.Go(func() {
				if _, err := c.token(t.Context(), graph.TokenRequest{Tenant: tenant}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		wantKind(t, c, graph.TokenRequest{Tenant: "c"}, graph.TokenUnavailable)
		calls.Wait()
		want(t, c, graph.TokenRequest{Tenant: "c"}, "c3")
	})
}

func TestATenantThatHangsLeavesRoomForTheOthers(t *testing.T) {
	hangs := func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if strings.HasPrefix(request.Tenant, "hangs") {
			return hanging(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}
	for name, request := range map[string]func(n int) graph.TokenRequest{
		"its users": func(n int) graph.TokenRequest {
			return graph.TokenRequest{Tenant: "hangs", UserAssertion: fmt.Sprint(n)}
		},
		"invented tenants": func(n int) graph.TokenRequest { return graph.TokenRequest{Tenant: fmt.Sprint("hangs", n)} },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, hangs, func(t *testing.T, a *asked, c *cache) {
				c.shares = newShares(16)
				want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
				want(t, c, graph.TokenRequest{Tenant: "a", UserAssertion: "known"}, "a2")
				time.Sleep(50 * time.Minute)
				var waiting sync.WaitGroup
				for n := range 20 {
					waiting.Go(func() { wantKind(t, c, request(n), graph.TokenUnavailable) })
				}
				synctest.Wait()
				underWay := a.count() - 2
				if underWay < 6 || underWay > 12 {
					t.Errorf("%d requests under way", underWay)
				}
				// A caller with a token gets the next one, both before it expires and after it was refused.
				want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
				synctest.Wait()
				want(t, c, graph.TokenRequest{Tenant: "a"}, fmt.Sprint("a", underWay+3))
				want(t, c, graph.TokenRequest{Tenant: "a", UserAssertion: "known", Refused: "a2"}, fmt.Sprint("a", underWay+4))
				if name == "its users" {
					want(t, c, graph.TokenRequest{Tenant: "b"}, fmt.Sprint("b", underWay+5))
					want(t, c, graph.TokenRequest{Tenant: "b", UserAssertion: "first"}, fmt.Sprint("b", underWay+6))
				}
				waiting.Wait()
				synctest.Wait()
				if len(c.shares.ofTenant) != 0 || c.shares.taken != 0 || len(c.flights) != 0 {
					t.Errorf("still counted: %+v, %v", c.shares, c.flights)
				}
			})
		})
	}
}
