package interceptor

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/audit"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/identity"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// call is one invocation of an rpc, unary or streaming, and what the interceptors know of it. It is a context as well,
// gRPC's with one more value: itself.
type call struct {
	context.Context
	// method is gRPC's name of it.
	method string
	// header is the metadata that came with it, as gRPC has it; nil if there was no tap handle.
	header metadata.MD
	// handle carries it out. entered says that it has come to the interceptors.
	handle  handler
	entered bool
	// wait is how it waits for its request message.
	wait wait
	// shown says that the headers showed who calls. identified is to be called when that is known of a call whose token
	// could not be checked at once; nil for any other.
	shown      bool
	identified func()
	// op is nil for a method that the contract does not have.
	op *contract.Operation
	// request is nil for a stream, and for a method that the contract does not have.
	request protoreflect.Message
	// requestID is the GUID under which Graph and the log know the call.
	requestID string
	// refused is the error with which the call ended at its headers, nil for any other call.
	refused error
	// quiet is set for a call that is logged only when it fails.
	quiet bool
	// caller is who calls. principal is the name by which the rights file knows the caller. tenant is the tenant that the
	// call names, empty when it names none or was refused before that was looked at. denied says why the call was denied,
	// for the log and for observers alone.
	caller                    identity.Caller
	principal, tenant, denied string
	// shed says why the call was refused, if that was for lack of room.
	shed Shed
	// keyed is what became of a call with an idempotency key, for the log.
	keyed string
	// traceID is the id of the trace, empty for none.
	traceID string
	// audit is where the call's audit lines go, attempt the write that it has begun; nil before it has.
	audit   Audit
	attempt *audit.Attempt
	// failure is set when the call failed and was translated, err is the error that was translated.
	failure *apierror.Failure
	err     error
	// hasPushback is set once the trailer for retries is.
	hasPushback bool
	// stats is what the requests of the call took.
	stats graph.Stats
	// deadline is when the call has to be done, clientDeadline when the client gives up. Either is zero until it is known.
	deadline, clientDeadline time.Time
	// inFlight are the calls among which the call has its place; nil when it has none. shared says that it is counted as
	// one of its tenant's. holding is what it holds of the bytes of responses from then on.
	inFlight *inFlight
	shared   bool
	holding  wire.Holding
	// encoded is the encoded response, in a buffer of package buffers; nil when the handler returns a message.
	encoded *[]byte
	// bytes is what holdings are of.
	bytes *wire.Bytes
	// still decides again whether the caller may do what the call does; nil where everybody may. Only calls that last have
	// it.
	still func() error
	// inSpan puts requests into the span of the call; nil when it has none. Only calls that last have it.
	inSpan func(context.Context) context.Context
	// hasSent is set when a stream has sent a message.
	hasSent atomic.Bool
}

// Value returns the call by its own key.
func (c *call) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// of returns the call of a context, nil outside of one.
func of(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// marshalled notes the size of the response, whose bytes replace those that came from Graph.
func (c *call) marshalled(size int) { c.holding.Set(int64(size)) }

// leave gives back the place of the call and what it holds. A unary call that succeeded does so when its response is
// out.
func (c *call) leave() {
	switch {
	case c.inFlight == nil:
	case c.shared:
		c.holding.Release()
		c.inFlight.giveBack(c.tenant)
	default:
		c.inFlight.leave()
	}
}

type callKey struct{}

// RequestID returns the GUID of a call, empty outside of one.
func RequestID(ctx context.Context) string {
	if c := of(ctx); c != nil {
		return c.requestID
	}
	return ""
}

// Header returns the values of a key of the metadata that came with a call. The key is in lower case. Nobody may change
// them: gRPC's own functions copy them, and compare all keys when there is none.
func Header(ctx context.Context, key string) []string {
	if c := of(ctx); c != nil && c.header != nil {
		return c.header[key]
	}
	return metadata.ValueFromIncomingContext(ctx, key)
}

// Stats returns where the requests of a call note what they took. Nobody reads it outside of one.
func Stats(ctx context.Context) *graph.Stats {
	if c := of(ctx); c != nil {
		return &c.stats
	}
	return new(graph.Stats)
}

// Grow asks whether a call may hold n more bytes of a response of Graph's. It always may outside of one.
func Grow(ctx context.Context, n int) bool {
	if page, ok := ctx.Value(pageKey{}).(*wire.Holding); ok {
		return page.Grow(int64(n))
	}
	c := of(ctx)
	return c == nil || !c.shared || c.holding.Grow(int64(n))
}

// Principal returns the name by which the rights file knows the caller, empty when the server asks nobody who calls.
func Principal(ctx context.Context) string {
	if c := of(ctx); c != nil {
		return c.principal
	}
	return ""
}

// NoteKeyed notes for the log what became of a call with an idempotency key.
func NoteKeyed(ctx context.Context, outcome string) {
	if c := of(ctx); c != nil {
		c.keyed = outcome
	}
}

// replayKey is the trailer of a call that a repeated write got its response from.
const replayKey = "x-idempotent-replay"

// SayReplay says in the trailers of a call that an earlier call did what it asks for.
func SayReplay(ctx context.Context) { setTrailer(ctx, replayKey, "true") }

// setTrailer sets a trailer of a call, whose key is in lower case. Ids and delays go into trailers and never into
// headers: a header before an error switches off retries in every gRPC runtime.
func setTrailer(ctx context.Context, key, value string) {
	// It fails only outside of a call.
	_ = grpc.SetTrailer(ctx, metadata.MD{key: {value}})
}
