// Package throttle decides who may send a request now, so that the upstream gets no requests that it would only refuse.
//
// Upstreams count refused requests against the caller: a client that goes on asking waits longer. So after a throttle
// response the requests with the same key are refused here, until the time that the response names has passed. Then one
// request goes ahead as the probe. When it gets a response, the others follow at a pace that is learned.
//
// The package knows no HTTP. The caller translates responses into Keys and durations.
package throttle

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultWait is how long a key is blocked when a throttle response does not say how long.
	DefaultWait = 10 * time.Second
	// MaxWait is how long a request waits here at most. One that would wait longer is refused at once: it would take up
	// one of a bounded number of calls all the while.
	MaxWait = 10 * time.Second
	// MinTime is what must be left of a deadline for a request to make sense.
	MinTime = 100 * time.Millisecond

	// minBlock keeps a wait of 0 from having no effect.
	minBlock = 100 * time.Millisecond
	// forgetAfter is how long after its last throttle response a throttle is forgotten.
	forgetAfter = 5 * time.Minute
	// maxThrottles bounds the memory, to some 20 MB: BenchmarkNewThrottle prints what each takes.
	maxThrottles = 10_000
)

// Key names the requests that are throttled together.
type Key struct {
	// Tenant is empty for the application as a whole.
	Tenant string
	// Write separates the requests that change something from those that do not.
	Write bool
}

// keys are the throttles that a request has to pass: that of its tenant and that of the application. The tenant's comes
// first, so that a request which its own tenant's throttle stops takes no slot of all tenants.
func (k Key) keys() [2]Key { return [2]Key{k, {Write: k.Write}} }

// Refused is the error of a request that is not to be sent now.
type Refused struct {
	// RetryAfter is how long the next request would be refused as well.
	RetryAfter time.Duration
}

func (r *Refused) Error() string { return fmt.Sprintf("throttled for another %v", r.RetryAfter) }

// Throttles are the throttles in force: those of the keys that were throttled in the last minutes. They are safe for
// concurrent use.
type Throttles struct {
	// count is len(queues): while nobody is throttled, a request costs one look at it.
	count  atomic.Int64
	mu     sync.RWMutex
	queues map[Key]*queue
}

// New returns throttles that let everything through.
func New() *Throttles { return &Throttles{queues: make(map[Key]*queue)} }

// Pass is what a request got on its way in: its admission through each throttle in force, if there were any. Each pass
// is handed back exactly once, to Leave, GiveBack or Block.
type Pass struct{ admissions [2]admission }

// admission is the passage of one request through one throttle; the zero value is none.
type admission struct {
	queue *queue
	// epoch tells apart the responses to requests that passed before and after the throttle was blocked.
	epoch uint64
	// probe is set for a probe, and probedAt is when it passed.
	probe    bool
	probedAt time.Time
	// over is closed when the throttle is blocked.
	over <-chan struct{}
	// interval is how much of the throttle's time the slot takes, held whether the request had to wait for it.
	interval time.Duration
	held     bool
}

// Enter lets a request through, makes it wait for its slot, or refuses it with a *Refused. When the context ends first,
// the error is the context's. A patient request, one that was throttled itself, also waits for a blocked throttle.
func (t *Throttles) Enter(ctx context.Context, key Key, patient bool) (Pass, error) {
	if t.count.Load() == 0 {
		return Pass{}, nil
	}
	queues := t.of(key)
	if queues == [2]*queue{} {
		return Pass{}, nil
	}
	giveUp := time.Now().Add(MaxWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-MinTime).Before(giveUp) {
		giveUp = deadline.Add(-MinTime)
	}
	for ; ; queues = t.of(key) {
		if err := ctx.Err(); err != nil {
			return Pass{}, err
		}
		// All throttles decide before any slot is taken: a request that is refused must cost the others nothing.
		d, changed := decide(queues, giveUp, patient)
		if d.action == refuse {
			return Pass{}, &Refused{d.wait}
		}
		if d.closed {
			// A request that waits in vain needs the time to say so.
			if err := sleep(ctx, min(d.wait, time.Until(giveUp)), changed); err != nil {
				return Pass{}, err
			}
			continue
		}
		p, ok, err := pass(ctx, queues, giveUp)
		switch {
		case err != nil:
			return Pass{}, err
		case ok && p.held() && t.of(key) != queues:
			// A throttle came into force while the request waited.
			t.GiveBack(p)
		case ok:
			return p, nil
		}
	}
}

