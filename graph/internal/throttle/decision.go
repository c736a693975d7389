package throttle

import "time"

const (
	// maxSlotWait is how long a request waits for its slot.
	maxSlotWait = 2 * time.Second
	// maxOutside is how long one request of each tenant waits for the application's throttle to open.
	maxOutside = 2 * maxSlotWait
	// probeWait is the wait that refusals name while a probe is under way. How long the probe takes is not known.
	probeWait = time.Second
)

// action is what becomes of a request, in growing severity.
type action int

const (
	send action = iota
	await
	refuse
)

// decision is what a throttle says to a request; the zero value sends it now.
type decision struct {
	action action
	// wait is how long the request waits, or is refused for.
	wait time.Duration
	// closed is set when the throttle is blocked or probing: the request waits for that to change, not for a slot.
	closed bool
}

// decide says what becomes of a request that comes now, would wait until giveUp, and is patient or not. As many others
// as ahead get a slot before it; full says that there is no place to wait. It changes nothing.
func (t *throttle) decide(now, giveUp time.Time, patient bool, ahead int, full bool) decision {
	switch {
	case now.Before(t.until):
		return closed(t.until.Sub(now), patient && !t.until.After(giveUp))
	case t.due(now):
		return decision{}
	case t.state != paced:
		return closed(probeWait, patient && now.Before(giveUp))
	}
	wait := t.slotWait(now, ahead)
	switch {
	case wait == 0:
		return decision{}
	case wait <= maxSlotWait && !full && !now.Add(wait).After(giveUp):
		return decision{action: await, wait: wait}
	}
	return decision{action: refuse, wait: wait}
}

// slotWait is how long it takes until a request gets a slot that others get one before.
func (t *throttle) slotWait(now time.Time, ahead int) time.Duration {
	return max(0, t.nextSlot(now).Sub(now)) + time.Duration(ahead)*t.spacing(now)
}

func closed(left time.Duration, waits bool) decision {
	if waits {
		return decision{action: await, wait: left, closed: true}
	}
	return decision{action: refuse, wait: left, closed: true}
}

// and combines the decisions of two throttles that a request has to pass. The longer wait counts. If one is closed, it
// decides alone: the queue of the other will have changed when it opens.
func (d decision) and(other decision) decision {
	both := decision{wait: max(d.wait, other.wait), closed: d.closed || other.closed}
	for _, one := range []decision{d, other} {
		if one.closed == both.closed {
			both.action = max(both.action, one.action)
		}
	}
	return both
}
