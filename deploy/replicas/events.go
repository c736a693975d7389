package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"time"
)

// what happens.
type what string

const (
	replicaKilled what = "SIGKILL of a replica"
	replicaFrozen what = "SIGSTOP of a replica"
	replaced      what = "rolling change of a replica"
	failover      what = "failover of Redis"
	masterKilled  what = "SIGKILL of the master of Redis"
	flushed       what = "FLUSHALL"
)

// ofRedis reports whether all replicas feel it.
func (w what) ofRedis() bool { return w != replicaKilled && w != replicaFrozen && w != replaced }

// losesRecords reports whether Redis can have forgotten something.
func (w what) losesRecords() bool { return w.ofRedis() }

// planned is an event before it happens.
type planned struct {
	what    what
	replica int
	after   time.Duration // From the end of the event before.
	lasts   time.Duration // How long a replica is dead or frozen.
}

// event is one thing that happened.
type event struct {
	what       what
	replica    int
	begin, end time.Time // end: all is well again.
}

// schedule plans events for ever. The same seed gives the same events, and each of the kinds comes once before one of
// them comes again.
func schedule(seed uint64, kinds []what, lease time.Duration) func() planned {
	random := rand.New(rand.NewPCG(seed, 1))
	var order []int
	return func() planned {
		if len(order) == 0 {
			order = random.Perm(len(kinds))
		}
		p := planned{what: kinds[order[0]], replica: random.IntN(replicas), after: between(random, 4000, 9000), lasts: between(random, 500, 2000)}
		order = order[1:]
		if p.what == replicaFrozen {
			p.lasts += lease
		}
		return p
	}
}

func between(random *rand.Rand, low, high int) time.Duration {
	return time.Duration(low+random.IntN(high-low)) * time.Millisecond
}

// happen carries out the plan until the context ends. Each event begins when all is well again after the one before.
func (f *fleet) happen(ctx context.Context, next func() planned, out io.Writer) ([]event, error) {
	var events []event
	for {
		p := next()
		if !pause(ctx, p.after) {
			return events, nil
		}
		// Once begun, an event goes on to its end.
		e, err := f.one(context.WithoutCancel(ctx), p)
		events = append(events, e)
		if err != nil {
			return events, fmt.Errorf("event %d, %s: %w", len(events), p.what, err)
		}
		of := ""
		if !p.what.ofRedis() {
			of = fmt.Sprintf(" %d", p.replica)
		}
		fmt.Fprintf(out, "%3d %s%s: all is well again after %v\n", len(events), p.what, of, e.end.Sub(e.begin).Round(time.Millisecond))
	}
}

func (f *fleet) one(ctx context.Context, p planned) (e event, err error) {
	e = event{what: p.what, replica: p.replica, begin: time.Now()}
	defer func() { e.end = time.Now() }()
	s := f.servers[p.replica]
	switch p.what {
	case replicaKilled:
		s.Kill()
		// Another machine would need seconds to start it.
		pause(ctx, p.lasts)
		return e, s.Start(ctx)
	case replicaFrozen:
		if err := s.Process().Signal(syscall.SIGSTOP); err != nil {
			return e, err
		}
		pause(ctx, p.lasts)
		if err := s.Process().Signal(syscall.SIGCONT); err != nil {
			return e, err
		}
		return e, s.WaitServing(ctx)
	case failover:
		err = f.redis.Failover(ctx)
	case masterKilled:
		err = f.redis.KillMaster(ctx)
	case flushed:
		err = f.redis.Flush(ctx)
	}
	if err != nil {
		return e, err
	}
	return e, f.redis.WaitWhole(ctx)
}
