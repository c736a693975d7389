package service

import (
	"context"
	"sync"
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
	// A fiftieth is taken off every deadline, though at least and at most so much, so that the typed error arrives before
	// the caller's runtime gives up and makes its own. A busy machine needs the more of it.
	leastKeptBack = 20 * time.Millisecond
	mostKeptBack  = 200 * time.Millisecond
)

// limitTime gives every call a deadline, a little before the caller's own.
func (s *Server) limitTime(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	limit := defaultTime
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left < leastTime {
			return nil, refuse(pb.ErrorReason_DEADLINE_EXCEEDED, "", "")
		}
		limit = min(left-min(max(left/50, leastKeptBack), mostKeptBack), longestTime)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return handler(ctx, request)
}

// limitCalls answers at once when as many calls are under way as the server takes, of all tenants or of one.
func (s *Server) limitCalls(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	// A call without a tenant is refused later, and then for that.
	tenant, _ := s.core.tenants.of(ctx)
	if !s.underWay.enter(tenant) {
		return nil, refuse(pb.ErrorReason_SERVER_OVERLOADED, "", "")
	}
	defer s.underWay.leave(tenant)
	return handler(ctx, request)
}

// underWay counts the calls that are under way. A tenant gets nine tenths of what the server takes: one whose token or
// whose answers hang would otherwise keep out all others until its calls have run out of time.
type underWay struct {
	most, mostOfTenant int

	mu       sync.Mutex
	all      int
	byTenant map[string]int
}

func newUnderWay(most int) *underWay {
	return &underWay{most: most, mostOfTenant: most - most/10, byTenant: make(map[string]int)}
}

func (u *underWay) enter(tenant string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all >= u.most || u.byTenant[tenant] >= u.mostOfTenant {
		return false
	}
	u.all++
	u.byTenant[tenant]++
	return true
}

func (u *underWay) leave(tenant string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all--
	if u.byTenant[tenant]--; u.byTenant[tenant] == 0 {
		delete(u.byTenant, tenant)
	}
}
