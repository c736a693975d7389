package interceptor

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// limitCalls refuses a call at once when as many are under way as the server takes, of all tenants or of one. The call
// keeps its place until its response is out.
func limitCalls(calls *inFlight, bytes *wire.Bytes, tenantOf func(context.Context) string) around {
	return func(ctx context.Context, c *call, next handler) error {
		// A call without a tenant is refused later, and for that.
		tenant := tenantOf(ctx)
		c.tenant = tenant
		if c.shed = calls.enter(tenant); c.shed != "" {
			return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
		}
		c.place = func() { calls.leave(tenant) }
		c.holding = bytes.Hold(tenant)
		// A compressed response is a copy that nothing counts. It fails only outside of a call.
		_ = grpc.SetSendCompressor(ctx, "identity")
		return next(ctx)
	}
}

// inFlight counts the calls that are under way. A tenant gets another place while it has fewer than are free: a single
// greedy tenant leaves half of them to the others, k of them leave 1/(k+1). Otherwise tenants whose tokens or responses
// hang would keep out all others until their calls have run out of time.
type inFlight struct {
	max       int
	oneTenant bool

	mu       sync.Mutex
	all      int
	byTenant map[string]int
}

func newInFlight(limit int, oneTenant bool) *inFlight {
	return &inFlight{max: limit, oneTenant: oneTenant, byTenant: make(map[string]int)}
}

// enter takes a place, or says why there is none.
func (n *inFlight) enter(tenant string) Shed {
	n.mu.Lock()
	defer n.mu.Unlock()
	free := n.max - n.all
	switch {
	case free <= 0:
		return ShedAllCalls
	case !n.oneTenant && n.byTenant[tenant] >= free:
		return ShedTenantShare
	}
	n.all++
	n.byTenant[tenant]++
	return ""
}

// count is how many calls are under way.
func (n *inFlight) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all
}

func (n *inFlight) leave(tenant string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all--
	if n.byTenant[tenant]--; n.byTenant[tenant] == 0 {
		delete(n.byTenant, tenant)
	}
}
