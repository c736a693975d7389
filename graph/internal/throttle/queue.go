package throttle

import (
	"context"
	"slices"
	"sync"
	"time"
)

// queue is a throttle with the requests that wait for it.
type queue struct {
	mu sync.Mutex
	throttle
	// changed is closed when the state changes, over when it becomes blocked.
	changed, over chan struct{}
	// waiting are the requests that wait for a slot, each with a channel that makes it look again. A slot belongs to no
	// request until its time comes, so that a request that gives up takes no slot with it.
	waiting []chan struct{}
}

func newQueue() *queue { return &queue{changed: make(chan struct{}), over: make(chan struct{})} }

// decide is what the throttle decides now. changed is closed when its state changes.
func (q *queue) decide(giveUp time.Time, patient bool) (d decision, changed <-chan struct{}) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.throttle.decide(now, giveUp, patient), q.changed
}

// enter takes a slot, which may have to come first, or sends the request as the probe. It takes nothing when it refuses
// the request, when the throttle is blocked meanwhile or over is closed, which stands for the other throttle, or when
// the context ends.
func (q *queue) enter(ctx context.Context, giveUp time.Time, over <-chan struct{}) (a admission, taken bool, err error) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	a = admission{queue: q, epoch: q.epoch, over: q.over}
	switch d := q.throttle.decide(now, giveUp, false); {
	case d.closed:
		return admission{}, false, nil
	case d.action == refuse:
		return admission{}, false, &Refused{d.wait}
	case d.action == send && q.state != paced:
		q.probe(&a, now)
		return a, true, nil
	case d.action == send:
		q.slot = now
		q.takeSlot(&a)
		return a, true, nil
	}
	a.held = true
	own := q.join()
	// However it ends, the next request becomes the first.
	defer q.quit(own)
	for {
		if q.waiting[0] == own && !time.Now().Before(q.slot) {
			q.takeSlot(&a)
			return a, true, nil
		}
		if gone, err := q.await(ctx, own, a.over, over); gone || a.epoch != q.epoch {
			return admission{}, false, err
		}
	}
}

// await releases the lock until the request has reason to look again, or is gone: one of its throttles was blocked, or
// its context ended, which is the error.
func (q *queue) await(ctx context.Context, own chan struct{}, over, otherOver <-chan struct{}) (gone bool, err error) {
	// Only the first in the queue looks at the clock.
	var slot <-chan time.Time
	if q.waiting[0] == own {
		timer := time.NewTimer(time.Until(q.slot))
		defer timer.Stop()
		slot = timer.C
	}
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-slot:
	case <-own:
	case <-over:
		return true, nil
	case <-otherOver:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
	return false, nil
}

// join puts a request at the end of the queue.
func (q *queue) join() chan struct{} {
	own := make(chan struct{}, 1)
	q.waiting = append(q.waiting, own)
	q.queued = len(q.waiting)
	return own
}

// quit takes a request out of the queue, in which it may no longer be.
func (q *queue) quit(own chan struct{}) {
	i := slices.Index(q.waiting, own)
	if i < 0 {
		return
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.queued = len(q.waiting)
	if i == 0 {
		q.wake()
	}
}

// wake makes the first in the queue look at the clock.
func (q *queue) wake() {
	if len(q.waiting) > 0 {
		select {
		case q.waiting[0] <- struct{}{}:
		default:
		}
	}
}

func (q *queue) giveBack(a admission) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.throttle.giveBack(a, now) {
		q.signal()
	}
	q.wake()
}

func (q *queue) leave(a admission, responded bool) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.throttle.leave(a, responded, now) {
		q.signal()
	}
}

// block notes a throttle response. own is how the request passed; the zero value for one that came before the throttle.
func (q *queue) block(own admission, until time.Time) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.throttle.block(own.queue == q && own.epoch == q.epoch, until, now)
	close(q.over)
	q.over, q.waiting = make(chan struct{}), nil
	q.signal()
}

func (q *queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// untilBlocked returns what is closed when the throttle is blocked next.
func (q *queue) untilBlocked() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.over
}

func (q *queue) remaining() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(0, time.Until(q.until))
}

func (q *queue) forgotten() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.throttle.forgotten(time.Now())
}

// sleep waits until the time has passed or changed is closed. When the context ends first, it returns its error.
func sleep(ctx context.Context, wait time.Duration, changed <-chan struct{}) error {
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
