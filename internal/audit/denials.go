package audit

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// deniedCallers is how many callers have a limit of their own. Others share one with some of these.
	deniedCallers = 256
	// A caller gets callerRate lines a second after a burst of callerBurst, all together get allRate and allBurst.
	callerRate, callerBurst = 1, 10
	allRate, allBurst       = 20, 200
)

// denials limits the lines of denied calls: whoever is denied could fill the disk otherwise. It takes the same memory
// however many callers there are. Its zero value is ready for use.
type denials struct {
	mu      sync.Mutex
	seed    maphash.Seed
	all     bucket
	callers [deniedCallers]bucket
}

// bucket is a limit. A new one is full.
type bucket struct {
	used       float64
	last       time.Time
	suppressed uint64
}

// refill returns what has been used up by now.
func (b *bucket) refill(now time.Time, rate float64) float64 {
	if passed := now.Sub(b.last); !b.last.IsZero() && passed > 0 {
		return max(0, b.used-rate*passed.Seconds())
	}
	return b.used
}

// take reports whether a denied call gets a line. before is how many calls of the same limit got none since the last.
func (d *denials) take(principal string, now time.Time) (before uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all.last.IsZero() {
		d.seed = maphash.MakeSeed()
	}
	b := &d.callers[maphash.String(d.seed, principal)%deniedCallers]
	d.all.used, d.all.last = d.all.refill(now, allRate), now
	b.used, b.last = b.refill(now, callerRate), now
	if b.used+1 > callerBurst || d.all.used+1 > allBurst {
		b.suppressed++
		return 0, false
	}
	b.used, d.all.used = b.used+1, d.all.used+1
	before, b.suppressed = b.suppressed, 0
	return before, true
}

// rest returns how many calls got no line and are in none yet.
func (d *denials) rest() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var sum uint64
	for i := range d.callers {
		sum += d.callers[i].suppressed
		d.callers[i].suppressed = 0
	}
	return sum
}
