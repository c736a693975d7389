package service

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// panicError is a panic that became an error. Its text is not the panic's value, which may hold anything.
type panicError struct {
	kind  string
	stack []byte
}

func (e *panicError) Error() string { return "panic: " + e.kind }

func newPanicError(value any) *panicError {
	return &panicError{kind: fmt.Sprintf("%T", value), stack: debug.Stack()}
}

// recoverInner makes an error of a panic in a handler.
func (s *Server) recoverInner(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	defer func() {
		if value := recover(); value != nil {
			response, err = nil, newPanicError(value)
		}
	}()
	return handler(ctx, request)
}

// recoverOuter makes a Status of a panic in the chain itself.
func (s *Server) recoverOuter(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	ctx, state := withCall(ctx)
	defer func() {
		if value := recover(); value != nil {
			cause := newPanicError(value)
			message, _ := request.(proto.Message)
			f := s.failureOf(info.FullMethod, message, state.requestID, cause)
			if pushback, ok := pushback(ctx, f); ok {
				state.push(ctx, pushback)
			}
			s.logger.LogAttrs(ctx, slog.LevelError, "panic in an interceptor",
				slog.String("panic", cause.kind), slog.String("stack", string(cause.stack)), slog.String("incident", f.metadata["incident"]))
			response, err = nil, statusError(f)
		}
	}()
	return handler(ctx, request)
}
