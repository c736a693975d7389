package interceptor

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

const (
	// incomingPerCall is how many calls may wait for their request message, for each call that may be under way.
	incomingPerCall = 4
	// maxOpening is how many calls of methods that are open to strangers wait for their message. It can be large, packed.
	maxOpening = 64
	// incomingTime is how long a call waits for its request message. The largest one takes as long at 1 Mbit/s.
	incomingTime = time.Minute
)

// sweepInterval is how often calls that wait for too long are looked for, and calls that have ended. When there is no
// room, the latter are looked for sooner, at most once in minSweep.
const (
	sweepInterval = time.Second
	minSweep      = 10 * time.Millisecond
)

// incoming counts the calls whose headers are there and whose request message is not. gRPC has a goroutine for each,
// and no deadline but the client's: a client that sends headers alone could have any number of them. They are shared
// like places, by who calls. Nearly every message is there at once, so a call has no timer of its own.
type incoming struct {
	calls *inFlight

	mu sync.Mutex
	// waiting are the calls, in no order.
	waiting []*call
	// ticking says that the next sweep is on its way, swept is when the last one was.
	ticking bool
	swept   time.Time
}

// wait is how a call waits for its request message.
type wait struct {
	// in is where it waits, since when, and as whose.
	in    *incoming
	since time.Time
	who   string
	// place is its place among those that wait, over says that it has none any more. incoming guards both.
	place int
	over  bool
	// cancel ends the call.
	cancel context.CancelFunc
}

func newIncoming(limit int) *incoming { return &incoming{calls: newInFlight(limit, false)} }

// begin counts a call at its headers, and makes its context one that can be ended. who is whose share it takes.
func (in *incoming) begin(c *call, who string) error {
	now := time.Now()
	if !in.calls.admit(who) && (!in.sweepFull(now) || !in.calls.admit(who)) {
		return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
	}
	c.wait = wait{in: in, since: now, who: who}
	c.makeEndable(now)
	in.mu.Lock()
	defer in.mu.Unlock()
	c.wait.place = len(in.waiting)
	in.waiting = append(in.waiting, c)
	if !in.ticking {
		in.ticking = true
		time.AfterFunc(sweepInterval, in.tick)
	}
	return nil
}

// arrived notes that the request message of a call is there, or that nobody waits for it any more.
func (c *call) arrived() {
	in := c.wait.in
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.remove(c)
}

func (in *incoming) remove(c *call) {
	if c.wait.over {
		return
	}
	c.wait.over = true
	last := len(in.waiting) - 1
	moved := in.waiting[last]
	in.waiting[c.wait.place], moved.wait.place = moved, c.wait.place
	in.waiting[last] = nil
	in.waiting = in.waiting[:last]
	in.calls.giveBack(c.wait.who)
}

// tick sweeps while calls wait.
func (in *incoming) tick() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sweep(time.Now())
	if in.ticking = len(in.waiting) > 0; in.ticking {
		time.AfterFunc(sweepInterval, in.tick)
	}
}

// sweepFull looks for calls that have ended because there is no room, and reports whether it has looked.
func (in *incoming) sweepFull(now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if now.Sub(in.swept) < minSweep {
		return false
	}
	in.sweep(now)
	return true
}

// sweep lets go of calls that have ended without a message, and ends those that have waited for too long.
func (in *incoming) sweep(now time.Time) {
	in.swept = now
	// From the end: the last one takes the place of one that goes.
	for _, c := range slices.Backward(in.waiting) {
		switch {
		case c.Err() != nil:
		case now.Sub(c.wait.since) >= incomingTime:
			c.wait.cancel()
		default:
			continue
		}
		in.remove(c)
	}
}

// peerOf is the address of a client without its port.
func peerOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	return wire.Host(p.Addr)
}
