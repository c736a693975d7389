package credential

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

func TestAGoodTokenOutlivesAnOutage(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if number > 1 {
			return azcore.AccessToken{}, errors.New("down")
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, a *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		time.Sleep(58 * time.Minute)
		for range 100 {
			want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
			synctest.Wait()
		}
		if a.count() != 2 {
			t.Errorf("%d requests, want 2: a renewal that failed is not tried again with every call", a.count())
		}
		// A minute before it expires, the token is no longer used.
		time.Sleep(time.Minute)
		wantKind(t, c, graph.TokenRequest{Tenant: "a"}, graph.TokenUnavailable)
	})
}

func TestFailuresAreCached(t *testing.T) {
	for _, test := range []struct {
		name            string
		err             error
		atLeast, atMost time.Duration
	}{
		{"refused", &graph.TokenError{Kind: graph.TokenRefused}, 30 * time.Second, 60 * time.Second},
		{"wants claims", &graph.TokenError{Kind: graph.TokenClaimsRefused}, 30 * time.Second, 60 * time.Second},
		{"down", errors.New("down"), 5 * time.Second, 6 * time.Second},
		{"down and says for how long", &graph.TokenError{Err: &authorityError{retryAfter: 20 * time.Second}}, 20 * time.Second, 21 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
				if number == 1 {
					return azcore.AccessToken{}, test.err
				}
				return numbered(ctx, number, request)
			}, func(t *testing.T, a *asked, c *cache) {
				kind := asTokenError(test.err).Kind
				wantKind(t, c, graph.TokenRequest{Tenant: "a"}, kind)
				time.Sleep(test.atLeast - time.Millisecond)
				wantKind(t, c, graph.TokenRequest{Tenant: "a"}, kind)
				if a.count() != 1 {
					t.Errorf("%d requests, want 1", a.count())
				}
				time.Sleep(test.atMost - test.atLeast + time.Millisecond)
				want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
			})
		})
	}
}

func TestAFailureSaysHowLongItLasts(t *testing.T) {
	for name, err := range map[string]error{
		"refused":                      &graph.TokenError{Kind: graph.TokenRefused},
		"down":                         errors.New("down"),
		"down and says for how long":   &graph.TokenError{Err: &authorityError{retryAfter: time.Minute}},
		"down and says too long":       &graph.TokenError{Err: &authorityError{retryAfter: time.Hour}},
		"refused what was demanded":    &graph.TokenError{Kind: graph.TokenClaimsRefused},
		"refused the user's own token": &graph.TokenError{Kind: graph.TokenAssertionRefused},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, after(2*time.Second, func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error) {
				return azcore.AccessToken{}, err
			}), func(t *testing.T, a *asked, c *cache) {
				remaining := func() time.Duration {
					_, err := c.token(t.Context(), graph.TokenRequest{Tenant: "a"})
					var failed *graph.TokenError
					if !errors.As(err, &failed) {
						t.Fatalf("got %v", err)
					}
					return failed.RetryAfter
				}
				left := remaining()
				if left < unavailableTime {
					t.Errorf("first left %v", left)
				}
				time.Sleep(left - time.Millisecond)
				if left = remaining(); left != time.Millisecond || a.count() != 1 {
					t.Errorf("later left %v, after %d requests", left, a.count())
				}
				time.Sleep(left)
				remaining()
				if a.count() != 2 {
					t.Errorf("%d requests after that time", a.count())
				}
			})
		})
	}
}

func TestARefusalIsForgottenWhenTheCredentialChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{respond: func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
			if number == 1 {
				return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenRefused}
			}
			return numbered(ctx, number, request)
		}}
		version := hashOf("old")
		c := newCache(a.fetch, func() hash { return version })
		defer c.close()
		wantKind(t, c, graph.TokenRequest{Tenant: "a"}, graph.TokenRefused)
		time.Sleep(2 * time.Second)
		wantKind(t, c, graph.TokenRequest{Tenant: "a"}, graph.TokenRefused)
		version = hashOf("new")
		time.Sleep(2 * time.Second)
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { want(t, c, graph.TokenRequest{Tenant: "a"}, "a2") })
		}
		calls.Wait()
	})
}

func TestAFailedRenewalIsRetriedEarly(t *testing.T) {
	inTime(t, func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if number == 2 {
			return azcore.AccessToken{}, errors.New("down")
		}
		return numbered(ctx, number, request)
	}, func(t *testing.T, _ *asked, c *cache) {
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a1")
		wantKind(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, graph.TokenUnavailable)
		time.Sleep(unavailableTime + time.Second)
		want(t, c, graph.TokenRequest{Tenant: "a", Refused: "a1"}, "a3")
	})
}

func TestAPanicOfTheFetchIsAFailureOfItsCallersAlone(t *testing.T) {
	inTime(t, func(_ context.Context, _ int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if request.Tenant == "bad" {
			panic("canary")
		}
		return azcore.AccessToken{Token: "good", ExpiresOn: time.Now().Add(time.Hour)}, nil
	}, func(t *testing.T, _ *asked, c *cache) {
		wantKind(t, c, graph.TokenRequest{Tenant: "bad"}, graph.TokenUnavailable)
		want(t, c, graph.TokenRequest{Tenant: "good"}, "good")
	})
}
