package credential

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

func TestARefusedTokenIsReplacedOnceForAll(t *testing.T) {
	inTime(t, after(time.Second, numbered), func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		want(t, c, graph.TokenRequest{Tenant: "b"}, "b2")
		var calls sync.WaitGroup
		for range 500 {
			calls.Go(func() { want(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, "a3") })
		}
		calls.Wait()
		// Later callers with the old token get the new one, and the tokens of others stay.
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, "a3")
		want(t, c, graph.TokenRequest{Tenant: "b", Refused: "a1"}, "b2")
		if a.count() != 3 {
			t.Errorf("%d requests, want 3", a.count())
		}
	})
}

func TestARefusedTokenStaysSharedUntilRenewed(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if number > 1 {
			return hanging(ctx, number, request)
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		var refuser sync.WaitGroup
		refuser.Go(func() {
			wantKind(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, graph.TokenUnavailable)
		})
		synctest.Wait()
		start := time.Now()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		if took := time.Since(start); took != 0 {
			t.Errorf("another caller waited %v", took)
		}
		refuser.Wait()
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		wantKind(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, graph.TokenUnavailable)
		// Two requests of each flight have timed out.
		if a.count() != 5 {
			t.Errorf("%d requests, want 5", a.count())
		}
	})
}

func TestAlwaysRefusedTokensCostFewRequests(t *testing.T) {
	inTime(t, numbered, func(t *testing.T, a *asked, c *cache) {
		for range 60 {
			token, err := c.token(t.Context(), graph.TokenRequest{Tenant: "a"})
			if err != nil {
				t.Fatalf("a call that refuses nothing: %v", err)
			}
			if token, err = c.token(t.Context(), graph.TokenRequest{Tenant: "a", Refused: token}); err != nil {
				wantKind(t, c, graph.TokenRequest{Tenant: "a", Refused: "a2"}, graph.TokenRefused)
			} else if token == "" {
				t.Error("an empty token")
			}
			time.Sleep(400 * time.Millisecond)
		}
		if a.count() != 2 {
			t.Errorf("%d requests in 24 seconds, want 2", a.count())
		}
	})
}

func TestARefusedTokenIsNotReturnedAgain(t *testing.T) {
	inTime(t, func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: "same", ExpiresOn: time.Now().Add(time.Hour)}, nil
	}, func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "same")
		for range 10 {
			wantKind(t, c, graph.TokenRequest{Tenant: "a", Refused: "same"}, graph.TokenRefused)
			want(t, c, graph.TokenRequest{Tenant: "a"}, "same")
		}
		want(t, c, graph.TokenRequest{Tenant: "a", UserAssertion: "one"}, "same")
		for range 10 {
			wantKind(t, c, graph.TokenRequest{Tenant: "a", UserAssertion: "one", Refused: "same"}, graph.TokenAssertionRefused)
		}
		if a.count() != 4 {
			t.Errorf("%d requests, want 4", a.count())
		}
	})
}

func TestARefusedTokenIsNotReturnedFromAnotherFlight(t *testing.T) {
	// A source with a cache of its own, such as that of a managed identity, returns the same token until it knows that it
	// was refused.
	inTime(t, after(time.Second, func(_ context.Context, _ int, request graph.TokenRequest) (azcore.AccessToken, error) {
		text := "t1"
		if request.Refused == text {
			text = "t2"
		}
		return azcore.AccessToken{Token: text, ExpiresOn: time.Now().Add(time.Hour)}, nil
	}), func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "t1")
		time.Sleep(50 * time.Minute)
		// It starts to request the next one early.
		want(t, c, graph.TokenRequest{Tenant: "a"}, "t1")
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: "t1"}, "t2")
	})
}
