package main

import (
	"context"
	"fmt"

	"github.com/m365backup/backupstorage/internal/trial"
)

// replica is one server.
type replica struct {
	trial.Server

	// admin and probes are those of a pod. Without them health is asked for over gRPC.
	admin     string
	probes    map[string]probe
	stopsLife context.CancelFunc
}

// start starts the server and waits until it serves.
func (r *replica) start(ctx context.Context) error {
	if err := r.Launch(ctx); err != nil {
		return err
	}
	if r.probes == nil {
		return r.WaitServing(ctx)
	}
	if !r.probes[startup].untilSucceeds(ctx, r.admin) {
		return fmt.Errorf("%s did not start in the time of its startup probe: %s", r.Address, r.Process().LastWords())
	}
	if !r.probes[readiness].untilSucceeds(ctx, r.admin) {
		return fmt.Errorf("%s is not ready: %s", r.Address, r.Process().LastWords())
	}
	return nil
}
