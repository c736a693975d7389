package graph

import (
	"context"
	"net/http"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/share"
	"github.com/m365backup/backupstorage/graph/internal/throttle"
)

const (
	// defaultRepeats is how often a request is repeated at most.
	defaultRepeats = 2
	// defaultBackoff bounds the wait before the first repeat when Graph does not say how long; the second waits up to
	// twice as long.
	defaultBackoff = 500 * time.Millisecond
	// maxWait is how long a request waits for its repeat, and minTime what must be left of a deadline for an attempt. The
	// throttles have the same bounds.
	maxWait, minTime = throttle.MaxWait, throttle.MinTime
)

// Do sends a request, repeats it where that can do no harm, and reads the response. Every error is an *Error. A 2xx is
// a response, anything else an error, with one exception: Graph's 404 to a DELETE is a response when the DELETE was
// repeated because its first response was lost. Redirects are never followed.
//
// It repeats at most twice, within the deadline and a budget, and only what has certainly changed nothing: a read, and
// any request that Graph refused (429, 509, 503 with Retry-After, 409 Directory_ConcurrencyViolation) or never
// received. A DELETE is repeated as well. When the wait does not fit the deadline, or is longer than 10 s, it returns
// the error at once. Besides, a 401, or a 403 that demands claims, gets one new token.
func (c *Client) Do(ctx context.Context, request *Request) (*Response, error) {
	c.tenants.Earn(request.Tenant)
	r := &run{client: c, request: request, token: TokenRequest{
		Tenant: request.Tenant, UserAssertion: request.UserAssertion, RequestID: request.RequestID,
	}}
	for {
		response, failed := r.attempt(ctx)
		if failed == nil {
			return response, nil
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

// run is a request and the attempts at it.
type run struct {
	client  *Client
	request *Request
	token   TokenRequest
	// used is the token of the last attempt.
	used    string
	repeats int
	// attempts is how often it was sent.
	attempts int
	// challenged is the error for which the request got its one new token.
	challenged *Error
	// fresh asks for a new connection.
	fresh bool
	// pass and permit are what the attempt under way has.
	pass   throttle.Pass
	permit share.Permit
	// throttled is the last throttle response, lost the error of the first attempt at a DELETE that may have worked.
	throttled, lost *Error
}

// attempt sends the request once, if the throttles let it pass. Its parts are functions of their own: what one needs
// takes no room on the stack while the request is under way.
func (r *run) attempt(ctx context.Context) (response *Response, failed *Error) {
	// The token comes first: a request without one takes no slot and is no probe.
	if failed := r.getToken(ctx); failed != nil {
		return nil, failed
	}
	if failed := r.enter(ctx); failed != nil {
		return nil, failed
	}
	// If the attempt panics, the throttle must not wait for its probe: failed is then an error without a response.
	failed = panicked
	defer func() { r.leave(failed) }()
	if r.request.BeforeSend != nil {
		if failed = r.beforeSend(ctx); failed != nil {
			return nil, failed
		}
		failed = panicked
	}
	return r.client.once(ctx, r.request, r.used, r.fresh, &r.attempts)
}

// panicked is the error of an attempt that ends without one.
var panicked = new(Error)

func (r *run) getToken(ctx context.Context) *Error {
	token, err := r.client.tokens.Token(ctx, r.token)
	if err != nil {
		failed := tokenError(ctx, err)
		r.client.noToken(failed)
		return failed
	}
	r.used = token
	return nil
}

// beforeSend asks whether the request may be sent.
func (r *run) beforeSend(ctx context.Context) *Error {
	var err error
	if r.request.sendBy, err = r.request.BeforeSend(ctx); err != nil {
		return &Error{Kind: KindHeldBack, Err: err}
	}
	return nil
}

// enter waits until the request may be under way. It has to leave.
func (r *run) enter(ctx context.Context) (failed *Error) {
	c := r.client
	r.pass = throttle.Pass{}
	if !c.throttles.Quiet() {
		came := time.Now()
		r.pass, failed = c.enter(ctx, r.request, r.throttled != nil)
		r.request.Stats.waited(came)
		if failed != nil {
			return failed
		}
	}
	// The permit comes last: a request that waits for its slot holds none.
	r.permit, failed = c.permit(ctx, r.request)
	if failed != nil {
		c.throttles.GiveBack(r.pass)
	}
	return failed
}

// leave ends an attempt; failed is nil when it succeeded.
func (r *run) leave(failed *Error) {
	r.client.leave(r.request, r.pass, failed)
	r.permit.Leave(failed == nil)
}

// again decides whether the request is repeated, and waits until it is time. ended is the error when the context ends
// meanwhile.
func (r *run) again(ctx context.Context, failed *Error) (again bool, ended *Error) {
	if claims, ok := failed.challenge(); ok && r.challenged == nil {
		r.challenged = failed
		r.token.Refused, r.token.Claims = r.used, claims
		r.client.repeated(RepeatNewToken)
		return true, nil
	}
	if failed.throttled() {
		r.throttled = failed
	}
	if r.request.Background || !r.harmless(failed) || r.repeats >= r.client.repeats {
		return false, nil
	}
	wait := r.wait(failed)
	if wait > maxWait || !fits(ctx, wait) || !r.client.tenants.Spend(r.request.Tenant) {
		return false, nil
	}
	if r.lost == nil && r.mayHaveWorked(failed) {
		r.lost = failed
	}
	r.repeats++
	r.fresh = failed.Status == http.StatusServiceUnavailable
	began := time.Now()
	ended = sleep(ctx, wait)
	r.request.Stats.waited(began)
	if ended == nil {
		r.client.repeated(repeatAfter(failed))
	}
	return ended == nil, ended
}

// harmless reports whether the request can be repeated after a failure without doing anything twice.
func (r *run) harmless(failed *Error) bool {
	repeatable := r.request.Safe || r.request.Method == http.MethodDelete
	switch failed.Kind {
	case KindResponse:
		if failed.lostRace() {
			return true
		}
		switch failed.Status {
		case http.StatusTooManyRequests, statusBandwidthLimit:
			return true
		case http.StatusServiceUnavailable:
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

// mayHaveWorked reports whether a DELETE may have been carried out although it failed.
func (r *run) mayHaveWorked(failed *Error) bool {
	refused := failed.Status == http.StatusServiceUnavailable && failed.HasRetryAfter || failed.lostRace()
	return !r.request.Safe && failed.Sent && !failed.throttled() && !refused
}

// wait is how long to wait before the repeat.
func (r *run) wait(failed *Error) time.Duration {
	c := r.client
	switch {
	case failed.throttled():
		return max(failed.throttledFor(), c.throttles.Remaining(keyOf(r.request)))
	case failed.Kind == KindResponse && failed.HasRetryAfter:
		// Requests that were refused together must not come back together.
		return failed.RetryAfter + time.Duration(c.jitter()*float64(failed.RetryAfter)/5)
	}
	return time.Duration(c.jitter() * float64(c.backoff<<r.repeats))
}

// end is the error of the request, whose last attempt failed with the given one.
func (r *run) end(failed *Error) *Error {
	if failed.Kind == KindThrottled && r.throttled != nil {
		// Graph's own response says more than the throttle's error, but not how much time has passed since.
		response := *r.throttled
		response.RetryAfter, response.HasRetryAfter = failed.RetryAfter, failed.HasRetryAfter
		failed = &response
	}
	if r.challenged != nil && failed.Kind == KindToken {
		failed = r.challenged.without(failed)
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

// judges reports whether an error response is about the request itself, and not about when, by whom or over which
// connection it was sent.
func (e *Error) judges() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusNotFound:
		return e.Gone()
	}
	return e.Kind == KindResponse && e.Status >= 400 && e.Status < 500 && !e.lostRace()
}

// fits reports whether there is time for a wait and an attempt after it.
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
