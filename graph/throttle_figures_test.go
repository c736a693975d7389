package graph

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The tests of this file measure the figures that are promised for a throttled tenant. They run in bubbles of synctest,
// where time passes at once, and print what they measure:
//
//	go test ./graph -v -run 'TestFigures' | grep figure:

// limiter is an upstream in memory. It allows a number of requests in each window, to all tenants together, and then
// throttles until its Retry-After has passed. A client that comes back earlier waits longer each time. The emulator's
// throttle rule is the same, but counts by tenant.
type limiter struct {
	roundTripTime, window, retryAfter time.Duration
	scope                             string

	mu sync.Mutex
	// allowed is how many requests a window has; 0 is no limit.
	allowed, count     int
	windowFrom, closed time.Time
	wait               time.Duration
	accepted           []time.Time
	throttled          int
	// lift ends the limit with the next throttle response.
	lift          bool
	lastThrottled time.Time
}

func (l *limiter) roundTrip(*http.Request, way) (*http.Response, error) {
	time.Sleep(l.roundTripTime / 2)
	wait := l.pass(time.Now())
	time.Sleep(l.roundTripTime - l.roundTripTime/2)
	if wait == 0 {
		return reply(200)()
	}
	headers := []string{"Retry-After", strconv.Itoa(int(wait.Seconds()))}
	if l.scope != "" {
		headers = append(headers, "X-Ms-Throttle-Scope", l.scope)
	}
	return reply(429, headers...)()
}

// pass counts a request. It returns how long the client has to wait, 0 for a request that is allowed.
func (l *limiter) pass(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.allowed == 0 {
		l.accepted = append(l.accepted, now)
		return 0
	}
	if now.Before(l.closed) {
		l.wait += l.retryAfter
	} else {
		l.wait = l.retryAfter
		if now.Sub(l.windowFrom) >= l.window || !l.closed.IsZero() {
			l.windowFrom, l.count, l.closed = now, 0, time.Time{}
		}
		if l.count++; l.count <= l.allowed {
			l.accepted = append(l.accepted, now)
			return 0
		}
	}
	l.closed = now.Add(l.wait)
	l.throttled++
	if l.lift {
		l.allowed = 0
	}
	l.lastThrottled = now
	return l.wait
}

// limit changes how many requests a window has.
func (l *limiter) limit(allowed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allowed = allowed
}

// liftNext makes the next throttle response the last one.
func (l *limiter) liftNext() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lift = true
}

// limits reports whether there is a limit.
func (l *limiter) limits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.allowed > 0
}

func (l *limiter) throttledUntilNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.throttled
}

// between counts the accepted requests.
func (l *limiter) between(from, to time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := func(not time.Time) int {
		n, _ := slices.BinarySearchFunc(l.accepted, not, time.Time.Compare)
		return n
	}
	return first(to) - first(from)
}

