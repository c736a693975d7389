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
	// lookEvery is how often the throttles are looked at for those that have ended.
	lookEvery = time.Second
	// maxThrottles bounds the memory, to some 27 MB: BenchmarkNewThrottle prints what each takes.
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
	// Began is called when a throttle comes into force, with the wait that the throttle response named, and Ended when
	// it is no longer in force. Either may be nil. Set them before the first request.
	Began func(key Key, wait time.Duration)
	Ended func(key Key)

	// count is len(queues): while nobody is throttled, a request costs one look at it.
	count  atomic.Int64
	mu     sync.RWMutex
	queues map[Key]*queue
	// store is what the replicas share; nil for nothing.
	store Shared
	// looking is set while a timer looks for throttles that have ended.
	looking bool
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
	// leased is the time of a slot that came from the store.
	leased time.Time
}

// Quiet reports whether no throttle is in force: then Enter lets every request through at once, without a pass.
func (t *Throttles) Quiet() bool { return t.count.Load() == 0 }

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
	return t.enter(ctx, key, queues, patient, time.Now().Add(MaxWait))
}

// Try is Enter for a request that can come later: it goes when a slot is free now, and is refused otherwise. It never
// stands before another one.
func (t *Throttles) Try(ctx context.Context, key Key) (Pass, error) {
	if t.count.Load() == 0 {
		return Pass{}, nil
	}
	queues := t.of(key)
	if queues == [2]*queue{} {
		return Pass{}, nil
	}
	giveUp := time.Now()
	if t.store != nil && t.store.Up() {
		// A slot that is free has to be asked for.
		giveUp = giveUp.Add(maxSharedWait)
	}
	return t.enter(ctx, key, queues, false, giveUp)
}

