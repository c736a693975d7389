package throttle

import "time"

const (
	// maxSlotWait is how long a request waits for its slot, and maxQueued how many do at once.
	maxSlotWait = 2 * time.Second
	maxQueued   = 64
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

// decide says what becomes of a request that comes now, would wait until giveUp, and is patient or not. It changes
// nothing.
func (t *throttle) decide(now, giveUp time.Time, patient bool) decision {
	switch {
	case now.Before(t.until):
		return closed(t.until.Sub(now), patient && !t.until.After(giveUp))
	case t.due(now):
		return decision{}
	case t.state != paced:
		return closed(probeWait, patient && now.Before(giveUp))
	}
	slotWait := max(0, t.slot.Sub(now)) + time.Duration(t.queued)*t.pace.interval()
	switch {
	case slotWait == 0:
		return decision{}
	case slotWait <= maxSlotWait && t.queued < maxQueued && !now.Add(slotWait).After(giveUp):
		return decision{action: await, wait: slotWait}
	}
	return decision{action: refuse, wait: slotWait}
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
