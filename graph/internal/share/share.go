// Package share divides what all tenants use together: the permits for reads and for writes, and the repeats.
//
// A tenant gets another permit while it has fewer than are free. So one tenant alone gets half of the permits, and k
// tenants that take all they can leave 1/(k+1) of them free. A request that gets no permit waits: first come, first
// served within its tenant, and the tenants in turn.
//
// Anybody can invent tenants. A tenant is a newcomer until Graph has carried out a request of it, and all newcomers
// together get at most half of the permits, by the same rule among themselves. So they leave the other half to the
// tenants that are known.
//
// The package knows no HTTP.
package share

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// maxIdle bounds the tenants that are remembered although nothing of them is under way: those that are known, and those
// that have spent repeats. BenchmarkNewTenant prints what each takes.
const maxIdle = 20_000

// Kind separates reads from writes, which share no permits.
type Kind int

// The kinds.
const (
	Read Kind = iota
	Write
	kinds
)

// ErrOverloaded is the error of a request for which no permit is free and which may not wait either, since too many
// requests wait already.
var ErrOverloaded = errors.New("too many requests wait")

// Limits configures Tenants.
type Limits struct {
	// Permits is how many requests of each kind are under way at once, Waiting how many of each kind wait for a permit.
	// The rule for a tenant's part of both is the same.
	Permits [2]int
	Waiting int
	// OneTenant says that all requests are of one tenant. It gets all permits.
	OneTenant bool
}

// Tenants are the tenants and what each has of what they share. They are safe for concurrent use.
type Tenants struct {
	single  bool
	mu      sync.Mutex
	pools   [kinds]pool
	entries map[string]*tenant
	// idle is how many entries are idle.
	idle int
	// repeats is what is left of the repeats of all tenants, in tenths.
	repeats int
}

// pool is the permits of one kind.
type pool struct {
	permits, waiting bound
	// queues are the tenants that wait for a permit, in turn: first those that are known, then the newcomers. Of the two
	// queues the one that did not get the last permit has precedence.
	queues [2]list.List
	last   int
}

// tenant is what a tenant has.
type tenant struct {
	name string
	// known says that Graph has carried out a request of the tenant.
	known bool
	// permits is how many permits it has, waiters are the requests that wait for one, and queued is the tenant's element
	// in the queue of the pool, nil when none waits.
	permits [kinds]int
	waiters [kinds]list.List
	queued  [kinds]*list.Element
	// spent is how many tenths of repeats it has spent and not yet earned again.
	spent int
}

// waiter is a request that waits for a permit. granted is guarded by the mutex of Tenants, and ready is closed with it.
type waiter struct {
	ready   chan struct{}
	granted bool
}

// bound is a number of things, and how many are taken of them.
type bound struct{ max, all, newcomers int }

// free is how many of the things are free for a tenant.
func (b *bound) free(known bool) int {
	free := b.max - b.all
	if !known {
		free = min(free, (b.max+1)/2-b.newcomers)
	}
	return free
}

func (b *bound) add(n int, known bool) {
	b.all += n
	if !known {
		b.newcomers += n
	}
}

// New returns Tenants of which none is known.
func New(limits Limits) *Tenants {
	t := &Tenants{single: limits.OneTenant, entries: make(map[string]*tenant), repeats: allRepeats}
	for kind := range t.pools {
		t.pools[kind].permits.max, t.pools[kind].waiting.max = limits.Permits[kind], limits.Waiting
	}
	return t
}

// SetPermits changes the number of permits of a kind. Requests that are under way keep theirs.
func (t *Tenants) SetPermits(kind Kind, permits int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pools[kind].permits.max = permits
	t.grant(kind)
}

// Permit is a permit that a request has. It is given back exactly once, by Leave.
type Permit struct {
	tenants *Tenants
	tenant  *tenant
	kind    Kind
}

