package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"time"
)

// planned is an event before it happens.
type planned struct {
	what    what
	replica int
	after   time.Duration // From the moment when all replicas serve.
	lasts   time.Duration // How long it is frozen, or dead after SIGKILL.
}

// schedule plans events. The same seed gives the same events; each three of them have each signal once.
func schedule(seed uint64, count int) []planned {
	random := rand.New(rand.NewPCG(seed, seed))
	var plan []planned
	for len(plan) < count {
		for _, w := range random.Perm(3) {
			plan = append(plan, planned{
				what: []what{terminated, killed, stopped}[w], replica: random.IntN(replicas),
				after: between(random, 300, 1000), lasts: between(random, 1000, 4000),
			})
		}
	}
	return plan[:count]
}

func between(random *rand.Rand, low, high int) time.Duration {
	return time.Duration(low+random.IntN(high-low)) * time.Millisecond
}

// pause lets real time pass, for other processes.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// stopLimit is how long a server may take to end after SIGTERM, above --drain-wait and --drain-timeout.
const stopLimit = 5 * time.Second

// happen carries out the plan. takesCalls waits until clients use a replica (again).
func (f *fleet) happen(ctx context.Context, plan []planned, drain time.Duration, takesCalls func(context.Context, int) error, out io.Writer) ([]event, error) {
	var events []event
	for i, p := range plan {
		pause(ctx, p.after)
		e, err := f.one(ctx, p, drain)
		if err == nil {
			err = takesCalls(ctx, p.replica)
		}
		e.end = time.Now()
		events = append(events, e)
		if err != nil {
			return events, fmt.Errorf("event %d, %s of replica %d: %w", i+1, p.what, p.replica, err)
		}
		fmt.Fprintf(out, "%3d %s of replica %d: gone or frozen for %v, takes calls after %v\n", i+1, p.what, p.replica,
			e.gone.Sub(e.begin).Round(time.Millisecond), e.end.Sub(e.begin).Round(time.Millisecond))
	}
	return events, nil
}

func (f *fleet) one(ctx context.Context, p planned, drain time.Duration) (event, error) {
	r := f.replicas[p.replica]
	e := event{what: p.what, replica: p.replica, begin: time.Now()}
	switch p.what {
	case terminated:
		if err := r.Process().Signal(syscall.SIGTERM); err != nil {
			return e, err
		}
		if err := r.Process().WaitEnd(drain + stopLimit); err != nil {
			return e, fmt.Errorf("it did not end cleanly: %w", err)
		}
	case killed:
		r.Kill()
		e.gone = time.Now()
		// Another machine would need seconds to start it.
		pause(ctx, p.lasts)
		return e, r.start(ctx)
	case stopped:
		if err := r.Process().Signal(syscall.SIGSTOP); err != nil {
			return e, err
		}
		pause(ctx, p.lasts)
		e.gone = time.Now()
		return e, r.Process().Signal(syscall.SIGCONT)
	}
	e.gone = time.Now()
	return e, r.start(ctx)
}
