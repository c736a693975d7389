package credential

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

// hedgeTime is how long a token request is out before a second one is sent for the same token. An authority that
// swallows one request, or a connection that has died, would otherwise cost the tenant fetchTime. It is also how long
// one request is awaited after the other one has failed.
const hedgeTime = 3 * time.Second

// errOutrun is why a token request is cancelled when the other one of its flight has ended the flight.
var errOutrun = errors.New("another request for the same token has ended first")

// result is what a token request brought, and the version of the credential before it.
type result struct {
	token   azcore.AccessToken
	version hash
	err     *graph.TokenError
}

// hedged requests a token once, and a second time when the first request has been out for hedgeTime, or when its
// connection broke. start has counted the first one. Whichever ends the flight cancels the other request:
//
//	first to happen                         the flight
//	--------------------------------------  ----------------------------------------------------------------
//	a token                                 ends with it
//	a refusal                               ends with it: the authority would refuse the other request as well
//	a failure, no other request is out      ends with it
//	a failure, the other request is out     ends with the other's result, or with the failure after hedgeTime
//	fetchTime is over                       ends as unavailable
func (c *cache) hedged(want wanted, request graph.TokenRequest) result {
	background, stop := context.WithTimeout(c.background, fetchTime)
	defer stop()
	ctx, cancel := context.WithCancelCause(background)
	defer cancel(errOutrun)
	results := make(chan result, 2)
	c.send(withAttempt(ctx, new(attempt)), want, request, results)
	out, second := 1, false
	sendSecond := func() {
		if !second && c.mayHedge(want.tenant) {
			second = true
			out++
			c.send(withAttempt(ctx, &attempt{second: true}), want, request, results)
		}
	}
	var failed *result
	timer := time.NewTimer(c.hedgeTime)
	defer timer.Stop()
	for {
		select {
		case r := <-results:
			out--
			switch {
			case r.err == nil || r.err.Kind != graph.TokenUnavailable:
				return r
			case failed != nil:
				return r.orEarlier(*failed)
			case out == 0 && broke(r.err):
				if sendSecond(); out > 0 {
					continue
				}
				return r
			case out == 0:
				return r
			}
			failed = &r
			timer.Reset(c.hedgeTime)
		case <-timer.C:
			if failed != nil {
				return *failed
			}
			sendSecond()
			timer.Reset(c.hedgeTime)
		case <-ctx.Done():
			if failed != nil {
				return *failed
			}
			return result{err: unavailable(ctx.Err())}
		}
	}
}

// orEarlier returns the failure that says more: one that is no time-out, that of the longer Retry-After, the later one.
func (r result) orEarlier(earlier result) result {
	if timedOut(r.err) || retryAfter(earlier.err) > retryAfter(r.err) {
		return earlier
	}
	return r
}

// mayHedge counts a second request, and reports whether it may go out. Second requests leave half of maxFetches free:
// an authority that hangs for everybody must not get twice the requests, and others must get their first one.
func (c *cache) mayHedge(tenant string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shares.take(tenant, c.shares.max/2)
}

// send sends a token request that has been counted, and counts it no more when it has ended.
func (c *cache) send(ctx context.Context, want wanted, request graph.TokenRequest, results chan<- result) {
	c.running.Go(func() {
		token, version, err := c.fetched(ctx, request)
		r := result{token: token, version: version}
		if err != nil {
			r.err = asTokenError(err)
		}
		c.mu.Lock()
		c.shares.giveBack(want.tenant)
		c.mu.Unlock()
		results <- r
	})
}
