package wire

import (
	"context"
	"time"

	"google.golang.org/grpc/stats"
)

// connTime is longer than any connection lives: its age, and the time that its last calls have to end.
const connTime = 20 * time.Minute

// ConnDeadline is a stats.Handler that counts nothing: it gives each connection a deadline. gRPC makes a timer for the
// deadline that a client asks for before a tap handle sees the call, and forgets the timer of a call that the handle
// refuses: with a deadline in 11,000 years each of them would hold memory for as long. Go makes no timer for a deadline
// behind that of the connection.
type ConnDeadline struct{}

// TagConn returns the context of a connection.
func (ConnDeadline) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return bounded{ctx, time.Now().Add(connTime)}
}

// TagRPC does nothing.
func (ConnDeadline) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC does nothing.
func (ConnDeadline) HandleRPC(context.Context, stats.RPCStats) {}

// HandleConn does nothing.
func (ConnDeadline) HandleConn(context.Context, stats.ConnStats) {}

// bounded is a context with a deadline and without a timer.
type bounded struct {
	context.Context
	until time.Time
}

type boundedKey struct{}

// Deadline returns the deadline of the connection.
func (b bounded) Deadline() (time.Time, bool) { return b.until, true }

// Value returns the deadline by its own key.
func (b bounded) Value(key any) any {
	if _, ok := key.(boundedKey); ok {
		return b.until
	}
	return b.Context.Value(key)
}

// Deadline returns the deadline that the client of a call has set. One behind that of the connection counts as none.
func Deadline(ctx context.Context) (time.Time, bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return deadline, false
	}
	if conn, bound := ctx.Value(boundedKey{}).(time.Time); bound && !deadline.Before(conn) {
		return time.Time{}, false
	}
	return deadline, true
}
