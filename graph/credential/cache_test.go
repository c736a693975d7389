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
