package interceptor

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/identity"
)

const (
	// pendingTime is how long a call waits for its message and for the keys.
	pendingTime = 2 * identityTime
	// maxPending is how many calls wait for keys at once. They have not shown who they are, so they are few: at most an
	// eighth of all calls, as each has a place.
	maxPending = 32
)

// isOpen reports whether anybody may call a method: health, which probes ask without a credential.
func isOpen(method string) bool {
	switch method {
	case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List":
		return true
	}
	return false
}

// Tap is a tap.ServerInHandle. It refuses strangers by the headers of a call, before the message is read: interceptors
// run after that, and strangers must not make memory. It never waits, as it runs in the goroutine that reads the
// connection.
//
// gRPC has made a timer for the deadline of the call by then, and keeps it when Tap refuses the call. So a call with a
// deadline behind any that makes sense, such as one in 11,000 years, is refused by its handler: see Guard.
func (ch *Chain) Tap(ctx context.Context, info *tap.Info) (_ context.Context, err error) {
	c := &call{Context: ctx, method: info.FullMethodName, op: ch.contract.OfMethod(info.FullMethodName), header: info.Header}
	defer func() {
		// A panic here would end the process.
		if value := recover(); value != nil {
			c.refused = newPanicError(value)
			err = ch.refusal(c, c)
		}
	}()
	ch.meet(c)
	if deadline, has := ctx.Deadline(); c.refused != nil && (!has || time.Until(deadline) <= MaxTime) {
		return nil, ch.refusal(c, c)
	}
	return c, nil
}

// meet lets a call in that waits for its request message, or sets why it is refused.
func (ch *Chain) meet(c *call) {
	who := peerOf(c.Context)
	switch {
	case isOpen(c.method):
		ch.begin(c, ch.opening, who)
		return
	case ch.callers == nil:
		ch.begin(c, ch.incoming, who)
		return
	}
	caller, pending, err := ch.callers.Authenticator.Known(credentialOf(c.Context, c.header))
	switch {
	case err != nil:
		c.refused = err
	case pending:
		ch.beginPending(c, who)
	default:
		if len(caller.Names) > 0 {
			who = caller.Names[0]
		}
		c.caller, c.shown = caller, true
		ch.begin(c, ch.incoming, who)
	}
}

// begin counts a call that waits for its request message, unless too many do.
func (ch *Chain) begin(c *call, in *incoming, who string) {
	if c.refused = in.begin(c, who); c.refused != nil {
		c.shed = ShedIncoming
	}
}

// beginPending begins a call whose token has a key that is being fetched. Such calls are counted until it is there, so
// that few messages of strangers are read, and they end soon when their message does not come: they may all be forged.
func (ch *Chain) beginPending(c *call, who string) {
	if !ch.pending.admit(who) {
		c.refused, c.shed = apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED), ShedUnidentified
		return
	}
	if ch.begin(c, ch.incoming, who); c.refused != nil {
		ch.pending.giveBack(who)
		return
	}
	timer := time.AfterFunc(pendingTime, c.wait.cancel)
	c.identified = sync.OnceFunc(func() {
		timer.Stop()
		ch.pending.giveBack(who)
	})
	context.AfterFunc(c.Context, c.identified)
}

// CallerKnown reports whether the headers of a call showed who makes it.
func CallerKnown(ctx context.Context) bool {
	c := of(ctx)
	return c != nil && c.shown
}

// Guard returns a registrar whose methods end calls that Tap has not refused although it had to, before their message
// is read.
func (ch *Chain) Guard(registrar grpc.ServiceRegistrar) grpc.ServiceRegistrar {
	return guard{registrar, ch}
}

type guard struct {
	grpc.ServiceRegistrar
	chain *Chain
}

// RegisterService registers a service.
func (g guard) RegisterService(service *grpc.ServiceDesc, implementation any) {
	guarded := *service
	guarded.Methods = make([]grpc.MethodDesc, len(service.Methods))
	for i, method := range service.Methods {
		guarded.Methods[i] = grpc.MethodDesc{MethodName: method.MethodName, Handler: g.chain.guarded(method.Handler)}
	}
	g.ServiceRegistrar.RegisterService(&guarded, implementation)
}

func (ch *Chain) guarded(handle grpc.MethodHandler) grpc.MethodHandler {
	return func(server any, ctx context.Context, read func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
		if c := of(ctx); c != nil && c.refused != nil {
			return nil, ch.refusal(ctx, c)
		}
		return handle(server, ctx, read, around)
	}
}

// RefuseRequest ends what did not become a call of gRPC's, as a call is ended that is refused by its headers: it has an
// id, a typed Status and its line in the log. A stranger gets no other reason than that. The credential can only be a
// token.
func (ch *Chain) RefuseRequest(ctx context.Context, method string, failure error) error {
	if ch.callers != nil {
		header, _ := metadata.FromIncomingContext(ctx)
		if _, _, err := ch.callers.Authenticator.Known(identity.Credential{Authorization: header.Get(authorizationKey)}); err != nil {
			failure = err
		}
	}
	c := &call{Context: ctx, method: method, op: ch.contract.OfMethod(method), refused: failure}
	return ch.refusal(c, c)
}

// admit lets only known callers use what is not of the contract and not open, such as reflection. Which tenants they
// have does not matter: it shows the contract, which is no secret.
func (ch *Chain) admit(ctx context.Context, c *call) error {
	switch {
	case c.refused != nil:
	case ch.callers == nil || isOpen(c.method):
		return nil
	default:
		c.quiet = true
	}
	return ch.refusal(ctx, c)
}
