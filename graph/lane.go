package graph

import (
	"context"
	"slices"
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
//	probing  there is a probe                refused; one that was throttled itself may wait; after 10 s the next probe
//	paced    Graph answered the probe        sent in its turn, at the pace; refused when its turn is too far off
//	(none)   5 minutes without a 429         sent
//
// A probe that gets no answer, or is not sent after all, makes the lane due again. A 429 closes it in any state.
type lane struct {
	mu sync.Mutex
	// epoch counts the closings.
	epoch uint64
	// until is when the lane is due, lately the last throttle answer, probed when the last probe came through.
	until, lately, probed time.Time
	// probing and paced are the states; neither is closed or due.
	probing, paced bool
	// changed is closed when the state changes, over when it becomes closed.
	changed, over chan struct{}
	// turn is when the next call may go. queue are those that wait for their turn, each with a channel that tells it to
	// look again: turns belong to nobody until they come, so that one who leaves takes none along.
	turn  time.Time
	queue []chan struct{}
	pace  pace
}

func newLane() *lane { return &lane{changed: make(chan struct{}), over: make(chan struct{})} }

// look tells whether a call can ask for its turn: at once, or after the wait, or earlier when changed is closed. ok is
// false when it is not to wait here. give is when the call gives up.
func (l *lane) look(patient bool, give time.Time) (wait time.Duration, changed <-chan struct{}, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case now.Before(l.until):
		return l.until.Sub(now), l.changed, patient && !l.until.After(give)
	case l.due(now):
		return 0, nil, true
	case !l.paced:
		return whileProbing, l.changed, patient && now.Before(give)
	}
	wait, ok = l.room(now, give)
	return wait, nil, ok
}

// due tells whether the next call is the probe.
func (l *lane) due(now time.Time) bool {
	return !now.Before(l.until) && !l.paced && (!l.probing || now.Sub(l.probed) >= longestProbe)
}

// room tells how long the queue of a paced lane is, and whether a call can join it.
func (l *lane) room(now, give time.Time) (wait time.Duration, ok bool) {
	wait = max(0, l.turn.Sub(now)) + time.Duration(len(l.queue))*l.pace.interval()
	if wait == 0 {
		return 0, true
	}
	return wait, wait <= longestQueue && len(l.queue) < maxQueue && !now.Add(wait).After(give)
}

// take takes the call's turn, which may have to come first. It takes none when it refuses the call, when the lane or
// the one whose over is given closes meanwhile, or when the call ends: a turn is the next in the queue's.
func (l *lane) take(ctx context.Context, give time.Time, over <-chan struct{}) (e entry, ok bool, failed *Error) {
	now := time.Now()
	l.mu.Lock()
	e = entry{lane: l, epoch: l.epoch, over: l.over}
	switch {
	case l.due(now):
		l.probing, e.probe, l.probed, e.probed = true, true, now, now
		l.mu.Unlock()
		return e, true, nil
	case !l.paced:
		l.mu.Unlock()
		return entry{}, false, nil
	}
	wait, ok := l.room(now, give)
	switch {
	case !ok:
		l.mu.Unlock()
		return entry{}, false, throttledLocally(wait)
	case wait == 0:
		l.turn = now
		l.next(&e)
		l.mu.Unlock()
		return e, true, nil
	}
	e.held = true
	place := make(chan struct{}, 1)
	l.queue = append(l.queue, place)
	for {
		// Only the first in the queue looks at the clock.
		var timer *time.Timer
		var turn <-chan time.Time
		if l.queue[0] == place {
			wait := time.Until(l.turn)
			if wait <= 0 {
				l.leaveQueue(place)
				l.next(&e)
				l.mu.Unlock()
				return e, true, nil
			}
			timer = time.NewTimer(wait)
			turn = timer.C
		}
		l.mu.Unlock()
		gone := false
		select {
		case <-turn:
		case <-place:
		case <-e.over:
			gone = true
		case <-over:
			gone = true
		case <-ctx.Done():
			gone, failed = true, contextError(ctx, ctx.Err(), false)
		}
		if timer != nil {
			timer.Stop()
		}
		l.mu.Lock()
		if gone || e.epoch != l.epoch {
			l.leaveQueue(place)
			l.mu.Unlock()
			return entry{}, false, failed
		}
	}
}

// opening returns what is closed when the lane closes next.
func (l *lane) opening() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// next takes the turn that has come.
func (l *lane) next(e *entry) {
	e.turn = l.pace.next(e.held)
	l.turn = l.turn.Add(e.turn)
}

// leaveQueue takes a call out of the queue, in which it may no longer be.
func (l *lane) leaveQueue(place chan struct{}) {
	i := slices.Index(l.queue, place)
	if i < 0 {
		return
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	if i == 0 {
		l.wake()
	}
}

// wake makes the first in the queue look at the clock.
func (l *lane) wake() {
	if len(l.queue) > 0 {
		select {
		case l.queue[0] <- struct{}{}:
		default:
		}
	}
}

// giveBack notes that a call that came through was not sent: the next call goes that much earlier, or is the probe.
// Turns whose time has passed are not saved up: calls are spaced evenly.
func (l *lane) giveBack(e entry) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case e.epoch != l.epoch:
	case e.probe && !e.probed.Equal(l.probed):
		// It hung, and another probe is out.
	case e.probe:
		l.probing = false
		l.signal()
	default:
		l.pace.giveBack(e.turn, e.held)
		if earlier := l.turn.Add(-e.turn); earlier.After(now) {
			l.turn = earlier
		} else if l.turn.After(now) {
			l.turn = now
		}
		l.wake()
	}
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
	if e.probe && (answered || e.probed.Equal(l.probed)) {
		l.probing = false
		if answered && !l.paced {
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
	// Calls that were under way together are throttled together: that is one event. What a probe meets says that the wait
	// was too short, and nothing about the rate, as nothing was sent meanwhile.
	if l.epoch == 0 || l.paced && own.lane == l && own.epoch == l.epoch {
		l.pace.throttled(now)
	}
	l.epoch++
	close(l.over)
	l.over, l.queue = make(chan struct{}), nil
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
