package graph

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Observer is told what becomes of requests, for metrics and traces. Its methods are called on the way of requests,
// from many goroutines at once: they have to be fast, and must not block. They get a tenant and ids of resources in
// Attempt.Request, which no metric and no span may have.
type Observer interface {
	// Attempted is called at the end of each attempt that was handed to the network.
	Attempted(ctx context.Context, a Attempt)
	// Repeated is called when a request is to be sent again.
	Repeated(why Repeat)
	// NoToken is called when a request was not sent since there is no token for it. The error is never nil.
	NoToken(err *TokenError)
}

// Attempt is one attempt at a request.
type Attempt struct {
	// Request is the request. It must not be changed.
	Request *Request
	// Resends is how many attempts at the request came before.
	Resends int
	// Began and Ended are when it began and ended. A response has been read whole by then.
	Began, Ended time.Time
	// Meta is the head of the response, zero when there was none.
	Meta
	// Failed is why it failed, nil when it did not.
	Failed *Error
}

// Throttled reports whether Graph refused the attempt because the caller asks too much.
func (a *Attempt) Throttled() bool { return a.Failed != nil && a.Failed.throttled() }

// Repeat says why a request is sent again.
type Repeat string

// The reasons to send a request again.
const (
	// RepeatThrottled is a request that Graph throttled.
	RepeatThrottled Repeat = "throttled"
	// RepeatUnavailable is a 503 without a throttle.
	RepeatUnavailable Repeat = "unavailable"
	// RepeatUnreachable is a request that got no response because of the network.
	RepeatUnreachable Repeat = "unreachable"
	// RepeatResponseLost is a request of which the response was lost or cut, by a gateway or by the network.
	RepeatResponseLost Repeat = "response-lost"
	// RepeatNewToken is a request that Graph wants with another token.
	RepeatNewToken Repeat = "new-token"
	// RepeatDeadConnection is a read whose connection had died without notice.
	RepeatDeadConnection Repeat = "dead-connection"
)

// Repeats are all reasons to send a request again.
var Repeats = []Repeat{
	RepeatThrottled, RepeatUnavailable, RepeatUnreachable, RepeatResponseLost, RepeatNewToken, RepeatDeadConnection,
}

// repeatAfter says why a request is sent again after a failure.
func repeatAfter(failed *Error) Repeat {
	switch {
	case failed.throttled():
		return RepeatThrottled
	case failed.Kind == KindUnreachable:
		return RepeatUnreachable
	case failed.Kind == KindResponse && failed.Status == http.StatusServiceUnavailable:
		return RepeatUnavailable
	}
	return RepeatResponseLost
}

// observed tells the observers of an attempt, unless nothing was handed to the network.
func (c *Client) observed(ctx context.Context, request *Request, resends int, began, ended time.Time, response *Response, failed *Error) {
	if len(c.observers) == 0 || failed != nil && (failed.Kind == KindInvalidRequest || failed.Kind == KindToken) {
		return
	}
	a := Attempt{Request: request, Resends: resends, Began: began, Ended: ended, Failed: failed}
	switch {
	case response != nil:
		a.Meta = response.Meta
	case failed != nil:
		a.Meta = failed.Meta
	}
	for _, o := range c.observers {
		o.Attempted(ctx, a)
	}
}

func (c *Client) repeated(why Repeat) {
	for _, o := range c.observers {
		o.Repeated(why)
	}
}

func (c *Client) noToken(failed *Error) {
	if failed.Kind != KindToken {
		return
	}
	err := &TokenError{Kind: failed.Token, Err: failed.Err}
	if known, ok := errors.AsType[*TokenError](failed.Err); ok {
		err = known
	}
	for _, o := range c.observers {
		o.NoToken(err)
	}
}

// Throttled counts the throttles that are in force now, of single tenants and of the application.
type Throttled struct {
	TenantReads, TenantWrites, ApplicationReads, ApplicationWrites int
}

// Throttled counts the throttles that are in force now.
func (c *Client) Throttled() Throttled {
	var n Throttled
	for _, key := range c.throttles.InForce() {
		switch {
		case key.Tenant == "" && key.Write:
			n.ApplicationWrites++
		case key.Tenant == "":
			n.ApplicationReads++
		case key.Write:
			n.TenantWrites++
		default:
			n.TenantReads++
		}
	}
	return n
}

// BlockedFor is how long requests of a tenant stay blocked because Graph throttled some, 0 when they are not.
func (c *Client) BlockedFor(tenant string) time.Duration {
	read, write := keyOf(&Request{Tenant: tenant, Safe: true}), keyOf(&Request{Tenant: tenant})
	return max(c.throttles.Remaining(read), c.throttles.Remaining(write))
}
