// Package interceptor is what happens around every call: recovery, ids, log, translation of errors, limits.
//
// Each concern is a function in a file of its own and has just what it needs. The chain is their order, the same for
// unary and streaming calls.
package interceptor

import (
	"context"
	"log/slog"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// handler carries a call out, or passes it to the interceptors further in.
type handler func(ctx context.Context, c *call) error

// around is one interceptor.
type around func(ctx context.Context, c *call, next handler) error

// named is an interceptor with the name by which a test checks its position.
type named struct {
	name string
	around
}

// Options configures a Chain. All but the last two are required.
type Options struct {
	// Contract is the contract whose methods the chain is put around.
	Contract *contract.Contract
	// Translator makes Statuses of errors.
	Translator *apierror.Translator
	// Logger takes one line a call.
	Logger *slog.Logger
	// MaxCalls is how many calls may be under way at once.
	MaxCalls int
	// MaxWaits is how many calls that last may be under way at once: streams, waits and watches.
	MaxWaits int
	// OneTenant is set where only one tenant is possible: it may take all.
	OneTenant bool
	// Bytes bounds the bytes of responses that calls hold.
	Bytes *wire.Bytes
	// Tenant returns the tenant that a call names. The error is that of a call that names none.
	Tenant func(context.Context) (string, error)
	// Callers says who calls and what they may do; nil lets everybody do everything.
	Callers *Callers
	// Audit says which calls have lines in the audit file.
	Audit Audit
	// LogTenants is how tenants stand in the lines of calls.
	LogTenants LogTenants
	// Observers are told of each call.
	Observers []Observer
	// Tracer makes spans of calls. It may be nil.
	Tracer Tracer

	lasting *lasting
}

// Chain is the interceptors around every call of the contract. Health and reflection do not pass it: they respond in
// their own words, and are neither logged nor counted.
type Chain struct {
	contract *contract.Contract
	callers  *Callers
	// around is all interceptors. entrance are those that a call passes that ends before it has a place. through and
	// refusal are both, each as one function.
	around, entrance []named
	through, refusal handler
	// calls are the calls under way, pending those whose callers are not known yet.
	calls, pending *inFlight
	// lasting are the calls that last.
	lasting *lasting
	// incoming are the calls whose request message is not there yet.
	incoming *incoming
	// open are the streams that anybody may have, such as watches of health.
	open *inFlight
	// opening are the calls of open methods whose request message is not there yet.
	opening *incoming
}

// New returns the chain.
func New(o Options) *Chain {
	return newChain(o, newInFlight(o.MaxCalls, o.OneTenant))
}

func newChain(o Options, calls *inFlight) *Chain {
	o.lasting = newLasting(o.MaxWaits, o.OneTenant)
	ch := &Chain{
		contract: o.Contract, callers: o.Callers, around: order(o, calls), calls: calls, lasting: o.lasting,
		pending:  newInFlight(min(maxPending, max(1, o.MaxCalls/8)), false),
		incoming: newIncoming(incomingPerCall * o.MaxCalls),
		open:     newInFlight(o.MaxCalls, false),
		opening:  newIncoming(maxOpening),
	}
	for _, n := range ch.around {
		if n.name != "deadline" && n.name != "capacity" && n.name != "rights" && n.name != "share" {
			ch.entrance = append(ch.entrance, n)
		}
	}
	ch.through, ch.refusal = compose(ch.around, handle), compose(ch.entrance, nothing)
	return ch
}

// CallsInFlight is how many calls are under way, without those that last. A call is until its response is out.
func (ch *Chain) CallsInFlight() int { return ch.calls.count() }

// WaitsInFlight is how many calls that last are under way: streams, waits and watches.
func (ch *Chain) WaitsInFlight() int { return ch.lasting.all.count() }

// order returns the interceptors, outermost first. What stands outside of translation must not fail; what stands inside
// may return any error.
func order(o Options, calls *inFlight) []named {
	all := []named{
		// A panic in the chain itself still ends as a typed Status.
		{"recovery", recoverChain(o.Translator, o.Logger)},
		// Ids come first, so that every later line and Status has them.
		{"request id", assignRequestID},
		{"log", logCalls(o.Logger, o.LogTenants, o.Observers)},
		// It tells what the caller was told.
		{"audit", auditCalls(o.Audit)},
		// From here on inwards errors are of any kind; outwards they are Statuses.
		{"translation", translate(o.Translator)},
		// A panic in a handler is translated, logged and counted like any error.
		{"inner recovery", recoverHandler},
		// Whatever waits further in has a deadline.
		{"deadline", limitTime},
		// Calls are refused before any work.
		{"capacity", limitCalls(calls, o.lasting)},
		// Who calls is known before anything that a call says is believed, such as its tenant.
		{"identity", authenticate(o.Callers)},
		{"rights", authorize(o.Callers, o.Tenant)},
		{"share", limitShare(o.Bytes, o.Tenant)},
	}
	if o.Tracer != nil {
		// The span has all that the log has, and the log the id of the trace.
		log := slices.IndexFunc(all, func(n named) bool { return n.name == "log" })
		all = slices.Insert(all, log, named{"trace", traceCalls(o.Tracer)})
	}
	return all
}

// compose makes one function of interceptors and what they are put around, once: a closure for each of them in each
// call would cost more than most of them do.
func compose(all []named, inner handler) handler {
	for _, v := range slices.Backward(all) {
		intercept, next := v.around, inner
		inner = func(ctx context.Context, c *call) error { return intercept(ctx, c, next) }
	}
	return inner
}

// handle is the innermost handler: the service method.
func handle(ctx context.Context, c *call) error { return c.handle(ctx, c) }

// nothing is what a call is carried out by that ends at the entrance.
func nothing(context.Context, *call) error { return nil }

// enter returns the call of a context, and the context to carry it out with. The call exists since its headers came,
// unless there was no tap handle.
func (ch *Chain) enter(ctx context.Context, method string) (context.Context, *call) {
	if c, ok := ctx.Value(callKey{}).(*call); ok && !c.entered {
		c.entered = true
		return ctx, c
	}
	c := &call{Context: ctx, method: method, op: ch.contract.OfMethod(method), entered: true}
	return c, c
}

// Unary is a grpc.UnaryServerInterceptor.
func (ch *Chain) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, c := ch.enter(ctx, info.FullMethod)
	c.arrived()
	if c.op == nil || c.refused != nil {
		if err := ch.admit(ctx, c); err != nil {
			return nil, err
		}
		return handle(ctx, request)
	}
	message, ok := request.(proto.Message)
	if ok {
		c.request = message.ProtoReflect()
	}
	var response any
	c.handle = func(ctx context.Context, _ *call) (err error) {
		response, err = handle(ctx, request)
		return err
	}
	err := ch.through(ctx, c)
	message, ok = response.(proto.Message)
	encoded := c.encoded
	// gRPC can hold the response for long, and with it the call: what the call has no use for any more is let go.
	c.handle, c.request, c.err, c.attempt, c.encoded = nil, nil, nil, nil, nil
	if err != nil || !ok {
		c.leave()
		return nil, err
	}
	// The bytes of the response replace those that came from Graph, and its place stays taken until it is out.
	if encoded != nil {
		return wire.NewEncoded(ctx, c.deadline, encoded, c.marshalled, c.leave), nil
	}
	return wire.NewResponse(ctx, c.deadline, message, c.marshalled, c.leave), nil
}