// limited makes a client of a limiter.
func limited(t *testing.T, l *limiter) *Client {
	t.Helper()
	client, err := New(Options{Endpoint: "https://graph.example/v1.0", Tokens: Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	client.roundTrip = l.roundTrip
	return client
}

// openTime adds up how long the tenant's reads are not blocked until the context ends, to the twentieth of a second.
func openTime(ctx context.Context, client *Client) *atomic.Int64 {
	var open atomic.Int64
	go func() {
		const step = 50 * time.Millisecond
		for sleep(ctx, step) == nil {
			if client.throttles.Remaining(keyOf(readOf(testTenant))) == 0 {
				open.Add(int64(step))
			}
		}
	}()
	return &open
}

// TestFiguresOfDemandAboveTheLimit has three times the demand that is allowed. It measures from when the limit could be
// learned for 10 s.
func TestFiguresOfDemandAboveTheLimit(t *testing.T) {
	const allowed, measured = 10, 3 * time.Minute
	many := func(deadline time.Duration) func(context.Context, *testing.T, *Client) {
		return func(ctx context.Context, t *testing.T, client *Client) { manyCallers(ctx, client, 3*allowed, deadline) }
	}
	sequential := func(ctx context.Context, t *testing.T, client *Client) { callers(ctx, t, client, 1) }
	for _, test := range []struct {
		name       string
		demand     func(context.Context, *testing.T, *Client)
		roundTrips []time.Duration
	}{
		{"many callers, deadline 600 ms", many(600 * time.Millisecond), []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}},
		{"many callers, deadline 1 min", many(time.Minute), []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}},
		{"one sequential caller", sequential, []time.Duration{time.Second / (3 * allowed)}},
	} {
		for _, retryAfter := range []time.Duration{time.Second, 10 * time.Second} {
			for _, roundTrip := range test.roundTrips {
				name := fmt.Sprintf("%s, Retry-After %v, round trip %v", test.name, retryAfter, roundTrip.Round(time.Millisecond))
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := &limiter{allowed: allowed, window: time.Second, retryAfter: retryAfter, roundTripTime: roundTrip}
						client := limited(t, l)
						ctx, cancel := context.WithCancel(t.Context())
						open := openTime(ctx, client)
						var group sync.WaitGroup
						group.Go(func() { test.demand(ctx, t, client) })
						for open.Load() < int64(10*time.Second) {
							time.Sleep(time.Second)
						}
						from, openBefore, throttledBefore := time.Now(), open.Load(), l.throttledUntilNow()
						time.Sleep(measured)
						ok, throttled := l.between(from, time.Now()), l.throttledUntilNow()-throttledBefore
						opened := time.Duration(open.Load() - openBefore)
						cancel()
						group.Wait()
						share, wasted := float64(ok)/(allowed*opened.Seconds()), float64(throttled)/float64(ok+throttled)
						t.Logf("figure: three times the limit by %s: %.1f %% of the limit outside blocked time, which is %.0f %% of the time; %.1f %% of requests throttled",
							name, 100*share, 100*(1-opened.Seconds()/measured.Seconds()), 100*wasted)
						if share < 0.85 || wasted > 0.05 {
							t.Error("that is not what was promised")
						}
					})
				})
			}
		}
	}
}

// TestFiguresOfRecovery has a stretch in which the upstream throttles, and then throttles nobody. It measures how long
// after the last throttle response the callers are back at nine tenths of the rate that they have without a throttle; a
// Retry-After of 10 s does not count.
func TestFiguresOfRecovery(t *testing.T) {
	for _, test := range []struct {
		callers, before int
		within          time.Duration
		roundTrips      []time.Duration
	}{
		{1, 1, 10 * time.Second, []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}},
		{1, 50, 10 * time.Second, []time.Duration{10 * time.Millisecond, 400 * time.Millisecond}},
		{10, 10, 30 * time.Second, []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}},
		{10, 50, 30 * time.Second, []time.Duration{100 * time.Millisecond}},
		{32, 32, 30 * time.Second, []time.Duration{100 * time.Millisecond}},
	} {
		for _, retryAfter := range []time.Duration{time.Second, 10 * time.Second} {
			for _, allowed := range []int{1, 10} {
				for _, roundTrip := range test.roundTrips {
					if test.before*int(time.Second/roundTrip) < 2*allowed {
						// They are not above it.
						continue
					}
					name := fmt.Sprintf("%d at once, after %d above %d/s, Retry-After %v, round trip %v", test.callers, test.before, allowed, retryAfter, roundTrip)
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							l := &limiter{allowed: allowed, window: time.Second, retryAfter: retryAfter, roundTripTime: roundTrip}
							took := recovery(t, l, test.before, test.callers, test.within+5*time.Second)
							t.Logf("figure: %s: back after %.1f s", name, took.Seconds())
							if took > test.within {
								t.Errorf("that is not what was promised: %v", test.within)
							}
						})
					})
				}
			}
		}
	}
}

