package interceptor

import (
	"context"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// MaxTime is the deadline that no call can have more of, but for a stream.
const MaxTime = 120 * time.Second

// MaxStream is how long a stream lasts that nobody ends before.
const MaxStream = 10 * time.Minute

// StreamTime is the deadline that no stream can have more of. The stream itself ends before it.
const StreamTime = MaxStream + 30*time.Second

const (
	// defaultTime is the deadline of a call that has none.
	defaultTime = 60 * time.Second
	// minTime is what must be left of a deadline for work to begin.
	minTime = 100 * time.Millisecond
	// The server keeps back a fiftieth of every deadline, within these bounds, so that the typed error arrives before the
	// caller's runtime gives up and makes its own. A busy machine needs more of it.
	minKeptBack = 20 * time.Millisecond
	maxKeptBack = 200 * time.Millisecond
)

// limitTime gives every call a deadline, a little before the caller's own. Most have it since their headers came.
func limitTime(ctx context.Context, c *call, next handler) error {
	now := time.Now()
	if !c.deadline.IsZero() {
		if c.deadline.Sub(now) < minTime-minKeptBack {
			return apierror.Refuse(pb.ErrorReason_DEADLINE_EXCEEDED)
		}
		return next(ctx, c)
	}
	limit, ok := c.limit(ctx, now)
	if !ok {
		return apierror.Refuse(pb.ErrorReason_DEADLINE_EXCEEDED)
	}
	c.deadline = now.Add(limit)
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	return next(ctx, c)
}

// limit is how long the call may take from now on. It is not ok when there is too little time for any work.
func (c *call) limit(ctx context.Context, now time.Time) (limit time.Duration, ok bool) {
	limit, most := defaultTime, MaxTime
	if c.op != nil && c.op.Kind.Streams() {
		limit, most = StreamTime, StreamTime
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := deadline.Sub(now)
		if left < minTime {
			return 0, false
		}
		limit = min(left-min(max(left/50, minKeptBack), maxKeptBack), most)
	}
	return limit, true
}

// makeEndable makes the context of a call that waits for its message one that can be ended. If the client has set a
// deadline, that of the call is set at once: a second context for it would cost each call 0.5 kB. Else the time of the
// call begins with its message.
func (c *call) makeEndable(now time.Time) {
	// Nobody has to end it: gRPC ends the context that it is made of.
	if deadline, has := c.Deadline(); has {
		c.clientDeadline = deadline
		if limit, ok := c.limit(c.Context, now); ok {
			c.deadline = now.Add(limit)
			c.Context, c.wait.cancel = context.WithDeadline(c.Context, c.deadline)
			return
		}
	}
	c.Context, c.wait.cancel = context.WithCancel(c.Context)
}
