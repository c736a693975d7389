package throttle

import (
	"math/rand/v2"
	"time"
)

// maxProbe is how long a probe holds up the others. One that hangs is followed by the next after that.
const maxProbe = 10 * time.Second

// state is how a throttle treats requests.
//
//	state         begins when                        a request is
//	------------  ---------------------------------  -------------------------------------------------------------
//	blocked       the upstream throttled a request   refused with the time left; a patient one may wait
//	blocked, due  that time has passed               the probe, which alone is sent
//	probing       the probe was sent                 refused; a patient one may wait; after 10 s the next probe
//	paced         the upstream responded to a probe  sent in its slot, at the pace; refused when its slot is too late
//	(none)        the pace holds nobody up, or       sent
//	              5 minutes pass without a throttle
//
// A probe that gets no response, or is not sent after all, makes the throttle due again. A throttle response blocks it
// in any state.
type state int

const (
	blocked state = iota
	probing
	paced
)

// throttle is what is known of the requests of one key. It is plain data: every method gets the time, and none waits,
// locks or starts anything. queue adds that.
type throttle struct {
	state state
	// epoch counts how often the throttle was blocked.
	epoch uint64
	// until is when a blocked throttle is due, throttledAt the time of the last throttle response, probedAt that of the
	// last probe.
	until, throttledAt, probedAt time.Time
	// slot is when the next request may go.
	slot time.Time
	// refused is how many requests were refused for the pace since the last slot was taken.
	refused int
	pace    pace
	// share is what other replicas know, if there are any.
	share share
}

// due reports whether the next request is the probe.
func (t *throttle) due(now time.Time) bool {
	return !now.Before(t.until) && !now.Before(t.share.others) && t.state != paced && (t.state != probing || now.Sub(t.probedAt) >= maxProbe)
}

// probe sends a request as the probe.
func (t *throttle) probe(a *admission, now time.Time) {
	t.state, t.probedAt = probing, now
	a.probe, a.probedAt = true, now
}

// interval is the time between a request of this replica and its next one.
func (t *throttle) interval(now time.Time) time.Duration {
	return t.pace.interval(now) * time.Duration(t.share.parts())
}

// spacing is the time between the slots that this replica is likely to get. Replicas that send less leave more to it,
// so that a long line is no reason to refuse: at most four of them count.
func (t *throttle) spacing(now time.Time) time.Duration {
	if !t.share.together(now) {
		return t.interval(now)
	}
	return t.pace.interval(now) * time.Duration(min(t.share.parts(), maxCounted))
}

// nextSlot is when the next request may go, or when there is reason to look again.
func (t *throttle) nextSlot(now time.Time) time.Time {
	if t.share.together(now) {
		return t.share.next(now)
	}
	return t.slot
}

// takeSlot gives a request the slot that has come.
func (t *throttle) takeSlot(a *admission, now time.Time) {
	a.interval = t.interval(now)
	if s := &t.share; s.together(now) && len(s.slots) > 0 {
		a.leased = s.slots[0]
		s.slots = s.slots[1:]
		// If the store is lost now, the own slots begin after this one.
		t.slot = a.leased
	}
	t.slot = t.slot.Add(a.interval)
	t.pace.sent(t.refused, now)
	t.refused = 0
}

// holdUp notes that a request is held up for the pace, while a number of others wait for a slot.
func (t *throttle) holdUp(now time.Time, waiting int) {
	if waiting+t.refused > 0 {
		t.pace.crowd(now)
	}
}

// refuse notes that a request is refused for the pace, while a number of others wait for a slot.
func (t *throttle) refuse(now time.Time, waiting int) {
	t.holdUp(now, waiting)
	t.refused++
}

// giveBack notes that an admitted request was not sent: the next one goes that much earlier, or is the probe. It
// reports whether the state changed. Slots whose time has passed are not saved up: requests are spaced evenly.
func (t *throttle) giveBack(a admission, now time.Time) (changed bool) {
	switch {
	case a.epoch != t.epoch:
	case a.probe && !a.probedAt.Equal(t.probedAt):
		// The probe hung, and another one was sent meanwhile.
	case a.probe:
		t.endProbe()
		return true
	case !a.leased.IsZero():
		t.share.slots = append([]time.Time{a.leased}, t.share.slots...)
	default:
		if earlier := t.slot.Add(-a.interval); earlier.After(now) {
			t.slot = earlier
		} else if t.slot.After(now) {
			t.slot = now
		}
	}
	return false
}

// leave notes that an admitted request was not throttled. It reports whether the state may have changed.
func (t *throttle) leave(a admission, responded bool, now time.Time) (changed bool) {
	if a.epoch != t.epoch {
		return false
	}
	if responded {
		t.pace.accept(now)
	}
	if !a.probe || !responded && !a.probedAt.Equal(t.probedAt) {
		return false
	}
	t.endProbe()
	if responded && t.state != paced {
		t.state = paced
		t.pace.open(now)
		t.share.vain = 0
		t.slot = now.Add(t.interval(now))
	}
	return true
}

// endProbe makes a probing throttle due again.
func (t *throttle) endProbe() {
	if t.state == probing {
		t.state = blocked
	}
}

// block notes a throttle response. passed reports whether the request passed this throttle since it was blocked last.
// fresh says that the response says something of the pace.
func (t *throttle) block(passed bool, until, now time.Time) (fresh bool) {
	t.pace.pause(now)
	fresh = t.epoch == 0 || t.state == paced && passed
	switch {
	case fresh:
		t.pace.throttled(now, t.share.parts())
		t.pace.holdFor(until.Sub(now))
	case t.state == probing && t.share.store != nil && !t.share.together(now):
		// The store is gone, and so each replica probes. An upstream that counts early requests never opens when they
		// take turns at it: each waits for a random while, which becomes longer with each probe in vain.
		t.share.vain = min(t.share.vain+1, maxVain)
		t.pace.holdFor(until.Sub(now))
		until = until.Add(rand.N(until.Sub(now) << t.share.vain))
	case t.state == probing:
		// The throttled probe says that the wait was too short, and nothing about the rate, since nothing was sent
		// meanwhile.
		t.pace.holdFor(until.Sub(now))
	}
	// Otherwise the request was under way with one that was throttled: that is one event. The wait that it names is
	// longer when the upstream takes it for one that comes too early.
	t.epoch++
	if until.After(t.until) {
		t.until = until
	}
	t.state, t.throttledAt, t.refused = blocked, now, 0
	t.share.slots, t.share.others, t.share.ended = nil, time.Time{}, false
	return fresh
}

// ended reports whether the throttle is no longer in force by what is known here: its pace has grown until it holds
// nobody up, or it is forgotten.
func (t *throttle) ended(now time.Time) bool {
	return t.forgotten(now) || !t.throttledAt.IsZero() && t.state == paced && t.pace.over(now)
}

// forgotten reports whether the throttle was not blocked for minutes. One that was never blocked is not forgotten.
func (t *throttle) forgotten(now time.Time) bool {
	latest := t.throttledAt
	if t.until.After(latest) {
		latest = t.until
	}
	return !latest.IsZero() && now.Sub(latest) > forgetAfter
}
