package graph

import (
	"context"
	"sync"
	"time"
)

const (
	// longestQueue is how long a call waits for its turn in a paced lane, and maxQueue how many do at once.
	longestQueue = 2 * time.Second
	maxQueue     = 64
	// whileProbing is the wait that callers are told while a probe is out, of which nobody knows how long it takes.
	whileProbing = time.Second
	// longestProbe is how long a probe is waited for: one that hangs must not hold up all others.
	longestProbe = 10 * time.Second
)

// lane is the way of the calls that are throttled together.
//
//	state    begins when                     a call is
//	-------  ------------------------------  ------------------------------------------------------------------
//	closed   Graph answered 429              refused with the time left; one that was throttled itself may wait
//	due      the time has passed             the probe, which alone is sent
//	probing  the probe was sent              refused; one that was throttled itself may wait; after 10 s the next probe
//	paced    Graph answered the probe        sent in its turn, at the pace; refused when its turn is too far off
//	(none)   5 minutes without a 429         sent
//
// A probe that gets no answer makes the lane due again. A 429 closes it in any state.
type lane struct {
	mu sync.Mutex
	// epoch counts the closings.
	epoch uint64
	// until is when the lane is due, lately the last throttle answer, probed when the last probe was sent.
	until, lately, probed time.Time
	// probing and paced are the states; neither is closed or due.
	probing, paced bool
	// changed is closed when the state changes.
	changed chan struct{}
	// turn is when the next call may go, queued how many wait for theirs.
	turn   time.Time
	queued int
	pace   pace
}

func newLane() *lane { return &lane{changed: make(chan struct{})} }

// enter returns when the call may be sent, or why it may not.
func (l *lane) enter(ctx context.Context, patient bool) (entry, *Error) {
	give := time.Now().Add(longestWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-leastTime).Before(give) {
		give = deadline.Add(-leastTime)
	}
	for {
		e, wait, changed, ok := l.try(patient, give)
		switch {
		case ok && wait == 0:
			return e, nil
		case !ok:
			return entry{}, &Error{Kind: KindThrottled, RetryAfter: wait, HasRetryAfter: true}
		case changed == nil:
			if err := l.waitForTurn(ctx, wait); err != nil {
				return entry{}, err
			}
			if l.stillPaced(e) {
				return e, nil
			}
		default:
			if err := sleep(ctx, wait, changed); err != nil {
				return entry{}, err
			}
		}
	}
}

// try lets the call through, or tells how long to wait: for its turn, or until the state has changed; ok is false when
// it is not to wait here. give is when the call gives up.
func (l *lane) try(patient bool, give time.Time) (e entry, wait time.Duration, changed <-chan struct{}, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e = entry{lane: l, epoch: l.epoch}
	switch {
	case now.Before(l.until):
		return e, l.until.Sub(now), l.changed, patient && !l.until.After(give)
	case !l.paced && (!l.probing || now.Sub(l.probed) >= longestProbe):
		l.probing, e.probe, l.probed = true, true, now
		return e, 0, nil, true
	case !l.paced:
		return e, whileProbing, l.changed, patient && now.Before(give)
	}
	turn := l.turn
	if turn.Before(now) {
		turn = now
	}
	wait = turn.Sub(now)
	if wait > longestQueue || turn.After(give) || wait > 0 && l.queued >= maxQueue {
		return e, wait, nil, false
	}
	l.turn = turn.Add(l.pace.next(wait > 0))
	if wait > 0 {
		l.queued++
	}
	return e, wait, nil, true
}

func (l *lane) waitForTurn(ctx context.Context, wait time.Duration) *Error {
	err := sleep(ctx, wait, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued--
	return err
}

// stillPaced tells whether the lane is as it was when the call got its turn.
func (l *lane) stillPaced(e entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch == e.epoch
}

// leave notes that a call was not throttled.
func (l *lane) leave(e entry, answered bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.epoch != l.epoch {
		return
	}
	if answered {
		l.pace.accept(now)
	}
	if e.probe {
		l.probing = false
		if answered {
			l.paced = true
			l.pace.open(now)
			l.turn = now.Add(l.pace.next(false))
		}
		l.signal()
	}
}

// close notes a throttle answer. own is how the call came in; the zero entry for one that came before the lane was.
func (l *lane) close(own entry, until time.Time) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	// Calls that were under way together are throttled together: that is one event.
	if l.epoch == 0 || own.lane == l && own.epoch == l.epoch {
		l.pace.throttled(now)
	}
	l.epoch++
	if until.After(l.until) {
		l.until = until
	}
	l.lately, l.probing, l.paced = now, false, false
	l.signal()
}

func (l *lane) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lane) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.until))
}

func (l *lane) forgotten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := l.lately
	if l.until.After(latest) {
		latest = l.until
	}
	return !latest.IsZero() && time.Since(latest) > forgetAfter
}
