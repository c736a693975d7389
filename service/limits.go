package service

import (
	"context"
	"time"

	"google.golang.org/grpc"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const (
	// defaultTime is the deadline of a call that has none, longestTime that of any.
	defaultTime = 60 * time.Second
	longestTime = 120 * time.Second
	// leastTime is what must be left of a deadline for work to begin.
	leastTime = 100 * time.Millisecond
	// keptBack is taken off every deadline, so that the typed error arrives before the caller's runtime gives up and
	// makes its own.
	keptBack = 20 * time.Millisecond
)

// limitTime gives every call a deadline, a little before the caller's own.
func (s *Server) limitTime(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	limit := defaultTime
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left < leastTime {
			return nil, refuse(pb.ErrorReason_DEADLINE_EXCEEDED, "", "")
		}
		limit = min(left-keptBack, longestTime)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return handler(ctx, request)
}

// limitCalls answers at once when as many calls are under way as the server takes.
func (s *Server) limitCalls(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if s.inFlight.Add(1) > s.maxInFlight {
		s.inFlight.Add(-1)
		return nil, refuse(pb.ErrorReason_SERVER_OVERLOADED, "", "")
	}
	defer s.inFlight.Add(-1)
	return handler(ctx, request)
}
