package throttle

import (
	"context"
	"sync"
	"time"
)

// queue is a throttle with the requests that wait for it.
type queue struct {
	mu sync.Mutex
	throttle
	// changed is closed when the state changes, over when the throttle becomes blocked or is dropped.
	changed, over chan struct{}
	// line are the requests that wait for a slot. A slot belongs to no request until its time comes, so that a request
	// that gives up takes no slot with it.
	line line
	// outside are the tenants that have a request which waits for a blocked throttle to open. Only the application's
	// throttle, which is shared, has any.
	outside map[string]bool
	// dropped is set when the throttle is no longer in force.
	dropped bool
}

// newQueue returns a throttle that lets everything through. shared says that it is that of all tenants.
func newQueue(shared bool) *queue {
	q := &queue{changed: make(chan struct{}), over: make(chan struct{})}
	if shared {
		q.outside = make(map[string]bool)
	}
	return q
}

// decide is what the throttle decides now about a request of a tenant. changed is closed when its state changes.
func (q *queue) decide(tenant string, giveUp time.Time, patient bool) (d decision, changed <-chan struct{}) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.decideNow(tenant, now, giveUp, patient), q.changed
}

func (q *queue) decideNow(tenant string, now, giveUp time.Time, patient bool) decision {
	d := q.throttle.decide(now, giveUp, patient, q.line.ahead(tenant), q.line.full(tenant))
	if d.action == refuse && !d.closed {
		q.refuse(now, q.line.total)
	}
	return d
}

// waitOutside reports whether a request may wait until the throttle opens although it is not patient: one of each
// tenant may, when that is soon. So a tenant that sends few requests loses none when another one makes the upstream
// throttle the application. A request that may is followed by comeInside.
func (q *queue) waitOutside(tenant string) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.outside == nil || q.outside[tenant] || q.until.Sub(now) > maxOutside {
		return false
	}
	q.outside[tenant] = true
	return true
}

func (q *queue) comeInside(tenant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.outside, tenant)
}

// enter takes a slot, which may have to come first, or sends the request as the probe. It takes nothing when it refuses
// the request, when the throttle is blocked meanwhile or over is closed, which stands for the other throttle, or when
// the context ends.
func (q *queue) enter(ctx context.Context, tenant string, giveUp time.Time, over <-chan struct{}) (a admission, taken bool, err error) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped {
		return admission{}, false, nil
	}
	a = admission{queue: q, epoch: q.epoch, over: q.over}
	switch d := q.decideNow(tenant, now, giveUp, false); {
	case d.closed:
		return admission{}, false, nil
	case d.action == refuse:
		return admission{}, false, &Refused{d.wait}
	case d.action == send && q.state != paced:
		if !q.claim(now) {
			return admission{}, false, nil
		}
		q.probe(&a, time.Now())
		return a, true, nil
	case d.action == send:
		q.slot = now
		q.takeSlot(&a, now)
		return a, true, nil
	}
	a.held = true
	q.holdUp(now, q.line.total)
	// Tenants that come meanwhile can put the slot off.
	if limit := now.Add(maxSlotWait + MinTime); limit.Before(giveUp) {
		giveUp = limit
	}
	own := q.line.join(tenant)
	defer func() {
		q.line.quit(own, taken)
		// However it ended, there may be another next request.
		q.line.wake()
	}()
	for {
		now := time.Now()
		next := q.line.next() == own
		slot := q.nextSlot(now)
		switch {
		case next && !now.Before(slot):
			q.takeSlot(&a, now)
			return a, true, nil
		case !now.Before(giveUp):
			q.refuse(now, q.line.total-1)
			return admission{}, false, &Refused{q.slotWait(now, q.line.ahead(tenant))}
		}
		wake := giveUp
		if next {
			q.ask(now)
			// Only the next one looks at the slot's time.
			if slot = q.nextSlot(now); slot.Before(wake) {
				wake = slot
			}
		}
		if gone, err := q.wait(ctx, own, wake, a.over, over); gone || a.epoch != q.epoch || q.dropped {
			return admission{}, false, err
		}
	}
}

// wait releases the lock until the request has reason to look again, or is gone: one of its throttles was blocked, or
// its context ended, which is the error.
func (q *queue) wait(ctx context.Context, own *waiter, wake time.Time, over, otherOver <-chan struct{}) (gone bool, err error) {
	timer := time.NewTimer(time.Until(wake))
	defer timer.Stop()
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-timer.C:
	case <-own.first:
	case <-over:
		return true, nil
	case <-otherOver:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
	return false, nil
}

func (q *queue) giveBack(a admission) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.throttle.giveBack(a, now) {
		q.signal()
		q.tell(q.op(Release, now), nil)
	}
	q.line.wake()
}

func (q *queue) leave(a admission, responded bool) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.state
	if !q.throttle.leave(a, responded, now) {
		return
	}
	q.signal()
	switch {
	case before != paced && q.state == paced:
		q.tell(q.op(Open, now), nil)
	case a.probe:
		q.tell(q.op(Release, now), nil)
	}
}

// block notes a throttle response. own is how the request passed; the zero value for one that came before the throttle.
// It reports false when the throttle is no longer in force.
func (q *queue) block(own admission, until time.Time) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped {
		return false
	}
	fresh := q.throttle.block(own.queue == q && own.epoch == q.epoch, until, now)
	q.release()
	q.tellBlock(fresh, now)
	return true
}

// release lets all who wait look again.
func (q *queue) release() {
	close(q.over)
	q.over, q.line = make(chan struct{}), line{}
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

func (q *queue) ended() bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hasEnded(now)
}

// drop puts the throttle out of force. With onlyEnded it does so only when it has ended. forgotten says that the other
// replicas shall forget it, too. It reports whether it did.
func (q *queue) drop(onlyEnded, forgotten bool) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped || onlyEnded && !q.hasEnded(now) {
		return false
	}
	q.dropped = true
	q.release()
	if forgotten {
		op := q.op(End, now)
		op.Fresh = true
		q.tell(op, func(Fact, error, time.Time) {})
	}
	return true
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
