package service

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pushbackKey is the one thing about retries that gRPC runtimes obey.
const pushbackKey = "grpc-retry-pushback-ms"

// retryTime is what must be left of the deadline after the delay: what the server asks of a call, and as much for the way
// to it. A runtime that retries with less has no typed error any more, only its own DEADLINE_EXCEEDED.
const retryTime = 2 * leastTime

// translate makes a typed Status of every error of a call, and tells the caller's runtime whether it may retry.
func (s *Server) translate(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, request)
	if err == nil {
		return response, nil
	}
	state := callFrom(ctx)
	message, _ := request.(proto.Message)
	f := s.failureOf(info.FullMethod, message, state.requestID, err)
	state.failure, state.cause = f, err
	if pushback, ok := pushback(ctx, f); ok {
		state.push(ctx, pushback)
	}
	return nil, statusError(f)
}

func (s *Server) failureOf(fullMethod string, request proto.Message, requestID string, err error) *failure {
	op := s.core.operations.byMethod[fullMethod]
	var message protoreflect.Message
	if op != nil && request != nil {
		message = request.ProtoReflect()
	}
	return s.core.translator.call(op, message, requestID, err)
}

func statusError(f *failure) error { return status.ErrorProto(f.status()) }

// push sets the trailer for retries, which a runtime obeys only when it stands there once.
func (state *callState) push(ctx context.Context, value string) {
	if !state.pushed {
		state.pushed = true
		// It fails only outside a call.
		_ = grpc.SetTrailer(ctx, metadata.Pairs(pushbackKey, value))
	}
}

// pushback says what the trailer for retries is; ok is false where there must be none. On codes that no runtime
// retries the trailer would count as a failure against the caller's retry budget.
func pushback(ctx context.Context, f *failure) (value string, ok bool) {
	switch f.code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Unknown, codes.Internal:
	default:
		return "", false
	}
	left := defaultTime
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	harmless := f.nothingDone || f.op != nil && f.op.idempotent
	if !harmless || f.retryDelay == 0 || f.retryDelay+retryTime > left {
		return "-1", true
	}
	return strconv.FormatInt(f.retryDelay.Milliseconds(), 10), true
}
