package interceptor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/jsonlog"
	"github.com/m365backup/backupstorage/service/internal/apierror"
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
// text of Graph's, and a tenant only as tenants says. It also tells the observers of each call.
func logCalls(logger *slog.Logger, tenants LogTenants, observers []Observer) around {
	l := &callLog{lines: logger.Handler(), tenants: tenants}
	l.direct, _ = l.lines.(*jsonlog.Handler)
	return func(ctx context.Context, c *call, next handler) error {
		start := time.Now()
		if !c.quiet {
			began(observers, c)
		}
		err := next(ctx, c)
		took := time.Since(start)
		if c.quiet {
			if err == nil {
				return nil
			}
			began(observers, c)
		}
		ended(observers, c, took)
		l.write(ctx, c, start.Add(took), took, err)
		return err
	}
}

// callLog writes the lines of calls.
type callLog struct {
	lines slog.Handler
	// direct is the same, if it can do without a record.
	direct    *jsonlog.Handler
	tenants   LogTenants
	strangers lineLimit
}

// write writes the line of a call that has ended. It is a function of its own since its variables take 2 kB: the stack
// of each call under way would hold them.
func (l *callLog) write(ctx context.Context, c *call, now time.Time, took time.Duration, err error) {
	level := slog.LevelInfo
	if err != nil && c.failure != nil {
		level = levelOf(c.failure)
	}
	// Without slog's Logger, which looks for the caller's line of source each time.
	if !l.lines.Enabled(ctx, level) {
		return
	}
	var buffer [maxAttributes]slog.Attr
	attributes := append(buffer[:0],
		slog.String("method", c.shownMethod()),
		slog.Duration("duration", took),
		slog.String("requestId", c.requestID),
		slog.Int("attempts", c.stats.Attempts),
		slog.Int64("waitedMs", c.stats.Waited.Milliseconds()),
		slog.Duration("graphDuration", c.stats.InGraph),
	)
	if c.traceID != "" {
		attributes = append(attributes, slog.String("traceId", c.traceID))
	}
	if c.refused != nil {
		left, ok := l.strangers.take(time.Now())
		if !ok {
			return
		}
		if left > 0 {
			attributes = append(attributes, slog.Uint64("suppressed", left))
		}
	}
	for _, one := range [...]struct{ key, value string }{
		{"tenant", l.tenants.of(c.tenant)}, {"principal", c.principal}, {"denied", c.denied}, {"idempotency", c.keyed},
	} {
		if one.value != "" {
			attributes = append(attributes, slog.String(one.key, one.value))
		}
	}
	if err == nil || c.failure == nil {
		attributes = append(attributes, slog.String("code", codes.OK.String()))
	} else {
		attributes = c.appendFailure(attributes)
	}
	if l.direct != nil {
		_ = l.direct.Log(ctx, now, level, "call", attributes)
		return
	}
	line := slog.NewRecord(now, level, "call", 0)
	line.AddAttrs(attributes...)
	_ = l.lines.Handle(ctx, line)
}

// maxAttributes has room for what stands in a line: what every line has, and all of a failure.
const maxAttributes = 30

// appendFailure appends what the line of a failed call has of its failure.
func (c *call) appendFailure(attributes []slog.Attr) []slog.Attr {
	f := c.failure
	attributes = append(attributes, slog.String("code", f.Code().String()), slog.String("reason", f.Reason()))
	for _, key := range [...]string{"httpStatus", "graphRequestId", "cause", "aadsts", "property", "offset", "throttledBy", "outcome", "incident"} {
		if value := f.Metadata(key); value != "" {
			attributes = append(attributes, slog.String(key, value))
		}
	}
	for _, a := range [...]struct{ key, value string }{{"host", f.Host()}, {"tokenRequestId", f.TokenRequestID()}} {
		if a.value != "" {
			attributes = append(attributes, slog.String(a.key, a.value))
		}
	}
	if f.HasUnknownCode() {
		// The code itself stands in the Status alone: whoever responds in Graph's place chooses it.
		attributes = append(attributes, slog.Bool("unknownCode", true))
	}
	return append(attributes, panicAttributes(c.err)...)
}

// maxMethod is how much of the name of a method that the contract does not have stands in a line, in bytes.
const maxMethod = 128

// shownMethod is the method as it stands in a line: a stranger can call one with any name.
func (c *call) shownMethod() string {
	if c.op != nil {
		return c.method
	}
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, c.method[:min(len(c.method), maxMethod)])
	return printable
}

// lineLimit bounds the lines of calls that end at their headers: strangers could fill the log, and take the room of the
// lines of callers. There are 20 in a second, after a burst of 200.
type lineLimit struct {
	mu     sync.Mutex
	last   time.Time
	tokens float64
	left   uint64
}

const (
	strangerLines = 20
	strangerBurst = 200
)

// take reports whether a line may be written now, and how many were left out before it.
func (l *lineLimit) take(now time.Time) (left uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = min(strangerBurst, l.tokens+now.Sub(l.last).Seconds()*strangerLines)
	if l.last.IsZero() {
		l.tokens = strangerBurst
	}
	l.last = now
	if l.tokens < 1 {
		l.left++
		return 0, false
	}
	l.tokens--
	left, l.left = l.left, 0
	return left, true
}

// levelOf is the level of the line of a failed call.
func levelOf(f *apierror.Failure) slog.Level {
	if f.Reason() == pb.ErrorReason_STREAM_RESUME.String() {
		// It is how long streams end.
		return slog.LevelInfo
	}
	switch f.Code() {
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
