package interceptor

import "context"

// Tracer makes the spans of calls.
type Tracer interface {
	// Begin begins the span of a call. The method is gRPC's name of it. The caller ends the span with the error of the
	// call, nil for none. A call without a span has the context that it came with, and end is nil.
	Begin(ctx context.Context, method string) (_ context.Context, end func(err error))
	// TraceID returns the id of the trace that a call belongs to, empty for a call without a span.
	TraceID(ctx context.Context) string
}

// traceCalls makes a span of each call that the tracer wants. It stands here and not in a stats handler of gRPC: that
// would cost every call, with a span or without, 4 % more instructions.
func traceCalls(tracer Tracer) around {
	return func(ctx context.Context, c *call, next handler) error {
		if c.op == nil {
			return next(ctx, c)
		}
		ctx, end := tracer.Begin(ctx, c.op.FullMethod)
		if end == nil {
			return next(ctx, c)
		}
		c.traceID = tracer.TraceID(ctx)
		err := next(ctx, c)
		end(err)
		return err
	}
}
