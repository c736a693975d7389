package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

// hangers makes requests hang while their tenant starts with "hangs"; others get their token after a second.
func hangers(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
	if strings.HasPrefix(request.Tenant, "hangs") && !strings.HasPrefix(request.UserAssertion, "known") {
		return hanging(ctx, number, request)
	}
	return after(time.Second, numbered)(ctx, number, request)
}

// quiet is how long a tenant's token takes while nobody else requests one.
const quiet = time.Second

// One tenant takes as many of the token requests as it can, by each of its ways to need many. Another tenant's token
// takes at most twice its quiet time, also when the server has never had a token of it.
func TestATenantTakesAShareOfTheTokenRequests(t *testing.T) {
	users := func(n int) graph.TokenRequest {
		return graph.TokenRequest{Tenant: "hangs", UserAssertion: fmt.Sprint("user", n)}
	}
	claims := func(n int) graph.TokenRequest {
		return graph.TokenRequest{Tenant: "hangs", Claims: fmt.Sprint("claims", n)}
	}
	mixed := func(n int) graph.TokenRequest {
		if n%2 == 0 {
			return users(n)
		}
		return claims(n)
	}
	for name, request := range map[string]func(n int) graph.TokenRequest{"users": users, "claims": claims, "users and claims": mixed} {
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, known %v", name, known), func(t *testing.T) {
				inTime(t, hangers, func(t *testing.T, a *asked, c *cache) {
					const most = 400
					c.shares = newShares(most)
					if known {
						// A key that has had a token may use what is left free for such keys.
						a.respond = after(time.Second, numbered)
						for n := range most {
							if _, err := c.token(t.Context(), request(n)); err != nil {
								t.Fatal(err)
							}
							if n >= 10 && request(0).UserAssertion == "" {
								break
							}
						}
						time.Sleep(2 * time.Hour)
						a.respond = hangers
					}
					before := a.count()
					var waiting sync.WaitGroup
					for n := range 2 * most {
						waiting.Go(func() { wantKind(t, c, request(n), graph.TokenUnavailable) })
					}
					synctest.Wait()
					taken := a.count() - before
					if taken > most/2 {
						t.Errorf("the tenant has %d of %d token requests", taken, most)
					}
					start := time.Now()
					if _, err := c.token(t.Context(), graph.TokenRequest{Tenant: "other"}); err != nil {
						t.Errorf("another tenant: %v, %v", err, errors.Unwrap(err))
					}
					if took := time.Since(start); took > 2*quiet {
						t.Errorf("another tenant waited %v, want at most %v", took, 2*quiet)
					}
					waiting.Wait()
				})
			})
		}
	}
}

// Ten thousand invented tenants hang. Tenants and users whose token has to be renewed get it in their quiet time.
func TestInventedTenantsLeaveRoomForKnownOnes(t *testing.T) {
	inTime(t, hangers, func(t *testing.T, a *asked, c *cache) {
		known := []graph.TokenRequest{{Tenant: "a"}, {Tenant: "b"}, {Tenant: "b", UserAssertion: "user"}}
		for _, request := range known {
			if _, err := c.token(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		var waiting sync.WaitGroup
		for n := range 10_000 {
			waiting.Go(func() { wantKind(t, c, graph.TokenRequest{Tenant: fmt.Sprint("hangs", n)}, graph.TokenUnavailable) })
		}
		synctest.Wait()
		if taken := a.count() - len(known); taken > maxFetches*3/4 {
			t.Errorf("invented tenants have %d of %d token requests", taken, maxFetches)
		}
		for _, request := range known {
			start := time.Now()
			if _, err := c.token(t.Context(), request); err != nil {
				t.Errorf("%+v: %v", request, err)
			}
			if took := time.Since(start); took > 2*quiet {
				t.Errorf("%+v waited %v, want at most %v", request, took, 2*quiet)
			}
		}
		waiting.Wait()
	})
}

// One tenant has many more users than fit into the cache. The users of another tenant keep their tokens and refusals.
func TestATenantTakesAShareOfTheCachedTokens(t *testing.T) {
	for name, respond := range map[string]respond{
		"tokens": numbered, "refusals": failing(&graph.TokenError{Kind: graph.TokenAssertionRefused}),
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, respond, func(t *testing.T, a *asked, c *cache) {
				const limit, few = 100, 10
				c.users = newRecent(limit)
				ask := func(tenant string, n int) {
					_, _ = c.token(t.Context(), graph.TokenRequest{Tenant: tenant, UserAssertion: fmt.Sprint(n)})
				}
				for n := range limit {
					ask("many", n)
				}
				for n := range few {
					ask("few", n)
				}
				for n := range 10 * limit {
					ask("many", n)
				}
				before := a.count()
				for n := range few {
					ask("few", n)
				}
				if repeated := a.count() - before; repeated != 0 {
					t.Errorf("%d of the %d users cost another request", repeated, few)
				}
				// The tenant with many users has all the rest.
				before = a.count()
				for n := range limit - few {
					ask("many", 10*limit-1-n)
				}
				if repeated := a.count() - before; repeated != 0 {
					t.Errorf("%d of the last users of the other tenant cost another request", repeated)
				}
				// What is of no use any more is evicted first, of any tenant.
				time.Sleep(2 * time.Hour)
				for n := range limit {
					ask("many", n)
				}
				before = a.count()
				for n := range limit {
					ask("many", n)
				}
				if repeated := a.count() - before; repeated != 0 {
					t.Errorf("%d users cost another request although the cache has only expired entries besides", repeated)
				}
				if len(c.users.entries) > limit {
					t.Errorf("%d entries, want at most %d", len(c.users.entries), limit)
				}
			})
		})
	}
}
