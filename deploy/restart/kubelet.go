package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/m365backup/backupstorage/internal/trial"
)

// numbers are those of the manifests, as `go run -C deploy/kubernetes . -numbers OVERLAY` prints them.
type numbers struct {
	DrainWait    time.Duration `json:"drainWait"`
	DrainTimeout time.Duration `json:"drainTimeout"`
	Grace        time.Duration `json:"grace"`
	ProbePeriod  time.Duration `json:"probePeriod"`
	ProbeTimeout time.Duration `json:"probeTimeout"`
	ProbeFails   int           `json:"probeFails"`
}

// longCall is under way when the replica is told to stop, and outlasts the drain wait of the manifests and a grace
// period that is too short.
const longCall = 14 * time.Second

func readNumbers(file string) (n numbers, err error) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err == nil && (n.Grace <= 0 || n.ProbeFails < 1 || n.ProbePeriod <= 0) {
		err = fmt.Errorf("%s has no grace period or no probe", file)
	}
	return n, err
}

// playKubelet stops one replica after the other as a kubelet does, while clients that know nothing of replicas call
// through the address of the service: each call over a connection of its own, which is the hardest case, since no
// runtime repeats a call whose connection was refused.
func (f *fleet) playKubelet(ctx context.Context, l *load, n numbers, count, rate int) error {
	var addresses []string
	for _, r := range f.replicas {
		addresses = append(addresses, r.address)
	}
	c, err := serveCluster(ctx, addresses)
	if err != nil {
		return err
	}
	defer func() { _ = c.listener.Close() }()
	l.connection = func() (grpc.ClientConnInterface, func(), error) {
		connection, err := grpc.NewClient("passthrough:///"+c.listener.Addr().String(), grpc.WithDisableRetry(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		return connection, func() { _ = connection.Close() }, err
	}
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	loaded := make(chan struct{})
	go func() {
		l.run(loading, rate)
		close(loaded)
	}()
	var problem error
	for i := range count {
		// The calls that last long are under way.
		pause(ctx, 2*time.Second)
		problem = errors.Join(problem, f.stopAsKubelet(ctx, c, f.replicas[i%replicas], n))
	}
	stopLoad()
	<-loaded
	book := trial.NewLedger()
	if err := book.Read(ctx, f.emulator); err != nil {
		return err
	}
	// SIGKILL, if there was one, is no excuse: it was the manifest's fault.
	return errors.Join(problem, report(judge(l.seen(), nil, book.Created)))
}

// stopAsKubelet sends SIGTERM, SIGKILL when the grace period is over, and starts a new replica.
func (f *fleet) stopAsKubelet(ctx context.Context, c *cluster, r *replica, n numbers) (problem error) {
	probing, stopProbes := context.WithCancel(ctx)
	defer stopProbes()
	removed := make(chan struct{})
	go func() {
		c.probe(probing, r.address, n)
		close(removed)
	}()
	begin := time.Now()
	if err := r.process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := r.process.WaitEnd(n.Grace); err != nil {
		problem = fmt.Errorf("%s had not ended cleanly when its grace period of %v was over: %w", r.address, n.Grace, err)
		r.process.Kill()
	}
	fmt.Printf("a replica was told to stop and ended after %v of %v\n", time.Since(begin).Round(time.Millisecond), n.Grace)
	// It stays in the list until everybody knows.
	<-removed
	if err := r.start(ctx); err != nil {
		return errors.Join(problem, err)
	}
	c.mu.Lock()
	c.ready = append(c.ready, r.address)
	c.mu.Unlock()
	return problem
}
