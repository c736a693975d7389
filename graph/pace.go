package graph

import (
	"math"
	"time"
)

const (
	// firstPace is how many calls a second go at first when nothing is known but that there were too many, and growth
	// by how much that grows in a second.
	firstPace, growth = 4.0, 1.35
	// slowestPace and fastestPace bound it.
	slowestPace, fastestPace = 1.0, 5000.0
	// After a throttle answer the pace falls to fallTo of the measured rate, and comes back to holdAt within seconds.
	fallTo, holdAt = 0.85, 0.95
	// firstHold is how long it stays there before it looks whether more is allowed; each time that this is answered
	// with a throttle, twice as long, at most longestHold.
	firstHold, longestHold = 20 * time.Second, 160 * time.Second
)

// pace is how fast calls go through a lane. It follows CUBIC, the congestion control: it remembers the rate at which
// it was throttled, returns quickly to just below it, stays there, and then probes above it, slowly at first. Calls are
// spaced evenly, since the upstream may count in windows of any length.
type pace struct {
	// ceiling is the rate, in calls a second, that was accepted when a throttle answer came; 0 while it is unknown.
	ceiling float64
	// age is how long the pace has been in force. Only time counts in which it held calls up: else it tells nothing
	// about whether more is allowed.
	age  time.Duration
	hold time.Duration
	// opened is when the lane opened last.
	opened time.Time
	// accepted are the times of the last accepted calls, a ring; count is of all.
	accepted [64]time.Time
	count    int
}

// rate is the pace in calls a second.
func (p *pace) rate() float64 {
	age := p.age.Seconds()
	var rate float64
	switch over := age - p.hold.Seconds(); {
	case p.ceiling == 0:
		rate = firstPace * math.Pow(growth, age)
	case over < 0:
		rate = p.ceiling * (holdAt - (holdAt-fallTo)*math.Exp(-age/2))
	default:
		rate = p.ceiling * (holdAt + 0.02*over + 0.002*over*over*over)
	}
	return min(max(rate, slowestPace), fastestPace)
}

// interval is the time between a call and the one behind it.
func (p *pace) interval() time.Duration { return time.Duration(float64(time.Second) / p.rate()) }

// next is the interval behind a call that goes now. held tells that the call was held up.
func (p *pace) next(held bool) time.Duration {
	interval := p.interval()
	if held {
		p.age += interval
	}
	return interval
}

// giveBack undoes next for a call that did not go: it has tried nothing.
func (p *pace) giveBack(interval time.Duration, held bool) {
	if held {
		p.age = max(0, p.age-interval)
	}
}

// open notes that the lane opened.
func (p *pace) open(now time.Time) { p.opened = now }

// accept notes a call that was not throttled.
func (p *pace) accept(now time.Time) {
	p.accepted[p.count%len(p.accepted)] = now
	p.count++
}

// throttled notes a throttle answer.
func (p *pace) throttled(now time.Time) {
	if p.opened.IsZero() {
		// The first one: how fast calls went before it, nobody has counted.
		return
	}
	rate, lived := p.rate(), now.Sub(p.opened)
	switch {
	case lived >= time.Second || p.ceiling == 0:
		p.ceiling = max(min(rate, p.measured(now, lived, rate)), slowestPace)
	default:
		// Too short a time to measure anything, but there is less room than there was.
		p.ceiling = max(p.ceiling*fallTo, slowestPace)
	}
	if p.hold > 0 && p.age >= p.hold {
		p.hold = min(2*p.hold, longestHold)
	} else {
		p.hold = firstHold
	}
	p.age = 0
}

// measured is the rate of accepted calls over the last second, or over the last eight calls of a slow pace.
func (p *pace) measured(now time.Time, lived time.Duration, rate float64) float64 {
	span := max(min(lived, time.Duration(8/rate*float64(time.Second))), time.Second)
	from, n := now.Add(-span), 0
	kept := min(p.count, len(p.accepted))
	for i := 1; i <= kept; i++ {
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