// Enter gets a permit for a request of a tenant, and waits for one when none is free for it. The error is ErrOverloaded
// when the request may not wait, and the context's when that ends first.
func (t *Tenants) Enter(ctx context.Context, name string, kind Kind) (Permit, error) {
	t.mu.Lock()
	one, p := t.use(name), &t.pools[kind]
	if one.queued[kind] == nil && t.admits(&p.permits, one, one.permits[kind]) {
		t.take(one, kind)
		t.mu.Unlock()
		return Permit{t, one, kind}, nil
	}
	if !t.admits(&p.waiting, one, one.waiters[kind].Len()) {
		t.rest(one)
		t.mu.Unlock()
		return Permit{}, ErrOverloaded
	}
	w := &waiter{ready: make(chan struct{})}
	element := one.waiters[kind].PushBack(w)
	p.waiting.add(1, one.known)
	if one.queued[kind] == nil {
		one.queued[kind] = p.queue(one).PushBack(one)
	}
	t.mu.Unlock()

	select {
	case <-w.ready:
		return Permit{t, one, kind}, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.granted {
		t.giveBack(one, kind)
	} else {
		t.stopWaiting(one, kind, element)
	}
	t.rest(one)
	return Permit{}, ctx.Err()
}

// Leave gives the permit back. carriedOut says that Graph has carried out the request: it makes the tenant known.
func (p Permit) Leave(carriedOut bool) {
	t := p.tenants
	t.mu.Lock()
	defer t.mu.Unlock()
	if carriedOut && !p.tenant.known {
		t.welcome(p.tenant)
	}
	t.giveBack(p.tenant, p.kind)
	t.rest(p.tenant)
}

// admits reports whether a tenant that has a number of the things gets another one.
func (t *Tenants) admits(b *bound, one *tenant, has int) bool {
	if t.single {
		has = 0
	}
	return has < b.free(one.known)
}

func (t *Tenants) take(one *tenant, kind Kind) {
	one.permits[kind]++
	t.pools[kind].permits.add(1, one.known)
}

func (t *Tenants) giveBack(one *tenant, kind Kind) {
	one.permits[kind]--
	t.pools[kind].permits.add(-1, one.known)
	t.grant(kind)
}

// stopWaiting removes a request from those that wait.
func (t *Tenants) stopWaiting(one *tenant, kind Kind, element *list.Element) {
	p := &t.pools[kind]
	one.waiters[kind].Remove(element)
	p.waiting.add(-1, one.known)
	if one.waiters[kind].Len() == 0 {
		p.queue(one).Remove(one.queued[kind])
		one.queued[kind] = nil
	}
}

// queue is the queue in which a tenant waits.
func (p *pool) queue(one *tenant) *list.List {
	if one.known {
		return &p.queues[0]
	}
	return &p.queues[1]
}

// grant gives the free permits to those that wait for them. After it, no tenant waits that gets a permit by the rule.
func (t *Tenants) grant(kind Kind) {
	for {
		one := t.next(kind)
		if one == nil {
			return
		}
		first := one.waiters[kind].Front()
		p := &t.pools[kind]
		p.queue(one).MoveToBack(one.queued[kind])
		t.stopWaiting(one, kind, first)
		t.take(one, kind)
		w, _ := first.Value.(*waiter)
		w.granted = true
		close(w.ready)
	}
}

// next is the tenant that gets the next permit, nil for none. It passes over tenants that have as many permits as are
// free, and of those there are no more than permits.
func (t *Tenants) next(kind Kind) *tenant {
	p := &t.pools[kind]
	for _, turn := range [2]int{1 - p.last, p.last} {
		for e := p.queues[turn].Front(); e != nil; e = e.Next() {
			one, _ := e.Value.(*tenant)
			if t.admits(&p.permits, one, one.permits[kind]) {
				p.last = turn
				return one
			}
			if p.permits.free(one.known) <= 0 {
				break
			}
		}
	}
	return nil
}

// welcome makes a newcomer known. What it has counts no longer as the newcomers'.
func (t *Tenants) welcome(one *tenant) {
	for kind := range t.pools {
		p := &t.pools[kind]
		p.permits.newcomers -= one.permits[kind]
		p.waiting.newcomers -= one.waiters[kind].Len()
		if one.queued[kind] != nil {
			p.queue(one).Remove(one.queued[kind])
			one.queued[kind] = p.queues[0].PushBack(one)
		}
	}
	one.known = true
	for kind := range t.pools {
		t.grant(Kind(kind))
	}
}

// use returns the entry of a tenant, to be used. rest has to follow.
func (t *Tenants) use(name string) *tenant {
	one := t.entries[name]
	switch {
	case one == nil:
		one = &tenant{name: name, known: t.single}
		t.entries[name] = one
	case one.isIdle():
		t.idle--
	}
	return one
}

func (one *tenant) isIdle() bool {
	for kind := range kinds {
		if one.permits[kind] > 0 || one.waiters[kind].Len() > 0 {
			return false
		}
	}
	return true
}

// rest is called when the entry was used. An entry that is idle and says nothing is dropped.
func (t *Tenants) rest(one *tenant) {
	switch {
	case !one.isIdle():
		return
	case !one.known && one.spent == 0:
		delete(t.entries, one.name)
		return
	}
	if t.idle++; t.idle > maxIdle {
		t.evict()
	}
}

// evict drops idle entries until a tenth of maxIdle is free, so that not every new tenant evicts. Newcomers go first.
// Which of them is left to the order of the map.
func (t *Tenants) evict() {
	for _, known := range [2]bool{false, true} {
		for name, one := range t.entries {
			if t.idle <= maxIdle*9/10 {
				return
			}
			if one.known == known && one.isIdle() {
				delete(t.entries, name)
				t.idle--
			}
		}
	}
}
