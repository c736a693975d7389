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
	// maxLanes bounds the memory of the gate, to some 20 MB: BenchmarkNewLane prints what each takes.
	maxLanes = 10_000
)

// gate keeps calls from Graph that Graph would only refuse. Throttled attempts count against the caller, so that going
// on asking makes the wait longer.
//
// There is a lane for the reads and one for the writes of each tenant that was throttled, and the same for the
// application; a call has to get through the tenant's and the application's. Which lane an answer closes, its header
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
	// probed is when the probe came through.
	probed time.Time
	// over is closed when the lane closes.
	over <-chan struct{}
	// turn is how much of the lane's time the call has taken, held whether it was held up for it.
	turn time.Duration
	held bool
}

// keysOf names the lanes of a call, the tenant's first: no call takes a turn in the lane of all tenants that its own does
// not let through.
func keysOf(call *Request) [2]laneKey {
	return [2]laneKey{{tenant: call.Tenant, write: !call.Safe}, {write: !call.Safe}}
}

// enter lets a call through, makes it wait for its turn, or refuses it with KindThrottled and the time after which to
// come back. A patient call, one that was throttled itself, waits for a lane to open, too. Whoever enters has to leave.
func (g *gate) enter(ctx context.Context, call *Request, patient bool) (pass, *Error) {
	if g.count.Load() == 0 {
		return pass{}, nil
	}
	lanes := g.lanesOf(call)
	if lanes == [2]*lane{} {
		return pass{}, nil
	}
	give := time.Now().Add(longestWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-leastTime).Before(give) {
		give = deadline.Add(-leastTime)
	}
	for ; ; lanes = g.lanesOf(call) {
		if failed := contextError(ctx, ctx.Err(), false); failed != nil {
			return pass{}, failed
		}
		wait, changed, ok := look(lanes, patient, give)
		if !ok {
			return pass{}, throttledLocally(wait)
		}
		if changed != nil {
			// Whoever has waited in vain has to have the time to be told so.
			if failed := sleep(ctx, min(wait, time.Until(give)), changed); failed != nil {
				return pass{}, failed
			}
			continue
		}
		p, ok, failed := take(ctx, lanes, give)
		switch {
		case failed != nil:
			return pass{}, failed
		case ok && p.held() && g.lanesOf(call) != lanes:
			// While it waited, a lane came to be.
			p.giveBack()
		case ok:
			return p, nil
		}
	}
}

func (g *gate) lanesOf(call *Request) (lanes [2]*lane) {
	for i, key := range keysOf(call) {
		lanes[i] = g.find(key)
	}
	return lanes
}

// look tells whether a call can ask for its turns, before it takes any: whoever is sent away must cost the others
// nothing. When changed is not nil it is to wait first; when ok is false it is refused, and wait is the longest that a
// lane asks for.
func look(lanes [2]*lane, patient bool, give time.Time) (wait time.Duration, changed <-chan struct{}, ok bool) {
	open, room := true, true
	for _, l := range lanes {
		if l == nil {
			continue
		}
		w, c, fits := l.look(patient, give)
		wait = max(wait, w)
		if c != nil {
			changed, open = c, open && fits
		} else {
			room = room && fits
		}
	}
	// How long a queue will be when the other lane has opened, nobody knows.
	return wait, changed, open && (room || changed != nil)
}

// take takes the turns of a call, the tenant's first. What it has taken it gives back when it does not get both: then
// ok is false, and when failed is nil the lanes are no longer what they were when the call looked.
func take(ctx context.Context, lanes [2]*lane, give time.Time) (p pass, ok bool, failed *Error) {
	for i, l := range lanes {
		if l == nil {
			continue
		}
		// While it waits in one lane, the other may close.
		over := p.lanes[0].over
		if i == 0 && lanes[1] != nil {
			over = lanes[1].opening()
		}
		e, taken, refused := l.take(ctx, give, over)
		if !taken {
			p.giveBack()
			return pass{}, false, refused
		}
		p.lanes[i] = e
	}
	return p, true, nil
}

func throttledLocally(wait time.Duration) *Error {
	return &Error{Kind: KindThrottled, RetryAfter: wait, HasRetryAfter: true}
}

// leave tells the gate what became of a call.
func (g *gate) leave(call *Request, p pass, failed *Error) {
	if failed != nil && failed.throttled() {
		g.close(call, p, failed)
		return
	}
	if failed != nil && (failed.Kind == KindInvalidRequest || failed.Kind == KindToken) {
		p.giveBack()
		return
	}
	answered := failed == nil || failed.Status != 0
	for _, e := range p.lanes {
		if e.lane != nil {
			e.lane.leave(e, answered)
		}
	}
}

// held tells whether the call had to wait for a turn.
func (p *pass) held() bool { return p.lanes[0].held || p.lanes[1].held }

// giveBack says that the call was not sent: its turns are for others.
func (p *pass) giveBack() {
	for _, e := range p.lanes {
		if e.lane != nil {
			e.lane.giveBack(e)
		}
	}
}

// left is how long it takes until all lanes of a call open, 0 when they are open.
func (g *gate) left(call *Request) time.Duration {
	var left time.Duration
	for _, key := range keysOf(call) {
		if l := g.find(key); l != nil {
			left = max(left, l.left())
		}
	}
	return left
}

// close closes the lanes that a throttle answer speaks of.
func (g *gate) close(call *Request, p pass, failed *Error) {
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
func scopeOf(header string, call *Request) []laneKey {
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
	if e.Kind != KindResponse {
		return false
	}
	return e.Status == 429 || e.Status == 509 || e.Status == 503 && e.scope != ""
}
