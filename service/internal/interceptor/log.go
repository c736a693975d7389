package interceptor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
)

// LogTenants is how tenants stand in the lines of calls.
type LogTenants string

// The ways.
const (
	// LogNoTenants leaves them out.
	LogNoTenants LogTenants = "none"
	// LogTenantHashes writes the first 16 digits of the GUID's SHA-256: the calls of a tenant can be found, by those who
	// know it.
	LogTenantHashes LogTenants = "hash"
	// LogTenantIDs writes the GUID.
	LogTenantIDs LogTenants = "id"
)

// of returns a tenant as it stands in a line, empty to leave it out.
func (l LogTenants) of(tenant string) string {
	switch {
	case tenant == "":
		return ""
	case l == LogTenantIDs:
		return tenant
	case l == LogTenantHashes:
		sum := sha256.Sum256([]byte(tenant))
		return hex.EncodeToString(sum[:8])
	}
	return ""
}

// logCalls writes one line a call. Its fields are listed here and nowhere else: no id of a resource, no address, no
// text of Graph's, and a tenant only as tenants says.
func logCalls(logger *slog.Logger, tenants LogTenants) around {
	return func(ctx context.Context, c *call, next handler) error {
		start := time.Now()
		err := next(ctx)
		attributes := []slog.Attr{
			slog.String("method", c.method),
			slog.Duration("duration", time.Since(start)),
			slog.String("requestId", c.requestID),
			slog.Int("attempts", c.stats.Attempts),
			slog.Int64("waitedMs", c.stats.Waited.Milliseconds()),
		}
		f := c.failure
		if c.quiet && err == nil {
			return nil
		}
		for _, one := range [...]struct{ key, value string }{
			{"tenant", tenants.of(c.tenant)}, {"principal", c.principal}, {"denied", c.denied},
		} {
			if one.value != "" {
				attributes = append(attributes, slog.String(one.key, one.value))
			}
		}
		if err == nil || f == nil {
			logger.LogAttrs(ctx, slog.LevelInfo, "call", append(attributes, slog.String("code", codes.OK.String()))...)
			return err
		}
		attributes = append(attributes, slog.String("code", f.Code().String()), slog.String("reason", f.Reason()))
		for _, key := range []string{"httpStatus", "graphRequestId", "cause", "aadsts", "property", "offset", "throttledBy", "outcome", "incident"} {
			if value := f.Metadata(key); value != "" {
				attributes = append(attributes, slog.String(key, value))
			}
		}
		for _, a := range []slog.Attr{slog.String("host", f.Host()), slog.String("tokenRequestId", f.TokenRequestID())} {
			if a.Value.String() != "" {
				attributes = append(attributes, a)
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
