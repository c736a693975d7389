package throttle

import (
	"testing"
	"time"
)

// TestAPaceGrowsWithItsAge has paces of which the ceiling is 10 requests a second. It measures when they pass it and
// when they hold nobody up.
func TestAPaceGrowsWithItsAge(t *testing.T) {
	const never = 0
	for _, test := range []struct {
		name string
		wait time.Duration
		// confirmed is how often the ceiling was, refused how many are refused for each request that goes.
		confirmed int
		refused   int
		crowded   bool
		// passes and ends are in seconds.
		passes, ends float64
	}{
		{name: "nobody comes, or one at a time", wait: time.Second, passes: 4.9, ends: 6.5},
		{name: "nobody comes, or one at a time, and the ceiling is confirmed", wait: time.Second, confirmed: 3, passes: 4.9, ends: 6.5},
		{name: "two at a time", wait: time.Second, crowded: true, passes: 19.6, ends: 26.1},
		{name: "two at a time, and the ceiling is confirmed", wait: time.Second, crowded: true, confirmed: 3, passes: 19.6, ends: 26.1},
		{name: "far too many, for the first time", wait: time.Second, crowded: true, refused: 3, passes: 19.6, ends: 26.1},
		{name: "far too many, and the ceiling is confirmed once", wait: time.Second, crowded: true, refused: 3, confirmed: 1, passes: 29.6, ends: 36.1},
		{name: "far too many, and the ceiling is confirmed often", wait: time.Second, crowded: true, refused: 3, confirmed: 4, passes: 160.3, ends: 166.7},
		{name: "not far too many, and the ceiling is confirmed often", wait: time.Second, crowded: true, refused: 1, confirmed: 4, passes: 19.6, ends: 26.1},
		{name: "after a long wait", wait: time.Minute, passes: 30.4, ends: 32},
		{name: "two at a time after a long wait", wait: time.Minute, crowded: true, passes: 121.6, ends: 128.1},
		{name: "two at a time after an hour", wait: time.Hour, crowded: true, passes: 161.6, ends: 168.1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pace{ceiling: 10, confirmed: test.confirmed}
			p.holdFor(test.wait)
			p.open(at(0))
			var passes, ends float64 = never, never
			for now := 0.0; ends == never && now < 300; now += 0.1 {
				if test.crowded {
					p.crowd(at(now))
				}
				p.sent(test.refused, at(now))
				if passes == never && p.rate(at(now)) > p.ceiling {
					passes = now
				}
				if p.over(at(now)) {
					ends = now
				}
			}
			if abs(passes-test.passes) > 0.3 || abs(ends-test.ends) > 0.3 {
				t.Errorf("passes its ceiling after %.1f s, and ends after %.1f s; want %.1f and %.1f", passes, ends, test.passes, test.ends)
			}
		})
	}
}

func abs(x float64) float64 { return max(x, -x) }

func TestAPauseIsNoTime(t *testing.T) {
	p := pace{ceiling: 10}
	p.holdFor(time.Second)
	p.open(at(0))
	before := p.rate(at(1))
	p.pause(at(1))
	p.open(at(1000))
	if after := p.rate(at(1000)); after != before {
		t.Errorf("%v requests a second before, %v after", before, after)
	}
}