// decide combines what the throttles of a request decide. changed is closed when one that is closed changes its state.
func decide(queues [2]*queue, giveUp time.Time, patient bool) (d decision, changed <-chan struct{}) {
	for _, q := range queues {
		if q == nil {
			continue
		}
		one, c := q.decide(giveUp, patient)
		if one.closed {
			changed = c
		}
		d = d.and(one)
	}
	return d, changed
}

// pass takes a slot of each throttle, the tenant's first. A request that does not get both gives back what it has: then
// ok is false, and without an error the throttles are no longer what they were when they decided.
func pass(ctx context.Context, queues [2]*queue, giveUp time.Time) (p Pass, ok bool, err error) {
	for i, q := range queues {
		if q == nil {
			continue
		}
		// While the request waits for one throttle, the other may be blocked.
		over := p.admissions[0].over
		if i == 0 && queues[1] != nil {
			over = queues[1].untilBlocked()
		}
		a, taken, err := q.enter(ctx, giveUp, over)
		if !taken {
			p.giveBack()
			return Pass{}, false, err
		}
		p.admissions[i] = a
	}
	return p, true, nil
}

// held reports whether the request had to wait for a slot.
func (p *Pass) held() bool { return p.admissions[0].held || p.admissions[1].held }

func (p *Pass) giveBack() {
	for _, a := range p.admissions {
		if a.queue != nil {
			a.queue.giveBack(a)
		}
	}
}

// GiveBack takes back the pass of a request that was not sent: its slots are for others.
func (*Throttles) GiveBack(p Pass) { p.giveBack() }

// Leave takes back the pass of a request that was not throttled. responded is false when it got no response.
func (*Throttles) Leave(p Pass, responded bool) {
	for _, a := range p.admissions {
		if a.queue != nil {
			a.queue.leave(a, responded)
		}
	}
}

// Block takes back the pass of a request that was throttled, and blocks the keys of the scope for the given time. The
// request itself has the given key.
func (t *Throttles) Block(key Key, p Pass, scope []Key, wait time.Duration) {
	until := time.Now().Add(max(wait, minBlock))
	for _, one := range scope {
		q := t.findOrAdd(one)
		var own admission
		for _, a := range p.admissions {
			if a.queue == q {
				own = a
			}
		}
		q.block(own, until)
	}
	for i, one := range key.keys() {
		if a := p.admissions[i]; a.queue != nil && !slices.Contains(scope, one) {
			a.queue.leave(a, true)
		}
	}
}

// Remaining is how long requests with the key stay blocked, 0 when they are not.
func (t *Throttles) Remaining(key Key) (wait time.Duration) {
	for _, q := range t.of(key) {
		if q != nil {
			wait = max(wait, q.remaining())
		}
	}
	return wait
}

// of returns the throttles in force for a request, nil for one that is not.
func (t *Throttles) of(key Key) (queues [2]*queue) {
	for i, one := range key.keys() {
		queues[i] = t.find(one)
	}
	return queues
}

// find returns a throttle that is in force, nil when there is none.
func (t *Throttles) find(key Key) *queue {
	t.mu.RLock()
	q := t.queues[key]
	t.mu.RUnlock()
	if q == nil || !q.forgotten() {
		return q
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queues[key] == q {
		t.drop(key)
	}
	return nil
}

func (t *Throttles) findOrAdd(key Key) *queue {
	if q := t.find(key); q != nil {
		return q
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[key]; q != nil {
		return q
	}
	if len(t.queues) >= maxThrottles {
		t.evict()
	}
	q := newQueue()
	t.queues[key] = q
	t.count.Store(int64(len(t.queues)))
	return q
}

// evict drops the forgotten throttles. If that does not free a tenth, it drops others until a tenth is free, so that
// not every new throttle evicts. Which ones is left to the order of the map.
func (t *Throttles) evict() {
	for key, q := range t.queues {
		if q.forgotten() {
			t.drop(key)
		}
	}
	for key := range t.queues {
		if len(t.queues) < maxThrottles*9/10 {
			return
		}
		t.drop(key)
	}
}

func (t *Throttles) drop(key Key) {
	delete(t.queues, key)
	t.count.Store(int64(len(t.queues)))
}
