package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// upstreamTrailer names the emulator in the trailer of each call that it answers. A client in production can refuse it.
const upstreamTrailer = "x-upstream"

// markUnary and markStream set the trailer of every call, also of those that are refused, and of health and reflection.
func markUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := grpc.SetTrailer(ctx, metadata.Pairs(upstreamTrailer, onEmulator)); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

func markStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	stream.SetTrailer(metadata.Pairs(upstreamTrailer, onEmulator))
	return handler(server, stream)
}
