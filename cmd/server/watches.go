package main

import (
	"context"
	"strings"

	"google.golang.org/grpc"
)

// watches ends the streams that never end by themselves: the watches of the health service. Without it, each of them
// would hold up a stopping server until the drain timeout.
type watches struct {
	stopping context.Context
	end      context.CancelFunc
}

func newWatches() *watches {
	w := new(watches)
	w.stopping, w.end = context.WithCancel(context.Background())
	return w
}

// intercept ends the context of a stream when the server stops. Those of the contract end by themselves, with a typed
// error.
func (w *watches) intercept(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if strings.HasPrefix(info.FullMethod, contractPrefix) {
		return handler(srv, stream)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(w.stopping, cancel)()
	return handler(srv, watchedStream{stream, ctx})
}

// contractPrefix begins gRPC's name of each method of the contract.
const contractPrefix = "/m365.backupstorage.v1."

type watchedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s watchedStream) Context() context.Context { return s.ctx }
