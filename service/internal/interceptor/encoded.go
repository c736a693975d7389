package interceptor

import "context"

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
