package interceptor

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/identity"
	"github.com/m365backup/backupstorage/service/internal/rights"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// maxOfConnection is how many calls that last a connection may have. gRPC lets it have more streams than that: the
// next call gets an error, and does not hang in the client.
const maxOfConnection = 50

// lasting counts the calls that last: streams, waits and watches. They hold little, do little and are many, so they are
// counted apart from the others.
type lasting struct {
	all *inFlight

	mu           sync.Mutex
	byConnection map[net.Addr]int
}

func newLasting(limit int, oneTenant bool) *lasting {
	return &lasting{all: newInFlight(limit, oneTenant), byConnection: make(map[net.Addr]int)}
}

// lasts reports whether the call lasts as long as its client likes, within limits of its own.
func (c *call) lasts() bool { return c.op != nil && c.op.Kind.Lasting() }

// enter takes a place for a call, of all and of its connection. It keeps that of all until its response is out.
func (l *lasting) enter(ctx context.Context, c *call, next handler) error {
	var connection net.Addr
	if p, ok := peer.FromContext(ctx); ok {
		// gRPC has one for each connection.
		connection = p.Addr
	}
	if !l.enterConnection(connection) {
		c.shed = ShedWaits
		return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
	}
	defer l.leaveConnection(connection)
	if !l.all.enter() {
		c.shed = ShedWaits
		return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
	}
	c.inFlight = l.all
	return next(ctx, c)
}

func (l *lasting) enterConnection(connection net.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byConnection[connection] >= maxOfConnection {
		return false
	}
	l.byConnection[connection]++
	return true
}

func (l *lasting) leaveConnection(connection net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byConnection[connection]--; l.byConnection[connection] == 0 {
		delete(l.byConnection, connection)
	}
}

// StillAllowed decides again whether the caller may do what its call does. Calls that last ask now and then: tokens
// expire, and rights are taken away.
func StillAllowed(ctx context.Context) error {
	c := of(ctx)
	if c == nil || c.still == nil {
		return nil
	}
	return c.still()
}

// decideLater returns what decides again about a call.
func (c *call) decideLater(callers *Callers, asked rights.Call) func() error {
	return func() error { return c.decideAgain(callers, asked) }
}

// decideAgain decides about a call that was allowed when it came.
func (c *call) decideAgain(callers *Callers, asked rights.Call) error {
	asked.Now = callers.Now()
	if expires := c.caller.Expires; !expires.IsZero() && asked.Now.After(expires) {
		return c.unauthenticated(&identity.CredentialError{Cause: identity.CauseExpired})
	}
	decision := callers.Rights().Decide(asked)
	if decision.Allowed {
		return nil
	}
	c.denied = decision.Cause()
	return apierror.Refuse(pb.ErrorReason_CALLER_NOT_ALLOWED)
}

// pageKey is the key of what the page of a stream holds.
type pageKey struct{}

// NewPage begins to count what one page of a stream holds: the context is for the request that reads it. The page holds
// it until it is released.
func NewPage(ctx context.Context) (context.Context, *wire.Holding) {
	bytes := wire.NewBytes(1 << 62)
	tenant := ""
	if c := of(ctx); c != nil && c.bytes != nil {
		bytes, tenant = c.bytes, c.tenant
	}
	page := new(wire.Holding)
	bytes.Hold(page, tenant)
	return context.WithValue(ctx, pageKey{}, page), page
}

// Outgoing is a message of a stream: as it is, or encoded already, in a buffer of package buffers. That is no longer
// its maker's.
type Outgoing struct {
	Message proto.Message
	Encoded *[]byte
}

// Out makes of a page what a stream sends by SendMsg. It holds what is counted until the client has taken it. out is
// called then, or when the connection ends.
func Out(ctx context.Context, page Outgoing, holding *wire.Holding, out func()) *wire.Response {
	deadline, _ := ctx.Deadline()
	if c := of(ctx); c != nil {
		c.hasSent.Store(true)
	}
	counted := func(size int) { holding.Set(int64(size)) }
	released := func() {
		holding.Release()
		out()
	}
	if page.Encoded != nil {
		return wire.NewEncoded(ctx, deadline, page.Encoded, counted, released)
	}
	return wire.NewResponse(ctx, deadline, page.Message, counted, released)
}
