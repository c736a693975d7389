package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/m365backup/backupstorage/internal/trial"
)

// numbers are those of the manifests, as `go run -C deploy/kubernetes . -numbers OVERLAY` prints them.
type numbers struct {
	DrainWait    time.Duration `json:"drainWait"`
	DrainTimeout time.Duration `json:"drainTimeout"`
	Grace        time.Duration `json:"grace"`
	// Probes are those of the manifest, by name.
	Probes map[string]probe `json:"probes"`
	// Arguments are those of the container.
	Arguments []string `json:"arguments"`
}

// The names of the probes.
const (
	startup   = "startup"
	readiness = "readiness"
	liveness  = "liveness"
)

// longCall is under way when the replica is told to stop, and outlasts the drain wait of the manifests and a grace
// period that is too short.
const longCall = 14 * time.Second

func readNumbers(file string) (n numbers, err error) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err == nil && n.Grace <= 0 {
		err = fmt.Errorf("%s has no grace period", file)
	}
	for _, name := range []string{startup, readiness, liveness} {
		if p := n.Probes[name]; err == nil && (p.Fails < 1 || p.Period <= 0 || p.Timeout <= 0 || p.Path == "") {
			err = fmt.Errorf("%s has no %s probe", file, name)
		}
	}
	return n, err
}

// playKubelet stops one replica after the other as a kubelet does, while clients that know nothing of replicas call
// through the address of the service: each call over a connection of its own, which is the hardest case, since no
// runtime repeats a call whose connection was refused.
func (f *fleet) playKubelet(ctx context.Context, l *load, p *pods, count, rate int) error {
	var addresses []string
	for _, r := range f.replicas {
		addresses = append(addresses, r.Address)
	}
	c, err := serveCluster(ctx, addresses)
	if err != nil {
		return err
	}
	defer func() { _ = c.listener.Close() }()
	l.connection = func() (grpc.ClientConnInterface, func(), error) {
		connection, err := grpc.NewClient("passthrough:///"+c.listener.Addr().String(), p.caller.options()...)
		return connection, func() { _ = connection.Close() }, err
	}
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	loaded := make(chan struct{})
	go func() {
		l.run(loading, rate)
		close(loaded)
	}()
	alive := f.watchLife(ctx)
	var problem error
	for i := range count {
		// The calls that last long are under way.
		pause(ctx, 2*time.Second)
		problem = errors.Join(problem, f.stopAsKubelet(ctx, c, f.replicas[i%replicas], p.numbers))
	}
	problem = errors.Join(problem, alive())
	stopLoad()
	<-loaded
	book := trial.NewLedger()
	if err := book.Read(ctx, f.emulator); err != nil {
		return err
	}
	// SIGKILL, if there was one, is no excuse: it was the manifest's fault.
	return errors.Join(problem, report(judge(l.seen(), nil, book.Created)))
}

// watchLife asks all replicas by the liveness probe until they are told to stop. The function that it returns ends
// that, and returns an error when a kubelet would have killed one.
func (f *fleet) watchLife(ctx context.Context) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	problems := make(chan error, len(f.replicas))
	for _, r := range f.replicas {
		life, stop := context.WithCancel(ctx)
		r.stopsLife = stop
		watching.Go(func() {
			if r.probes[liveness].untilFails(life, r.admin) {
				problems <- fmt.Errorf("%s would have been killed: its liveness probe failed", r.Address)
			}
		})
	}
	return func() (problem error) {
		cancel()
		watching.Wait()
		close(problems)
		for err := range problems {
			problem = errors.Join(problem, err)
		}
		return problem
	}
}

// stopAsKubelet sends SIGTERM, SIGKILL when the grace period is over, and starts a new replica.
func (f *fleet) stopAsKubelet(ctx context.Context, c *cluster, r *replica, n numbers) (problem error) {
	probing, stopProbes := context.WithCancel(ctx)
	defer stopProbes()
	removed := make(chan struct{})
	go func() {
		c.probe(probing, r)
		close(removed)
	}()
	begin := time.Now()
	// A kubelet does not ask whether a pod lives that it has told to stop.
	r.stopsLife()
	if err := r.Process().Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := r.Process().WaitEnd(n.Grace); err != nil {
		problem = fmt.Errorf("%s had not ended cleanly when its grace period of %v was over: %w", r.Address, n.Grace, err)
		r.Kill()
	}
	fmt.Printf("a replica was told to stop and ended after %v of %v\n", time.Since(begin).Round(time.Millisecond), n.Grace)
	// It stays in the list until everybody knows.
	<-removed
	if err := r.start(ctx); err != nil {
		return errors.Join(problem, err)
	}
	c.mu.Lock()
	c.ready = append(c.ready, r.Address)
	c.mu.Unlock()
	return problem
}
