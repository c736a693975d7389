package graph

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// throttledFor is how long the gate closes when a throttle answer does not say.
	throttledFor = 10 * time.Second
	// shortestClosing keeps a Retry-After of 0 from having no effect.
	shortestClosing = 100 * time.Millisecond
	// forgetAfter is how long after its last throttle answer a lane is forgotten.
	forgetAfter = 5 * time.Minute
	// maxLanes bounds the memory of the gate, to some 20 MB.
	maxLanes = 10_000
)

// gate keeps calls from Graph that Graph would only refuse. Throttled attempts count against the caller, so that going
// on asking makes the wait longer.
//
// There is a lane for the reads and one for the writes of each tenant that was throttled, and the same for the
// application; a call has to get through the application's and the tenant's. Which lane an answer closes, its header
// x-ms-throttle-scope says; without one it is that of the tenant's reads or writes.
type gate struct {
	// count is len(lanes): as long as nobody is throttled, a call costs one look at it.
	count atomic.Int64
	mu    sync.RWMutex
	lanes map[laneKey]*lane
}

// laneKey names a lane; tenant is empty for the application as a whole.
type laneKey struct {
	tenant string
	write  bool
}

func newGate() *gate { return &gate{lanes: make(map[laneKey]*lane)} }

// pass is what a call carries through the gate: the lanes that it came through, if there were any.
type pass struct{ lanes [2]entry }

// entry is a lane that a call came through. epoch tells answers to calls of earlier openings apart.
type entry struct {
	lane  *lane
	epoch uint64
	probe bool
}

func keysOf(call *Call) [2]laneKey {
	return [2]laneKey{{write: !call.Safe}, {tenant: call.Tenant, write: !call.Safe}}
}

// enter lets a call through, makes it wait for its turn, or refuses it with KindThrottled and the time after which to
// come back. A patient call, one that was throttled itself, waits for a lane to open, too. Whoever enters has to leave.
func (g *gate) enter(ctx context.Context, call *Call, patient bool) (pass, *Error) {
	var p pass
	if g.count.Load() == 0 {
		return p, nil
	}
	for i, key := range keysOf(call) {
		l := g.find(key)
		if l == nil {
			continue
		}
		entered, failed := l.enter(ctx, patient)
		if failed != nil {
			p.leave(false)
			return pass{}, failed
		}
		p.lanes[i] = entered
	}
	return p, nil
}

// leave tells the gate what became of a call.
func (g *gate) leave(call *Call, p pass, failed *Error) {
	if failed != nil && failed.throttled() {
		g.close(call, p, failed)
		return
	}
	p.leave(failed == nil || failed.Status != 0)
}

// leave says that the call was not throttled; answered, that Graph answered it.
func (p *pass) leave(answered bool) {
	for _, e := range p.lanes {
		if e.lane != nil {
			e.lane.leave(e, answered)
		}
	}
}

// left is how long it takes until all lanes of a call open, 0 when they are open.
func (g *gate) left(call *Call) time.Duration {
	var left time.Duration
	for _, key := range keysOf(call) {
		if l := g.find(key); l != nil {
			left = max(left, l.left())
		}
	}
	return left
}

// close closes the lanes that a throttle answer speaks of.
func (g *gate) close(call *Call, p pass, failed *Error) {
	wait := throttledFor
	if failed.HasRetryAfter {
		wait = max(failed.RetryAfter, shortestClosing)
	}
	until := time.Now().Add(wait)
	closed := scopeOf(failed.scope, call)
	for _, key := range closed {
		l := g.findOrMake(key)
		var own entry
		for _, e := range p.lanes {
			if e.lane == l {
				own = e
			}
		}
		l.close(own, until)
	}
	for i, key := range keysOf(call) {
		if e := p.lanes[i]; e.lane != nil && !slices.Contains(closed, key) {
			e.lane.leave(e, true)
		}
	}
}

// scopeOf reads `Scope/Limit/AppId/TenantId`. What it does not say is as the call was: its tenant, and reads or writes.
func scopeOf(header string, call *Call) []laneKey {
	scope, rest, _ := strings.Cut(header, "/")
	limit, _, _ := strings.Cut(rest, "/")
	key := laneKey{tenant: call.Tenant, write: !call.Safe}
	if strings.EqualFold(strings.TrimSpace(scope), "Application") {
		key.tenant = ""
	}
	switch strings.ToLower(strings.TrimSpace(limit)) {
	case "read":
		key.write = false
	case "write":
		key.write = true
	case "readwrite":
		return []laneKey{{key.tenant, false}, {key.tenant, true}}
	}
	return []laneKey{key}
}

// find returns a lane that is in force, nil when there is none.
func (g *gate) find(key laneKey) *lane {
	g.mu.RLock()
	l := g.lanes[key]
	g.mu.RUnlock()
	if l == nil || !l.forgotten() {
		return l
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lanes[key] == l {
		g.drop(key)
	}
	return nil
}

func (g *gate) findOrMake(key laneKey) *lane {
	if l := g.find(key); l != nil {
		return l
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[key]; l != nil {
		return l
	}
	if len(g.lanes) >= maxLanes {
		g.makeRoom()
	}
	l := newLane()
	g.lanes[key] = l
	g.count.Store(int64(len(g.lanes)))
	return l
}

// makeRoom drops what is forgotten anyway, and else so many that it is not asked for each new lane: as maps are in no
// order, any of them.
func (g *gate) makeRoom() {
	for key, l := range g.lanes {
		if l.forgotten() {
			g.drop(key)
		}
	}
	for key := range g.lanes {
		if len(g.lanes) < maxLanes*9/10 {
			return
		}
		g.drop(key)
	}
}

func (g *gate) drop(key laneKey) {
	delete(g.lanes, key)
	g.count.Store(int64(len(g.lanes)))
}

// throttled tells whether an answer says that the caller asks too much. A 503 is one of an overloaded service unless
// it names the scope of a throttle.
func (e *Error) throttled() bool {
	if e.Kind != KindAnswer {
		return false
	}
	return e.Status == 429 || e.Status == 509 || e.Status == 503 && e.scope != ""
}
