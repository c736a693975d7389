package credential

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

type respond = func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error)

// inTurn responds to the first request like the first function, to the second like the second, and so on. Requests
// beyond them get a token.
func inTurn(responds ...respond) respond {
	return func(ctx context.Context, number int, request graph.TokenRequest) (azcore.AccessToken, error) {
		if number <= len(responds) {
			return responds[number-1](ctx, number, request)
		}
		return numbered(ctx, number, request)
	}
}

func failing(err error) respond {
	return func(context.Context, int, graph.TokenRequest) (azcore.AccessToken, error) {
		return azcore.AccessToken{}, err
	}
}

var (
	down    = unavailable(&authorityError{status: 503})
	refusal = &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseApplicationUnknown, Err: &authorityError{status: 400}}
)

// What callers get, and when, from two requests of which the second goes out when the first has been out for 3 s.
func TestATokenRequestThatHangsIsSentOnceMore(t *testing.T) {
	for _, test := range []struct {
		name     string
		respond  respond
		token    string
		kind     graph.TokenKind
		took     time.Duration
		requests int
	}{
		{"first within 3 s", inTurn(after(2900*time.Millisecond, numbered)), "a1", 0, 2900 * time.Millisecond, 1},
		{"first hangs", inTurn(hanging), "a2", 0, 3 * time.Second, 2},
		{"first is slow, second hangs", inTurn(after(8*time.Second, numbered), hanging), "a1", 0, 8 * time.Second, 2},
		{"both are slow, second is first", inTurn(after(8*time.Second, numbered), after(time.Second, numbered)), "a2", 0, 4 * time.Second, 2},
		{"both hang", inTurn(hanging, hanging), "", graph.TokenUnavailable, fetchTime, 2},
		// Both would be refused for the same reason.
		{"first hangs, second is refused", inTurn(hanging, failing(refusal)), "", graph.TokenRefused, 3 * time.Second, 2},
		{"first is refused, second hangs", inTurn(after(4*time.Second, failing(refusal)), hanging), "", graph.TokenRefused, 4 * time.Second, 2},
		// An authority that fails for one request may respond to the other one, which gets 3 s more.
		{"first fails, second is slow", inTurn(after(4*time.Second, failing(down)), after(3*time.Second, numbered)), "a2", 0, 6 * time.Second, 2},
		{"second fails, first is slow", inTurn(after(5*time.Second, numbered), failing(down)), "a1", 0, 5 * time.Second, 2},
		{"second fails, first hangs", inTurn(hanging, failing(down)), "", graph.TokenUnavailable, 6 * time.Second, 2},
		{"second fails, first is refused", inTurn(after(5*time.Second, failing(refusal)), failing(down)), "", graph.TokenRefused, 5 * time.Second, 2},
		// A failure within 3 s ends the wait, as the authority is not to be asked again at once.
		{"first fails early", inTurn(after(time.Second, failing(down))), "", graph.TokenUnavailable, time.Second, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			inTime(t, test.respond, func(t *testing.T, a *asked, c *cache) {
				start := time.Now()
				var calls sync.WaitGroup
				for range 10 {
					calls.Go(func() {
						if test.token == "" {
							wantKind(t, c, graph.TokenRequest{Tenant: "a"}, test.kind)
						} else {
							want(t, c, graph.TokenRequest{Tenant: "a"}, test.token)
						}
						if took := time.Since(start); took != test.took {
							t.Errorf("took %v, want %v", took, test.took)
						}
					})
				}
				calls.Wait()
				// The request that lost has ended too, and does not count any more.
				synctest.Wait()
				if a.count() != test.requests || c.shares.taken != 0 {
					t.Errorf("%d requests, want %d; %d are still counted", a.count(), test.requests, c.shares.taken)
				}
			})
		})
	}
}

// A caller gets the error of its own deadline, while a later one gets the token of the second request.
func TestACallerOfARequestThatHangsKeepsItsDeadline(t *testing.T) {
	inTime(t, inTurn(hanging), func(t *testing.T, _ *asked, c *cache) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.token(ctx, graph.TokenRequest{Tenant: "a"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		want(t, c, graph.TokenRequest{Tenant: "a"}, "a2")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the later caller got its token after %v, want 3s", took)
		}
	})
}

// The second requests do not double the load when the authority hangs for everybody: they leave half of all requests to
// others.
func TestSecondRequestsLeaveHalfToOthers(t *testing.T) {
	inTime(t, hanging, func(t *testing.T, a *asked, c *cache) {
		c.shares = newShares(100)
		var waiting sync.WaitGroup
		for n := range 40 {
			waiting.Go(func() { wantKind(t, c, graph.TokenRequest{Tenant: fmt.Sprint(n)}, graph.TokenUnavailable) })
		}
		time.Sleep(29 * time.Second)
		if n := a.count(); n <= 40 || n > 50 {
			t.Errorf("%d requests, want some more than 40, and at most 50", n)
		}
		waiting.Wait()
		synctest.Wait()
		if c.shares.taken != 0 {
			t.Errorf("%d are still counted", c.shares.taken)
		}
	})
}

// A time-out says nothing about the next request. Callers that come later do not get it.
func TestATimeOutIsNotRemembered(t *testing.T) {
	for name, test := range map[string]struct {
		respond respond
		took    time.Duration
	}{
		"of both requests":   {inTurn(hanging, hanging), fetchTime},
		"of the connection":  {inTurn(after(time.Second, failing(unavailable(&connectionError{graph.CauseTimeout})))), time.Second},
		"of the second only": {inTurn(hanging, failing(unavailable(&connectionError{graph.CauseTimeout}))), 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, test.respond, func(t *testing.T, a *asked, c *cache) {
				start := time.Now()
				_, err := c.token(t.Context(), graph.TokenRequest{Tenant: "a"})
				var failed *graph.TokenError
				if !errors.As(err, &failed) || failed.Kind != graph.TokenUnavailable || failed.RetryAfter != 0 {
					t.Errorf("got %+v", err)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				requests := a.count()
				want(t, c, graph.TokenRequest{Tenant: "a"}, fmt.Sprint("a", requests+1))
			})
		})
	}
}
