package interceptor

import (
	"context"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/wire"
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

// limitTime gives every call a deadline, a little before the caller's own.
func limitTime(ctx context.Context, c *call, next handler) error {
	limit, most := defaultTime, MaxTime
	if c.op != nil && c.op.Kind.Streams() {
		limit, most = StreamTime, StreamTime
	}
	if deadline, ok := wire.Deadline(ctx); ok {
		left := time.Until(deadline)
		if left < minTime {
			return apierror.Refuse(pb.ErrorReason_DEADLINE_EXCEEDED)
		}
		limit = min(left-min(max(left/50, minKeptBack), maxKeptBack), most)
	}
	c.deadline = time.Now().Add(limit)
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	return next(ctx, c)
}