// enter is Enter for a request with the given throttles, which gives up at the given time.
func (t *Throttles) enter(ctx context.Context, key Key, queues [2]*queue, patient bool, giveUp time.Time) (Pass, error) {
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-MinTime).Before(giveUp) {
		giveUp = deadline.Add(-MinTime)
	}
	for _, q := range queues {
		if q != nil && t.store != nil {
			q.refresh(ctx)
		}
	}
	// outside is the application's throttle when the request waits until it opens.
	var outside *queue
	for ; ; queues = t.of(key) {
		if err := ctx.Err(); err != nil {
			return Pass{}, err
		}
		// All throttles decide before any slot is taken: a request that is refused must cost the others nothing.
		d, changed := decide(key.Tenant, queues, giveUp, patient, outside != nil && outside == queues[1])
		if d.action == refuse && d.closed && outside == nil && queues[1] != nil && queues[1].waitOutside(key.Tenant) {
			outside = queues[1]
			defer outside.comeInside(key.Tenant)
			continue
		}
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
		p, ok, err := pass(ctx, key.Tenant, queues, giveUp)
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
// outside says that the request waits for the application's throttle to open, whether it is patient or not.
func decide(tenant string, queues [2]*queue, giveUp time.Time, patient, outside bool) (d decision, changed <-chan struct{}) {
	for i, q := range queues {
		if q == nil {
			continue
		}
		one, c := q.decide(tenant, giveUp, patient || outside && i == 1)
		if one.closed {
			changed = c
		}
		d = d.and(one)
	}
	return d, changed
}

// pass takes a slot of each throttle, the tenant's first. A request that does not get both gives back what it has: then
// ok is false, and without an error the throttles are no longer what they were when they decided.
func pass(ctx context.Context, tenant string, queues [2]*queue, giveUp time.Time) (p Pass, ok bool, err error) {
	for i, q := range queues {
		if q == nil {
			continue
		}
		// While the request waits for one throttle, the other may be blocked.
		over := p.admissions[0].over
		if i == 0 && queues[1] != nil {
			over = queues[1].untilBlocked()
		}
		a, taken, err := q.enter(ctx, tenant, giveUp, over)
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
	wait = max(wait, minBlock)
	until := time.Now().Add(wait)
	for _, one := range scope {
		if t.block(one, p, until) && t.Began != nil {
			t.Began(one, wait)
		}
	}
	for i, one := range key.keys() {
		if a := p.admissions[i]; a.queue != nil && !slices.Contains(scope, one) {
			a.queue.leave(a, true)
		}
	}
}

// block blocks a key. It reports whether its throttle is new.
func (t *Throttles) block(key Key, p Pass, until time.Time) (added bool) {
	for {
		q, added := t.findOrAdd(key)
		var own admission
		for _, a := range p.admissions {
			if a.queue == q {
				own = a
			}
		}
		// Otherwise the throttle has ended since it was found.
		if q.block(own, until) {
			return added
		}
	}
}

// Reset puts all throttles out of force. Requests that wait go at once.
func (t *Throttles) Reset() { t.drop(false, true, t.all(false)) }

// Remaining is how long requests with the key stay blocked, 0 when they are not.
func (t *Throttles) Remaining(key Key) (wait time.Duration) {
	for _, q := range t.of(key) {
		if q != nil {
			wait = max(wait, q.remaining())
		}
	}
	return wait
}

// InForce returns the keys of the throttles in force, in no order. It costs nothing while there are none.
func (t *Throttles) InForce() []Key {
	if t.count.Load() == 0 {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	keys := make([]Key, 0, len(t.queues))
	for key, q := range t.queues {
		if !q.ended() {
			keys = append(keys, key)
		}
	}
	return keys
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
	if q == nil || !q.ended() {
		return q
	}
	t.drop(true, false, map[Key]*queue{key: q})
	return nil
}

// findOrAdd returns the throttle that is in force, or a new one.
func (t *Throttles) findOrAdd(key Key) (q *queue, added bool) {
	if q := t.find(key); q != nil {
		return q, false
	}
	if t.count.Load() >= maxThrottles {
		t.evict()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[key]; q != nil {
		return q, false
	}
	q = newQueue(key.Tenant == "")
	q.share.store, q.share.key = t.store, key
	t.queues[key] = q
	t.count.Store(int64(len(t.queues)))
	if !t.looking {
		t.looking = true
		time.AfterFunc(lookEvery, t.look)
	}
	return q, true
}

// look drops the throttles that have ended, and comes back as long as there are others. Without it a throttle whose
// tenant sends no more requests would never end.
func (t *Throttles) look() {
	t.drop(true, false, t.all(true))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.looking = len(t.queues) > 0; t.looking {
		time.AfterFunc(lookEvery, t.look)
	}
}

// evict drops the throttles that have ended. If that does not free a tenth, it drops others until a tenth is free, so
// that not every new throttle evicts. Which ones is left to the order of the map.
func (t *Throttles) evict() {
	t.drop(true, false, t.all(true))
	some := t.all(false)
	surplus := len(some) - maxThrottles*9/10
	for key := range some {
		if surplus--; surplus < 0 {
			delete(some, key)
		}
	}
	t.drop(false, false, some)
}

// all returns the throttles in the map, with onlyEnded those that have ended.
func (t *Throttles) all(onlyEnded bool) map[Key]*queue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	some := make(map[Key]*queue)
	for key, q := range t.queues {
		if !onlyEnded || q.ended() {
			some[key] = q
		}
	}
	return some
}

// drop puts throttles out of force, with onlyEnded those of them that have ended, with forgotten in all replicas.
func (t *Throttles) drop(onlyEnded, forgotten bool, some map[Key]*queue) {
	for key, q := range some {
		if !q.drop(onlyEnded, forgotten) {
			continue
		}
		t.mu.Lock()
		if t.queues[key] == q {
			delete(t.queues, key)
			t.count.Store(int64(len(t.queues)))
		}
		t.mu.Unlock()
		if t.Ended != nil {
			t.Ended(key)
		}
	}
}
