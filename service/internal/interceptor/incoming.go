package interceptor

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
)

const (
	// incomingPerCall is how many calls may wait for their request message, for each call that may be under way.
	incomingPerCall = 4
	// maxOpening is how many calls of methods that are open to strangers wait for their message. It can be large, packed.
	maxOpening = 64
	// incomingTime is how long a call waits for its request message. The largest one takes as long at 1 Mbit/s.
	incomingTime = time.Minute
)

// incoming counts the calls whose headers are there and whose request message is not. gRPC has a goroutine for each,
// and no deadline but the client's: a client that sends headers alone could have any number of them. They are shared
// like places, by who calls.
type incoming struct{ calls *inFlight }

// incomingKey is the key of a function that says that the request message of a call is there.
type incomingKey struct{}

// begin counts a call at its headers. who is whose share it takes. The context is that of the call from then on.
func (in incoming) begin(ctx context.Context, who string) (context.Context, error) {
	if !in.calls.admit(who) {
		return nil, apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(incomingTime, cancel)
	arrived := sync.OnceFunc(func() {
		timer.Stop()
		in.calls.giveBack(who)
	})
	context.AfterFunc(ctx, arrived)
	return context.WithValue(ctx, incomingKey{}, arrived), nil
}

// arrived notes that the request message of a call is there.
func arrived(ctx context.Context) {
	if note, ok := ctx.Value(incomingKey{}).(func()); ok {
		note()
	}
}

// peerOf is the address of a client without its port.
func peerOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}
