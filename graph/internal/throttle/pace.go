package throttle

import (
	"math"
	"time"
)

// The constants of the pace, each with what it protects. throttle_figures_test.go of package graph measures what they
// lead to.
const (
	// firstPace is the pace, in requests a second, when nothing is known but that there were too many. growth is the
	// factor by which it then grows each second. They protect a small limit from the first guess: 10 a second are
	// reached after 3 s, and 1,000 after 18 s, while a round trip of 400 ms overshoots by an eighth.
	firstPace, growth = 4.0, 1.35
	// minPace and maxPace bound the pace. minPace protects callers: below one a second, a second caller would wait
	// longer than maxSlotWait. At maxPace a slot takes a fifth of a millisecond: the pace holds nobody up, and the
	// throttle ends.
	minPace, maxPace = 1.0, 5000.0
	// After a throttle response the pace falls to fallTo of the measured rate, and comes back to holdAt with the time
	// constant returnTime, in seconds. That protects a limit that is counted in windows: one that is full when the
	// throttle opens can empty, and at 0.95 of the limit none overflows because requests arrive unevenly.
	fallTo, holdAt, returnTime = 0.85, 0.95, 2.0
	returned                   = 4 * returnTime * time.Second
	// The pace stays at holdAt for waitsHeld times the wait that the throttle response named, but no less than minHold
	// and no more than maxHold, before it probes whether more is allowed. A probe of a limit that is still there costs
	// that wait. So this protects the callers' time, of which a third is lost at most, and the upstream: at 10 requests
	// a second with round trips of 400 ms, three requests in a hundred are throttled. minHold is no longer because ten
	// callers have to be back within 30 s when the limit is gone. maxHold is below forgetAfter, so that a pace grows
	// before it is forgotten.
	minHold, maxHold = 18 * time.Second, 160 * time.Second
	waitsHeld        = 2
	// A ceiling is confirmed when the next one differs by less than confirms. For each time in a row, up to
	// maxConfirmed, the hold after returned lasts twice as long, up to maxHold, while far more requests come than go.
	// That protects the time of callers who are too many for a limit that is there to stay: of a Retry-After of 10 s
	// they lose less than a tenth, and not a third.
	confirms, maxConfirmed = 0.2, 4
	// Far more requests come than go when farAbove are refused for each that goes, in the mean of the last meanOf or
	// so, and the ceiling is no lower than farAbovePace. That protects callers who are not too many from the longer
	// hold: ten who send their next request when the last one has ended are not refused at that pace, and of fifty who
	// come back after maxSlotWait 1.4 are refused for each that goes.
	farAbove, meanOf, farAbovePace = 1.5, 10, 5.0
	// steepness is that of the growth after the hold, exp(steepness · t³). It protects the limit that refused last,
	// which is passed after 1.6 s at a tenth more a second. Then the growth gets ever steeper, so that one request a
	// second becomes any rate within 9 s.
	steepness = 0.0118
	// quickly is how much faster the age of a pace grows while no two requests want one slot. A sequential caller is so
	// back within 10 s. It is no more, since a sequential caller that wants more than the limit meets it once in a
	// hold; it then has one request under way, and so one is throttled.
	quickly = 4
	// crowdedFor is how long after two requests wanted one slot the pace counts as crowded: callers who were refused
	// come back after maxSlotWait.
	crowdedFor = maxSlotWait
)

// pace is how fast requests pass a throttle. It follows CUBIC, the congestion control: it remembers the rate at which
// it was throttled, returns quickly to just below it, stays there, and then probes above it, slowly at first. Requests
// are spaced evenly, since the upstream may count in windows of any length.
//
// The pace grows with its age, and so ends by itself. Its age depends on who is held up:
//
//	who is held up for the pace              age grows
//	---------------------------------------  -----------------------------------------------------------
//	far more requests than go                with time; more slowly in a hold whose ceiling is confirmed
//	two requests or more want the same slot  with time
//	one request, or none                     quickly
//	(the throttle is blocked or probing)     not
//
// A sequential caller is held up at any pace below its own rate, but it never wants more than one slot.
type pace struct {
	// ceiling is the rate, in requests a second, that was accepted when a throttle response came; 0 while it is
	// unknown.
	ceiling float64
	// age is how old the pace was at the time since; since is zero while the throttle is not paced.
	age   time.Duration
	since time.Time
	// hold is how old the pace is when it grows past holdAt, confirmed how often in a row the ceiling was confirmed.
	hold      time.Duration
	confirmed int
	// crowded is when two requests wanted one slot last, refused how many requests are refused for each that goes.
	crowded time.Time
	refused float64
	// opened is when the throttle became paced last.
	opened time.Time
	// accepted are the times of the last accepted requests, as a ring; count is the number of all of them.
	accepted [64]time.Time
	count    int
	// counted is the rate of all replicas together, as the store measured it at countedAt.
	counted   float64
	countedAt time.Time
}

