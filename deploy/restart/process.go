package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/m365backup/backupstorage/internal/trial"
)

// startLimit is how long a process may take until it serves, on a machine that has much else to do.
const startLimit = 30 * time.Second

// replica is one server, which keeps its address when it starts anew.
type replica struct {
	server, address, log string
	flags                []string
	// admin and probes are those of a pod. Without them health is asked for over gRPC.
	admin     string
	probes    map[string]probe
	stopsLife context.CancelFunc

	mu      sync.Mutex
	process *trial.Process
}

// start starts the server and waits until its health says SERVING.
func (r *replica) start(ctx context.Context) error {
	p, err := trial.Launch(ctx, r.log, r.server, r.flags...)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	return r.waitServing(ctx)
}

func (r *replica) waitServing(ctx context.Context) error {
	if r.probes != nil {
		if !r.probes[startup].untilSucceeds(ctx, r.admin) {
			return fmt.Errorf("%s did not start in the time of its startup probe: see %s", r.address, r.log)
		}
		if !r.probes[readiness].untilSucceeds(ctx, r.admin) {
			return fmt.Errorf("%s is not ready: see %s", r.address, r.log)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if serving(ctx, r.address) {
			return nil
		}
		select {
		case <-r.process.Ended:
			return fmt.Errorf("%s ended at its start (%w): see %s", r.address, r.process.Err, r.log)
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", r.address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serving asks a server for its health over a connection of its own.
func serving(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close() }()
	answer, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
	return err == nil && answer.GetStatus() == healthpb.HealthCheckResponse_SERVING
}