// Stream is a grpc.StreamServerInterceptor.
func (ch *Chain) Stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, c := ch.enter(stream.Context(), info.FullMethod)
	// A handler of a stream reads the messages itself.
	defer c.arrived()
	if c.refused != nil {
		return ch.refusal(ctx, c)
	}
	stream = &arriving{stream, c}
	if c.op == nil {
		if err := ch.admit(ctx, c); err != nil {
			return err
		}
		// Watches of health and reflection last as long as their clients like, and strangers have the former.
		who := peerOf(ctx)
		if !ch.open.admit(who) {
			return tooMany()
		}
		defer ch.open.giveBack(who)
		return handle(server, stream)
	}
	c.handle = func(ctx context.Context, _ *call) error { return handle(server, streamWithin{stream, ctx}) }
	defer c.leave()
	return ch.through(ctx, c)
}

// tooMany is the error of a stream that is one too many. It is of no rpc of the contract, and has no details.
func tooMany() error { return status.Error(codes.Unavailable, "too many streams") }

// arriving is a stream whose first message is awaited.
type arriving struct {
	grpc.ServerStream
	call *call
}

// RecvMsg notes that the message is there.
func (a *arriving) RecvMsg(m any) error {
	err := a.ServerStream.RecvMsg(m)
	a.call.arrived()
	if message, ok := m.(proto.Message); ok && err == nil && a.call.op != nil {
		a.call.request = message.ProtoReflect()
	}
	return err
}

// UnknownMethod is a grpc.StreamHandler for methods that do not exist. They get a typed Status like every other call.
func (ch *Chain) UnknownMethod(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	ctx, c := ch.enter(stream.Context(), method)
	c.arrived()
	if c.refused != nil {
		return ch.refusal(ctx, c)
	}
	c.handle = func(context.Context, *call) error { return apierror.RefuseMethod(method) }
	defer c.leave()
	return ch.through(ctx, c)
}

// streamWithin is a stream with the context that the interceptors made.
type streamWithin struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context that the interceptors made.
func (s streamWithin) Context() context.Context { return s.ctx }
