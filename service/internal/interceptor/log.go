package interceptor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
)

// logCalls writes one line a call. Its fields are listed here and nowhere else: no tenant, no id of a resource, no
// address, no text of Graph's. It also tells the observers of each call.
func logCalls(logger *slog.Logger, observers []Observer) around {
	return func(ctx context.Context, c *call, next handler) error {
		start := time.Now()
		for _, o := range observers {
			o.CallBegan(c.known())
		}
		err := next(ctx)
		took := time.Since(start)
		if len(observers) > 0 {
			info := c.info(took)
			for _, o := range observers {
				o.CallEnded(info)
			}
		}
		attributes := []slog.Attr{
			slog.String("method", c.method),
			slog.Duration("duration", took),
			slog.String("requestId", c.requestID),
			slog.Int("attempts", c.stats.Attempts),
			slog.Int64("waitedMs", c.stats.Waited.Milliseconds()),
		}
		if c.traceID != "" {
			attributes = append(attributes, slog.String("traceId", c.traceID))
		}
		f := c.failure
		if err == nil || f == nil {
			logger.LogAttrs(ctx, slog.LevelInfo, "call", append(attributes, slog.String("code", codes.OK.String()))...)
			return err
		}
		attributes = append(attributes, slog.String("code", f.Code().String()), slog.String("reason", f.Reason()))
		for _, key := range []string{"httpStatus", "graphRequestId", "cause", "property", "offset", "throttledBy", "outcome", "incident"} {
			if value := f.Metadata(key); value != "" {
				attributes = append(attributes, slog.String(key, value))
			}
		}
		if f.HasUnknownCode() {
			// The code itself stands in the Status alone: whoever responds in Graph's place chooses it.
			attributes = append(attributes, slog.Bool("unknownCode", true))
		}
		logger.LogAttrs(ctx, level(f.Code()), "call", append(attributes, panicAttributes(c.err)...)...)
		return err
	}
}

// level is the level of the line of a failed call.
func level(code codes.Code) slog.Level {
	switch code {
	case codes.Internal, codes.Unknown:
		return slog.LevelError
	case codes.Unavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// panicAttributes are those of a call that ended by a panic, none for any other.
func panicAttributes(cause error) []slog.Attr {
	var panicked *panicError
	if !errors.As(cause, &panicked) {
		return nil
	}
	return []slog.Attr{slog.String("panic", panicked.kind), slog.String("stack", string(panicked.stack))}
}
