package interceptor

import (
	"context"

	"github.com/m365backup/backupstorage/service/internal/wire"
)

// TakesEncoded reports whether the handler of a unary call may hand over an encoded response by Respond. It may not
// outside of a call.
func TakesEncoded(ctx context.Context) bool {
	c := of(ctx)
	return c != nil && c.request != nil
}

// Respond hands over the encoded response of a unary call for which TakesEncoded is true. It stands in for the message
// that the handler returns: nothing reads that one. The buffer is one of package buffers, and no longer the handler's.
func Respond(ctx context.Context, encoded *[]byte) {
	if c := of(ctx); c != nil {
		c.encoded = encoded
	}
}

// Streamed makes of an encoded message what the handler of a stream sends by SendMsg. The buffer is one of package
// buffers, and no longer the handler's. Its bytes replace those that the call holds of Graph's response until gRPC has
// written them, so the handler reads one response of Graph's at a time. It is nil outside of a call.
func Streamed(ctx context.Context, encoded *[]byte) *wire.Response {
	c := of(ctx)
	if c == nil || !c.shared {
		return nil
	}
	written := c.holding.Another()
	written.Set(int64(len(*encoded)))
	c.holding.Set(0)
	return wire.NewEncoded(ctx, c.deadline, encoded, func(int) {}, written.Release)
}