// ageAt is how old the pace is.
func (p *pace) ageAt(now time.Time) time.Duration {
	if p.since.IsZero() || !now.After(p.since) {
		return p.age
	}
	passed := now.Sub(p.since)
	slow := max(0, min(passed, p.crowded.Add(crowdedFor).Sub(p.since)))
	age := p.age
	if p.refused > farAbove && p.confirmed > 0 && p.ceiling >= farAbovePace && age >= returned && age < p.hold {
		rest := p.hold - returned
		factor := float64(min(rest<<p.confirmed, maxHold-returned)) / float64(rest)
		slowed := min(slow, time.Duration(float64(p.hold-age)*factor))
		return age + time.Duration(float64(slowed)/factor) + slow - slowed + quickly*(passed-slow)
	}
	return age + slow + quickly*(passed-slow)
}

// bringUpToDate counts the age until now, before what it depends on changes.
func (p *pace) bringUpToDate(now time.Time) {
	if !p.since.IsZero() {
		p.age, p.since = p.ageAt(now), now
	}
}

// rate is the pace in requests a second.
func (p *pace) rate(now time.Time) float64 {
	age := p.ageAt(now).Seconds()
	var rate float64
	switch over := age - p.hold.Seconds(); {
	case p.ceiling == 0:
		rate = firstPace * math.Pow(growth, age)
	case over < 0:
		rate = p.ceiling * (holdAt - (holdAt-fallTo)*math.Exp(-age/returnTime))
	default:
		rate = p.ceiling * holdAt * math.Exp(steepness*over*over*over)
	}
	return min(max(rate, minPace), maxPace)
}

// interval is the time between a request and the next one.
func (p *pace) interval(now time.Time) time.Duration {
	return time.Duration(float64(time.Second) / p.rate(now))
}

// over reports whether the pace has grown so much that it holds nobody up.
func (p *pace) over(now time.Time) bool { return p.rate(now) >= maxPace }

// open notes that the throttle became paced.
func (p *pace) open(now time.Time) { p.opened, p.since = now, now }

// pause notes that the throttle is no longer paced: while nobody can go, time says nothing.
func (p *pace) pause(now time.Time) { p.age, p.since = p.ageAt(now), time.Time{} }

// crowd notes that two requests want one slot.
func (p *pace) crowd(now time.Time) {
	p.bringUpToDate(now)
	p.crowded = now
}

// sent notes that a request goes, and how many were refused since the last one.
func (p *pace) sent(refused int, now time.Time) {
	p.bringUpToDate(now)
	p.refused += (float64(refused) - p.refused) / meanOf
}

// accept notes a request that was not throttled.
func (p *pace) accept(now time.Time) {
	p.accepted[p.count%len(p.accepted)] = now
	p.count++
}

// throttled notes a throttle response to a request at the pace, which is that of a number of replicas.
func (p *pace) throttled(now time.Time, replicas int) {
	if p.opened.IsZero() {
		// This is the first throttle response: the requests before it were not counted.
		return
	}
	rate, open, before := p.rate(now), now.Sub(p.opened), p.ceiling
	switch {
	case open >= time.Second || p.ceiling == 0:
		p.ceiling = max(min(rate, p.measuredOfAll(now, open, rate, replicas)), minPace)
	default:
		// The time is too short to measure anything, but less is allowed than before.
		p.ceiling = max(p.ceiling*fallTo, minPace)
	}
	if p.confirmed = min(p.confirmed+1, maxConfirmed); math.Abs(p.ceiling-before) > confirms*before {
		p.confirmed = 0
	}
	p.age, p.hold = 0, 0
}

// holdFor makes the hold long enough for a wait that a throttle response named.
func (p *pace) holdFor(wait time.Duration) {
	p.hold = max(p.hold, minHold, min(waitsHeld*wait, maxHold))
}

// measuredOfAll is the rate of accepted requests of all replicas. Without a store that counts them, the others are
// taken to be like this one.
func (p *pace) measuredOfAll(now time.Time, open time.Duration, rate float64, replicas int) float64 {
	if !p.countedAt.IsZero() && now.Sub(p.countedAt) < countedFor {
		return p.counted
	}
	return p.measured(now, open, rate) * float64(replicas)
}

// measured is the rate of accepted requests over the last second, or over the last eight requests of a slow pace. open
// is how long the throttle has been paced.
func (p *pace) measured(now time.Time, open time.Duration, rate float64) float64 {
	span := max(min(open, time.Duration(8/rate*float64(time.Second))), time.Second)
	from, n := now.Add(-span), 0
	remembered := min(p.count, len(p.accepted))
	for i := 1; i <= remembered; i++ {
		at := p.accepted[(p.count-i)%len(p.accepted)]
		if !at.After(from) {
			break
		}
		n++
		if n == len(p.accepted) {
			span = max(now.Sub(at), time.Millisecond)
		}
	}
	return float64(n) / span.Seconds()
}
