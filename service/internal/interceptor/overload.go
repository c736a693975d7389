package interceptor

import (
	"context"
	"sync"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// limitCalls refuses a call at once when as many are under way as the server takes, of all tenants or of one.
func limitCalls(calls *inFlight, tenantOf func(context.Context) string) around {
	return func(ctx context.Context, _ *call, next handler) error {
		// A call without a tenant is refused later, and for that.
		tenant := tenantOf(ctx)
		if !calls.enter(tenant) {
			return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
		}
		defer calls.leave(tenant)
		return next(ctx)
	}
}

// inFlight counts the calls that are under way. One tenant gets nine tenths of what the server takes: otherwise a
// tenant whose tokens or responses hang would keep out all others until its calls have run out of time.
type inFlight struct {
	max, maxOfTenant int

	mu       sync.Mutex
	all      int
	byTenant map[string]int
}

func newInFlight(most int) *inFlight {
	return &inFlight{max: most, maxOfTenant: most - most/10, byTenant: make(map[string]int)}
}

func (n *inFlight) enter(tenant string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all >= n.max || n.byTenant[tenant] >= n.maxOfTenant {
		return false
	}
	n.all++
	n.byTenant[tenant]++
	return true
}

func (n *inFlight) leave(tenant string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all--
	if n.byTenant[tenant]--; n.byTenant[tenant] == 0 {
		delete(n.byTenant, tenant)
	}
}
