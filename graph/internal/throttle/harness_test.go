package throttle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when the tests leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenant      = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	otherTenant = "11111111-2222-4333-8444-555555555555"
)

var (
	application = Key{}
	reads       = Key{Tenant: tenant}
	otherReads  = Key{Tenant: otherTenant}
)

// pacedAt makes a throttle that is paced at a number of requests a second.
func pacedAt(t *Throttles, key Key, rate float64) {
	q := find(t, key)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.throttledAt, q.state = time.Now(), paced
	// So far from both its ends a pace stays what it is.
	q.pace = pace{ceiling: rate / holdAt, age: time.Hour, hold: 2 * time.Hour, opened: time.Now()}
}

// find returns the throttle of a key, a new one if there is none.
func find(t *Throttles, key Key) *queue {
	q, _ := t.findOrAdd(key)
	return q
}

// blockFor blocks a key.
func blockFor(t *Throttles, key Key, wait time.Duration) { t.Block(key, Pass{}, []Key{key}, wait) }

// enter lets an impatient request of the test in.
func enter(t *testing.T, throttles *Throttles, key Key) Pass {
	t.Helper()
	p, err := throttles.Enter(t.Context(), key, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// outcome is how a request ended, and how long after it came.
type outcome struct {
	err  error
	took time.Duration
}

// refusedFor is how long the request was refused for, 0 when it was not.
func (o outcome) refusedFor() time.Duration {
	if refused, ok := errors.AsType[*Refused](o.err); ok {
		return refused.RetryAfter
	}
	return 0
}

// begin starts a request, which gets its response as soon as it is sent. It returns when the request is sent, refused
// or waiting.
func begin(ctx context.Context, throttles *Throttles, key Key) <-chan outcome {
	ended := make(chan outcome, 1)
	start := time.Now()
	go func() {
		p, err := throttles.Enter(ctx, key, false)
		if err == nil {
			throttles.Leave(p, true)
		}
		ended <- outcome{err, time.Since(start)}
	}()
	synctest.Wait()
	return ended
}
