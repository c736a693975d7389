package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/m365backup/backupstorage/graph"
)

// logCall writes one line a call. Its fields are listed here and nowhere else: no tenant, no id of a resource, no
// address, no text of Graph's.
func (s *Server) logCall(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	start := time.Now()
	response, err := handler(ctx, request)
	state := callFrom(ctx)
	attributes := []slog.Attr{
		slog.String("method", info.FullMethod),
		slog.Duration("duration", time.Since(start)),
		slog.String("requestId", state.requestID),
	}
	f := state.failure
	if err == nil || f == nil {
		s.logger.LogAttrs(ctx, slog.LevelInfo, "call", append(attributes, slog.String("code", codes.OK.String()))...)
		return response, err
	}
	attributes = append(attributes, slog.String("code", f.code.String()), slog.String("reason", f.name))
	for _, key := range []string{"httpStatus", "graphRequestId", "cause", "throttledBy", "outcome", "incident"} {
		if value := f.metadata[key]; value != "" {
			attributes = append(attributes, slog.String(key, value))
		}
	}
	var answered *graph.Error
	if errors.As(state.cause, &answered) && s.core.translator.reasons.hasUnknownCode(answered) {
		// The code itself stands in the Status alone: whoever answers in Graph's place chooses it.
		attributes = append(attributes, slog.Bool("unknownCode", true))
	}
	level := slog.LevelInfo
	switch f.code {
	case codes.Internal, codes.Unknown:
		level = slog.LevelError
		var panicked *panicError
		if errors.As(state.cause, &panicked) {
			attributes = append(attributes, slog.String("panic", panicked.kind), slog.String("stack", string(panicked.stack)))
		}
	case codes.Unavailable:
		level = slog.LevelWarn
	}
	s.logger.LogAttrs(ctx, level, "call", attributes...)
	return response, err
}
