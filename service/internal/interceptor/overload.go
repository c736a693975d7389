package interceptor

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// limitCalls refuses a call at once when as many are under way as the server takes. The call keeps its place until its
// response is out.
func limitCalls(calls *inFlight, lasting *lasting) around {
	return func(ctx context.Context, c *call, next handler) error {
		if c.lasts() {
			return lasting.enter(ctx, c, next)
		}
		if !calls.enter() {
			c.shed = ShedAllCalls
			return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
		}
		c.inFlight = calls
		return next(ctx, c)
	}
}

// freeRequest is the size from which on a request message counts among the bytes that calls hold.
const freeRequest = 64 << 10

// limitShare refuses a call at once when its tenant has all that is its share.
func limitShare(bytes *wire.Bytes, tenantOf func(context.Context) (string, error)) around {
	return func(ctx context.Context, c *call, next handler) error {
		if c.tenant == "" {
			// Nobody has looked at who calls. A call without a tenant is refused later, and for that.
			c.tenant, _ = tenantOf(ctx)
		}
		tenant := c.tenant
		if !c.inFlight.take(tenant) {
			c.shed = ShedTenantShare
			if c.lasts() {
				c.shed = ShedWaits
			}
			return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
		}
		c.bytes, c.shared = bytes, true
		bytes.Hold(&c.holding, tenant)
		if c.request != nil {
			// Graph's responses count from the same size on: most requests are far below it.
			if size := int64(proto.Size(c.request.Interface())); size > freeRequest && !c.holding.Grow(size) {
				c.shed = ShedResponseBytes
				return apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
			}
		}
		sendPlain(ctx)
		return next(ctx, c)
	}
}

// sendPlain keeps gRPC from compressing the response as the request was: a compressed one is a copy that nothing
// counts. Most requests are not compressed, and then gRPC would only take apart what the client could read.
func sendPlain(ctx context.Context) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if ok && stream.RecvCompress() == "" {
		return
	}
	// It fails only outside of a call.
	_ = grpc.SetSendCompressor(ctx, "identity")
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

// enter takes a place for a call whose tenant is not known yet.
func (n *inFlight) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all >= n.max {
		return false
	}
	n.all++
	return true
}

// take counts the place of a call as one of its tenant's.
func (n *inFlight) take(tenant string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	// The call itself is among all.
	if free := n.max - n.all + 1; !n.oneTenant && n.byTenant[tenant] >= free {
		return false
	}
	n.byTenant[tenant]++
	return true
}

// count is how many calls are under way.
func (n *inFlight) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all
}

// admit is enter and take at once, for a call whose share is known from the beginning.
func (n *inFlight) admit(who string) bool {
	if !n.enter() {
		return false
	}
	if !n.take(who) {
		n.leave()
		return false
	}
	return true
}

// leave gives back the place of a call whose tenant was not counted.
func (n *inFlight) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all--
}

// giveBack gives back the place of a tenant's call.
func (n *inFlight) giveBack(tenant string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all--
	if n.byTenant[tenant]--; n.byTenant[tenant] == 0 {
		delete(n.byTenant, tenant)
	}
}
