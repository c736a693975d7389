package throttle

import (
	"fmt"
	"time"
)

// paceFormat has what replicas have to know of a pace: ceiling, age, hold, how often the ceiling was confirmed, how
// many requests are refused for each that goes, how long ago two requests wanted one slot and the throttle became
// paced, and whether it is paced. Times are in milliseconds. A later version may add to its end, which this one leaves
// out.
const paceFormat = "%g %d %d %d %g %d %d %t"

// longAgo stands for what never was, in milliseconds.
const longAgo = int64(1 << 40)

func ago(now, at time.Time) int64 {
	if at.IsZero() {
		return longAgo
	}
	return now.Sub(at).Milliseconds()
}

// encode returns the pace as it is now.
func (p *pace) encode(now time.Time) string {
	return fmt.Sprintf(paceFormat, p.ceiling, p.ageAt(now).Milliseconds(), p.hold.Milliseconds(), p.confirmed, p.refused,
		ago(now, p.crowded), ago(now, p.opened), !p.since.IsZero())
}

// decode takes over a pace that was encoded some time ago. One that cannot be read changes nothing. What this replica
// counted itself stays.
func (p *pace) decode(text string, passed time.Duration, now time.Time) {
	var read pace
	var age, hold, crowded, opened int64
	var open bool
	if n, err := fmt.Sscanf(text, paceFormat, &read.ceiling, &age, &hold, &read.confirmed, &read.refused, &crowded, &opened, &open); n < 8 || err != nil {
		return
	}
	at := now.Add(-passed)
	since := func(ms int64) time.Time {
		if ms >= longAgo {
			return time.Time{}
		}
		return at.Add(-time.Duration(ms) * time.Millisecond)
	}
	p.ceiling, p.confirmed, p.refused = read.ceiling, min(max(read.confirmed, 0), maxConfirmed), read.refused
	p.age, p.hold = time.Duration(age)*time.Millisecond, time.Duration(hold)*time.Millisecond
	if c := since(crowded); c.After(p.crowded) {
		p.crowded = c
	}
	p.opened, p.since = since(opened), time.Time{}
	if open {
		p.since = at
	}
}
