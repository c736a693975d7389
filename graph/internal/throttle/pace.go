package throttle

import (
	"math"
	"time"
)

const (
	// firstPace is the pace, in requests a second, when nothing is known but that there were too many. growth is the
	// factor by which it then grows each second.
	firstPace, growth = 4.0, 1.35
	// minPace and maxPace bound the pace.
	minPace, maxPace = 1.0, 5000.0
	// After a throttle response the pace falls to fallTo of the measured rate, and comes back to holdAt within seconds.
	fallTo, holdAt = 0.85, 0.95
	// minHold is how long the pace stays at holdAt before it probes whether more is allowed. Each time that it then
	// gets a throttle response, the hold doubles, up to maxHold.
	minHold, maxHold = 20 * time.Second, 160 * time.Second
)

// pace is how fast requests pass a throttle. It follows CUBIC, the congestion control: it remembers the rate at which
// it was throttled, returns quickly to just below it, stays there, and then probes above it, slowly at first. Requests
// are spaced evenly, since the upstream may count in windows of any length.
type pace struct {
	// ceiling is the rate, in requests a second, that was accepted when a throttle response came; 0 while it is unknown.
	ceiling float64
	// age is how long the pace has been in force. Only time counts in which it held requests up: other time says nothing
	// about whether more is allowed.
	age  time.Duration
	hold time.Duration
	// opened is when the throttle became paced last.
	opened time.Time
	// accepted are the times of the last accepted requests, as a ring; count is the number of all of them.
	accepted [64]time.Time
	count    int
}

// rate is the pace in requests a second.
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
	return min(max(rate, minPace), maxPace)
}

// interval is the time between a request and the next one.
func (p *pace) interval() time.Duration { return time.Duration(float64(time.Second) / p.rate()) }

// next returns the interval after a request that goes now. held says that the request was held up.
func (p *pace) next(held bool) time.Duration {
	interval := p.interval()
	if held {
		p.age += interval
	}
	return interval
}

// giveBack undoes next for a request that was not sent: it has tried nothing.
func (p *pace) giveBack(interval time.Duration, held bool) {
	if held {
		p.age = max(0, p.age-interval)
	}
}

// open notes that the throttle became paced.
func (p *pace) open(now time.Time) { p.opened = now }

// accept notes a request that was not throttled.
func (p *pace) accept(now time.Time) {
	p.accepted[p.count%len(p.accepted)] = now
	p.count++
}

// throttled notes a throttle response.
func (p *pace) throttled(now time.Time) {
	if p.opened.IsZero() {
		// This is the first throttle response: the requests before it were not counted.
		return
	}
	rate, open := p.rate(), now.Sub(p.opened)
	switch {
	case open >= time.Second || p.ceiling == 0:
		p.ceiling = max(min(rate, p.measured(now, open, rate)), minPace)
	default:
		// The time is too short to measure anything, but less is allowed than before.
		p.ceiling = max(p.ceiling*fallTo, minPace)
	}
	if p.hold > 0 && p.age >= p.hold {
		p.hold = min(2*p.hold, maxHold)
	} else {
		p.hold = minHold
	}
	p.age = 0
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
