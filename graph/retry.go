package graph

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/throttle"
)

const (
	// defaultRepeats is how often a call is repeated at most.
	defaultRepeats = 2
	// defaultBackoff is the most that the first repeat waits when Graph does not say how long, the second twice that.
	defaultBackoff = 500 * time.Millisecond
	// maxWait is how long a request waits for its repeat, and minTime what must be left of a deadline for an attempt. The
	// throttles have the same bounds.
	maxWait, minTime = throttle.MaxWait, throttle.MinTime
)

// Do carries out a call: it sends it, repeats it where that can do no harm, and reads the answer. Every error is an
// *Error. A 2xx is an answer, anything else an error, except that a 404 of Graph's is an answer to a DELETE that was
// repeated since its first answer was lost; redirects are never followed.
//
// It repeats at most twice, within the deadline and a budget, what it knows to have changed nothing: a read, a call
// that Graph refused (429, 509, 503 with Retry-After) or never received, and besides these a DELETE. When the wait does
// not fit the deadline, or is longer than 10 s, it returns the error at once. A 401, or a 403 that demands claims, gets
// one new token on top of that.
func (c *Client) Do(ctx context.Context, call *Request) (*Response, error) {
	c.budget.earn()
	r := &run{client: c, call: call, token: TokenRequest{Tenant: call.Tenant, UserAssertion: call.UserAssertion}}
	for {
		answer, failed := r.attempt(ctx)
		if failed == nil {
			return answer, nil
		}
		if r.lost != nil && failed.Gone() {
			return &Response{Meta: failed.Meta}, nil
		}
		again, ended := r.again(ctx, failed)
		if ended != nil {
			failed = ended
		}
		if !again {
			return nil, r.end(failed)
		}
	}
}

// run is a call and the attempts at it.
type run struct {
	client *Client
	call   *Request
	token  TokenRequest
	// used is the token of the last attempt.
	used    string
	repeats int
	// challenged is the answer for which the call has got its one new token.
	challenged *Error
	// fresh asks for a new connection.
	fresh bool
	// throttled is the last throttle answer, lost the error of the first attempt at a DELETE that may have worked.
	throttled, lost *Error
}

// attempt sends the call once, if the gate lets it.
func (r *run) attempt(ctx context.Context) (answer *Response, failed *Error) {
	c := r.client
	// Before the gate: who has no token shall neither take a turn nor be the probe.
	token, err := c.tokens.Token(ctx, r.token)
	if err != nil {
		return nil, tokenError(ctx, err)
	}
	r.used = token
	pass, refused := c.enter(ctx, r.call, r.throttled != nil)
	if refused != nil {
		return nil, refused
	}
	// An attempt that does not come to its end must not leave the gate waiting for its probe.
	failed = &Error{}
	defer func() { c.leave(r.call, pass, failed) }()
	return c.once(ctx, r.call, token, r.fresh)
}

// again decides whether the call is repeated, and waits until it is time. ended is how the call ended meanwhile.
func (r *run) again(ctx context.Context, failed *Error) (again bool, ended *Error) {
	if claims, ok := failed.challenge(); ok && r.challenged == nil {
		r.challenged = failed
		r.token.Refused, r.token.Claims = r.used, claims
		return true, nil
	}
	if failed.throttled() {
		r.throttled = failed
	}
	if !r.harmless(failed) || r.repeats >= r.client.repeats {
		return false, nil
	}
	wait := r.wait(failed)
	if wait > maxWait || !fits(ctx, wait) || !r.client.budget.spend() {
		return false, nil
	}
	if r.lost == nil && r.mayHaveWorked(failed) {
		r.lost = failed
	}
	r.repeats++
	r.fresh = failed.Status == http.StatusServiceUnavailable
	if ended := sleep(ctx, wait); ended != nil {
		return false, ended
	}
	return true, nil
}

// harmless tells whether the call can be repeated after a failure without doing anything twice.
func (r *run) harmless(failed *Error) bool {
	repeatable := r.call.Safe || r.call.Method == http.MethodDelete
	switch failed.Kind {
	case KindResponse:
		switch failed.Status {
		case 429, 509:
			return true
		case 503:
			return repeatable || failed.HasRetryAfter
		}
		return repeatable && failed.ResponseLost()
	case KindUnreachable:
		return repeatable || !failed.Sent
	case KindInvalidResponse:
		return repeatable && failed.Cause == CauseTruncated
	}
	return false
}

// mayHaveWorked tells of a DELETE whether it may have been carried out although it failed.
func (r *run) mayHaveWorked(failed *Error) bool {
	return !r.call.Safe && failed.Sent && !failed.throttled() && (failed.Status != 503 || !failed.HasRetryAfter)
}

// wait is how long to wait before the repeat.
func (r *run) wait(failed *Error) time.Duration {
	c := r.client
	switch {
	case failed.throttled():
		return max(failed.throttledFor(), c.throttles.Remaining(keyOf(r.call)))
	case failed.Kind == KindResponse && failed.HasRetryAfter:
		// Those who were sent away together shall not come back together.
		return failed.RetryAfter + time.Duration(c.jitter()*float64(failed.RetryAfter)/5)
	}
	return time.Duration(c.jitter() * float64(c.backoff<<r.repeats))
}

// end is the error of the call, of which failed is the last attempt's.
func (r *run) end(failed *Error) *Error {
	if failed.Kind == KindThrottled && r.throttled != nil {
		// Graph's own answer says more than the gate's, but not how much time has passed since.
		told := *r.throttled
		told.RetryAfter, told.HasRetryAfter = failed.RetryAfter, failed.HasRetryAfter
		failed = &told
	}
	if r.challenged != nil && failed.Kind == KindToken && (failed.Token == TokenRefused || failed.Token == TokenAssertionRefused) {
		// There is no newer token: what Graph said of the one that there was stands.
		failed = r.challenged
	}
	switch {
	case r.lost == nil || failed == r.lost:
	case failed.Kind == KindDeadline || failed.Kind == KindCancelled:
		failed.Sent = true
	case !failed.judges():
		return r.lost
	default:
		failed.Lost = true
	}
	return failed
}

// judges tells whether an answer is about the call itself, not about when, by whom or on which way it was made.
func (e *Error) judges() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusNotFound:
		return e.Gone()
	}
	return e.Kind == KindResponse && e.Status >= 400 && e.Status < 500
}

// fits tells whether there is time for a wait and an attempt behind it.
func fits(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= wait+minTime
}

// sleep waits until the time has passed. When the context ends first, that is the error.
func sleep(ctx context.Context, wait time.Duration) *Error {
	if wait <= 0 {
		return contextError(ctx, ctx.Err(), false)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return contextError(ctx, ctx.Err(), false)
	}
	return nil
}

// budget bounds the repeats of all calls together to a tenth of the calls, so that an outage is not answered with three
// times the load. It is counted in tenths of a repeat.
type budget struct{ tenths atomic.Int64 }

// fullBudget is 20 repeats, which can be spent at once.
const fullBudget = 200

func (b *budget) earn() {
	if b.tenths.Load() < fullBudget {
		b.tenths.Add(1)
	}
}

func (b *budget) spend() bool {
	for {
		left := b.tenths.Load()
		if left < 10 {
			return false
		}
		if b.tenths.CompareAndSwap(left, left-10) {
			return true
		}
	}
}
