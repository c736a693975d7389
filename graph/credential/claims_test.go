package credential

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

func TestClaimsBringOneTokenThatReplacesTheOldOne(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	inTime(t, after(time.Second, numbered), func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { want(t, c, graph.TokenRequest{Tenant: "a", Claims: claims, Refused: "a1"}, "a2") })
		}
		synctest.Wait()
		// Calls that begin meanwhile are not affected.
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		calls.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
		want(t, c, graph.TokenRequest{Tenant: "a", Claims: claims, Refused: "a1"}, "a2")
		if a.count() != 2 || a.requests[1].Claims != claims {
			t.Errorf("requests %+v", a.requests)
		}
		// Graph refused the new one as well, so another one would not help.
		wantKind(t, c, graph.TokenRequest{Tenant: "a", Claims: claims, Refused: "a2"}, graph.TokenClaimsRefused)
		// Other claims get a token of their own.
		want(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a2"}, "a3")
	})
}

func TestClaimsAreRequestedAfterATokenWasReplaced(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, "a2")
		want(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a1"}, "a3")
		if a.requests[2].Claims != "{}" {
			t.Errorf("requests %+v", a.requests)
		}
	})
}

func TestARefusalOfClaimsLeavesTokensWithoutThemAlone(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if request.Claims != "" {
			return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenClaimsRefused}
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		for range 10 {
			wantKind(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a1"}, graph.TokenClaimsRefused)
		}
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		if a.count() != 2 {
			t.Errorf("%d requests, want 2", a.count())
		}
		// The failure neither advances nor delays the renewal of the token for callers without claims.
		time.Sleep(40 * time.Minute)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		synctest.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, "a3")
	})
}

func TestCallersWithoutClaimsDoNotWaitForClaims(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if request.Claims != "" {
			return hanging(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(59*time.Minute - time.Second)
		start := time.Now()
		var challenged sync.WaitGroup
		challenged.Go(func() {
			wantKind(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a1"}, graph.TokenUnavailable)
		})
		synctest.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, "a3")
		if took := time.Since(start); took != 0 {
			t.Errorf("another caller waited %v", took)
		}
		challenged.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a3")
	})
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if request.Claims != "" {
			return after(10*time.Second, func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error) {
				return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenClaimsRefused}
			})(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(59*time.Minute - time.Second)
		var challenged sync.WaitGroup
		challenged.Go(func() {
			wantKind(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a1"}, graph.TokenClaimsRefused)
		})
		// The token expires meanwhile: the next one is requested without the claims.
		time.Sleep(2 * time.Second)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a3")
		challenged.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a3")
	})
}

func TestDifferentClaimsCostFewRequests(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		for n := range 50 {
			claims := []string{`{"a":1}`, `{"b":2}`}[n%2]
			token, err := c.token(t.Context(), graph.TokenRequest{Tenant: "a"})
			if err != nil {
				t.Fatal(err)
			}
			// Each gets a token that was requested with its own claims.
			renewed, err := c.token(t.Context(), graph.TokenRequest{Tenant: "a", Claims: claims, Refused: token})
			if n < 2 {
				continue
			}
			if wanted := fmt.Sprint("a", 2+n%2); token != "a3" || wanted != token && (err != nil || renewed != wanted) {
				t.Errorf("call %d: got %q for %q, and %v; want %q for a3", n, renewed, token, err, wanted)
			}
			time.Sleep(400 * time.Millisecond)
		}
		if a.count() != 3 {
			t.Errorf("%d requests in 20 seconds, want 3", a.count())
		}
		time.Sleep(renewalInterval)
		want(t, c, graph.TokenRequest{Tenant: "a", Claims: `{"a":1}`, Refused: "a3"}, "a4")
	})
}

func TestNewClaimsWithEveryCallCostFewRequests(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		demand := func(n int, refused string) graph.TokenRequest {
			return graph.TokenRequest{Tenant: "a", Claims: fmt.Sprint(n), Refused: refused}
		}
		for n := range maxDemands {
			want(t, c, demand(n, fmt.Sprint("a", n+1)), fmt.Sprint("a", n+2))
		}
		last := fmt.Sprint("a", maxDemands+1)
		for n := range 50 {
			// A caller with an older token gets the newest one, which may suit. For the newest one there is no other.
			want(t, c, demand(100+n, "a1"), last)
			wantKind(t, c, demand(200+n, last), graph.TokenClaimsRefused)
		}
		if a.count() != maxDemands+1 {
			t.Errorf("%d requests, want %d", a.count(), maxDemands+1)
		}
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: last}, fmt.Sprint("a", maxDemands+2))
		time.Sleep(renewalInterval)
		want(t, c, demand(300, fmt.Sprint("a", maxDemands+2)), fmt.Sprint("a", maxDemands+3))
	})
}

func TestAFailureWithClaimsLosesNoTokenUnderWay(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		switch number {
		case 2:
			return after(2*time.Second, numbered)(ctx, number, request)
		case 3:
			return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenClaimsRefused}
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(50 * time.Minute)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1") // Its renewal takes two seconds.
		synctest.Wait()
		wantKind(t, c, graph.TokenRequest{Tenant: "a", Claims: "{}", Refused: "a1"}, graph.TokenClaimsRefused)
		time.Sleep(3 * time.Second)
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
	})
}
