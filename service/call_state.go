package service

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/m365backup/backupstorage/graph"
)

const requestIDKey = "x-request-id"

// callState is what the interceptors know of a call.
type callState struct {
	// requestID is the GUID under which Graph and the log know the call.
	requestID string
	// failure is set when the call failed and was translated.
	failure *failure
	// cause is the error that was translated.
	cause error
	// pushed says that the trailer for retries is set.
	pushed bool
}

type callStateKey struct{}

func callFrom(ctx context.Context) *callState {
	if state, ok := ctx.Value(callStateKey{}).(*callState); ok {
		return state
	}
	return &callState{requestID: uuid.NewString()}
}

// withCall makes room for what the interceptors know of a call.
func withCall(ctx context.Context) (context.Context, *callState) {
	state := new(callState)
	return context.WithValue(ctx, callStateKey{}, state), state
}

// identify gives the call an id: the caller's when it is a GUID, else a new one. It goes back in the trailers, never
// in a header: a header before an error switches off retries in every gRPC runtime.
func (s *Server) identify(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	state := callFrom(ctx)
	if values := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(values) == 1 && graph.IsGUID(values[0]) {
		state.requestID = strings.ToLower(values[0])
	} else {
		state.requestID = uuid.NewString()
	}
	// It fails only outside a call.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(requestIDKey, state.requestID))
	return handler(ctx, request)
}
