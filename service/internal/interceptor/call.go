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

// call is one invocation of an rpc, unary or streaming, and what the interceptors know of it.
type call struct {
	// method is gRPC's name of it.
	method string
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
	// deadline is when the call has to be done.
	deadline time.Time
	// place gives back the call's place among those under way, holding is what it holds of the bytes of responses. A call
	// has them from the moment on that it was not refused.
	place   func()
	holding *wire.Holding
	// bytes is what holdings are of.
	bytes *wire.Bytes
	// still decides again whether the caller may do what the call does; nil where everybody may. Only calls that last have
	// it.
	still func() error
	// shown is set when a stream has sent a message.
	shown atomic.Bool
}

// leave gives back the place of the call and what it holds. A unary call that succeeded does so when its response is
// out.
func (c *call) leave() {
	if c.holding != nil {
		c.holding.Release()
	}
	if c.place != nil {
		c.place()
	}
}

type callKey struct{}

// RequestID returns the GUID of a call, empty outside of one.
func RequestID(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.requestID
	}
	return ""
}

// Stats returns where the requests of a call note what they took. Nobody reads it outside of one.
func Stats(ctx context.Context) *graph.Stats {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return &c.stats
	}
	return new(graph.Stats)
}

// Grow asks whether a call may hold n more bytes of a response of Graph's. It always may outside of one.
func Grow(ctx context.Context, n int) bool {
	if page, ok := ctx.Value(pageKey{}).(*wire.Holding); ok {
		return page.Grow(int64(n))
	}
	c, ok := ctx.Value(callKey{}).(*call)
	return !ok || c.holding == nil || c.holding.Grow(int64(n))
}

// setTrailer sets a trailer of a call. Ids and delays go into trailers and never into headers: a header before an error
// switches off retries in every gRPC runtime.
func setTrailer(ctx context.Context, key, value string) {
	// It fails only outside of a call.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(key, value))
}