// recovery has some callers for 150 s, until the next throttle response, and then others. It returns how long the
// others took, at most the given time.
func recovery(t *testing.T, l *limiter, before, after int, watched time.Duration) time.Duration {
	client := limited(t, l)
	during, end := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { callers(during, t, client, before) })
	time.Sleep(150 * time.Second)
	for l.liftNext(); l.limits(); {
		time.Sleep(10 * time.Millisecond)
	}
	end()
	group.Wait()
	from := l.lastThrottled
	if l.retryAfter > time.Second {
		from = l.closed
	}
	later, end := context.WithDeadline(t.Context(), from.Add(watched))
	defer end()
	callers(later, t, client, after)
	const span = time.Second
	want := 0.9 * float64(after) * math.Floor(float64(span)/float64(l.roundTripTime))
	for took := time.Duration(0); took+span <= watched; took += 100 * time.Millisecond {
		if n := l.between(from.Add(took), from.Add(took+span)); float64(n) >= want {
			return took
		}
	}
	return watched
}

// manyCallers sends a number of requests a second, each by another caller, until the context ends.
func manyCallers(ctx context.Context, client *Client, perSecond int, deadline time.Duration) {
	var group sync.WaitGroup
	for ctx.Err() == nil {
		group.Go(func() {
			within, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			client.Do(within, readOf(testTenant))
		})
		sleep(ctx, time.Second/time.Duration(perSecond))
	}
	group.Wait()
}

// callers has a number of callers, each of which sends its next request when the last one has ended, until the context
// ends. After a refusal it waits as long as that says, and up to a fifth or a second more.
func callers(ctx context.Context, t *testing.T, client *Client, n int) {
	var group sync.WaitGroup
	for caller := range n {
		group.Go(func() {
			for ctx.Err() == nil {
				within, cancel := context.WithTimeout(ctx, 30*time.Second)
				_, err := client.Do(within, readOf(testTenant))
				cancel()
				if e := failure(t, err); e != nil && e.HasRetryAfter {
					sleep(ctx, e.RetryAfter+min(e.RetryAfter/5, time.Second)*time.Duration(caller%10)/10)
				}
			}
		})
	}
	group.Wait()
}

// TestFiguresOfFairness has an application that may send 10 requests a second. One tenant asks 200 times a second, the
// other once. It counts the other's calls from when the limit could be learned for 10 s.
func TestFiguresOfFairness(t *testing.T) {
	for _, roundTrip := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
		t.Run(fmt.Sprintf("round trip %v", roundTrip), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &limiter{allowed: 10, window: time.Second, retryAfter: time.Second, roundTripTime: roundTrip, scope: "Application/Read/app"}
				client := limited(t, l)
				ctx, cancel := context.WithCancel(t.Context())
				var greedy sync.WaitGroup
				greedy.Go(func() { manyCallers(ctx, client, 200, 30*time.Second) })
				for open := openTime(ctx, client); open.Load() < int64(10*time.Second); {
					time.Sleep(time.Second)
				}
				const calls = 150
				var mu sync.Mutex
				var waits, blocked []time.Duration
				var others sync.WaitGroup
				for range calls {
					time.Sleep(time.Second)
					others.Go(func() {
						start, closed := time.Now(), client.throttles.Remaining(keyOf(readOf(otherTenant))) > 0
						within, cancel := context.WithTimeout(ctx, 30*time.Second)
						defer cancel()
						if _, err := client.Do(within, readOf(otherTenant)); err != nil {
							return
						}
						mu.Lock()
						defer mu.Unlock()
						if waits = append(waits, time.Since(start)-roundTrip); closed {
							blocked = append(blocked, time.Since(start)-roundTrip)
						}
					})
				}
				others.Wait()
				cancel()
				greedy.Wait()
				if len(waits) <= len(blocked) {
					t.Fatalf("%d of %d calls get through", len(waits), calls)
				}
				slices.Sort(waits)
				p99 := waits[(len(waits)-len(blocked))*99/100]
				t.Logf("figure: beside a greedy tenant, round trip %v: %d of %d calls get through; half wait less than %v, 99 %% less than %v; besides, %d find the application blocked and wait",
					roundTrip, len(waits), calls, waits[len(waits)/2].Round(time.Millisecond), p99.Round(time.Millisecond), len(blocked))
				if len(waits) < calls*95/100 || p99 > time.Second {
					t.Error("that is not what was promised")
				}
			})
		})
	}
}
