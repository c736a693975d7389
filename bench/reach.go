package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/trial"
)

// reach measures reads in flight at a slow upstream, and memory after a burst of pages.
func (s *stage) reach(ctx context.Context, o options) ([]goal, error) {
	var goals []goal
	for _, c := range []struct {
		what                     string
		calls, tenants, maxCalls int
	}{
		{"5,000 reads in flight, upstream of 1 s", 5_000, tenants, 6_000},
		{"10,000 of them, of one tenant", 10_000, 1, 20_000},
	} {
		r, err := s.slowReads(c.calls, c.tenants, c.maxCalls)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.what, err)
		}
		limit := 1.3
		if c.tenants == 1 {
			limit = 2.6
		}
		goals = append(goals,
			goal{c.what + ", again", r.again.Seconds(), limit, " s", 0},
			goal{c.what + ", after a start", r.cold.Seconds(), limit, " s", 0},
			goal{c.what + ", memory of each", r.each / 1000, 40, " kB", 0})
		if c.tenants > 1 {
			s.slow = append(s.slow, r)
		}
	}
	for _, alone := range []func(int) (slowReads, error){s.rawSlowReads, s.bareSlowReads} {
		r, err := alone(5_000)
		if err != nil {
			return nil, err
		}
		s.slow = append(s.slow, r)
	}
	growth, err := s.burst(ctx, o.rest)
	return append(goals, goal{fmt.Sprintf("memory %v after 64 pages in flight, more than before", o.rest), 100 * growth, 20, " %", 0}), err
}

// streams is how many calls a server takes over one connection.
const streams = 250

// slowReads is what reads at a slow upstream took, all at once.
type slowReads struct {
	name string
	// cold is how long all took when there was no connection to the upstream yet, again the second time, and spent the
	// processor time of that, all of it.
	cold, again, spent time.Duration
	// each is the memory of one in bytes.
	each float64
}

// slowTable writes what reads at a slow upstream took.
func (s *stage) slowTable() string {
	var b strings.Builder
	b.WriteString("| 5,000 calls at once, each of 1 s | after a start | again | processor time of each, again | memory of each |\n|---|---|---|---|---|\n")
	for _, r := range s.slow {
		fmt.Fprintf(&b, "| %s | %.2f s | %.2f s | %.3f ms | %.1f kB |\n", r.name, r.cold.Seconds(), r.again.Seconds(), r.spent.Seconds()*1000/5000, r.each/1000)
	}
	return b.String() + "\n"
}

// slowReads starts a server that takes so many calls, and makes all of them at once, twice.
func (s *stage) slowReads(calls, of, maxCalls int) (slowReads, error) {
	t, stop, err := s.another("--max-calls", fmt.Sprint(maxCalls))
	if err != nil {
		return slowReads{}, err
	}
	defer stop()
	return s.slowCalls("server, everything on", t, calls, of)
}

// bareSlowReads says what as many calls cost grpc-go alone.
func (s *stage) bareSlowReads(calls int) (slowReads, error) {
	return s.slowCalls("bare: grpc-go that waits, TLS", s.bareTLS, calls, tenants)
}

// slowCalls makes calls of a second at once, twice.
func (s *stage) slowCalls(name string, t *target, calls, of int) (slowReads, error) {
	r := slowReads{name: name}
	// A call beyond those that the connections carry would wait in its client.
	for len(t.connections)*streams < calls {
		if err := s.connect(t); err != nil {
			return r, err
		}
	}
	in, err := proto.Marshal(&pb.GetProtectionPolicyRequest{ProtectionPolicyId: slowID})
	if err != nil {
		return r, err
	}
	idle, err := trial.Memory(t.process.PID(), "VmRSS")
	if err != nil {
		return r, err
	}
	for _, took := range []*time.Duration{&r.cold, &r.again} {
		before, err := onCPU(t.process.PID())
		if err != nil {
			return r, err
		}
		begin := time.Now()
		err = trial.InFlight(calls, calls, func(n int) error {
			return t.call(n, tenant(n%of), pb.ProtectionPolicyService_GetProtectionPolicy_FullMethodName, in, nil)
		})
		*took = time.Since(begin)
		if err != nil {
			return r, err
		}
		after, err := onCPU(t.process.PID())
		if err != nil {
			return r, err
		}
		r.spent = after - before
	}
	most, err := trial.Memory(t.process.PID(), "VmHWM")
	r.each = float64(most-idle) / float64(calls)
	return r, err
}

// rawSlowReads says what as many reads cost net/http alone.
func (s *stage) rawSlowReads(calls int) (slowReads, error) {
	r := slowReads{name: "raw: `net/http`, body thrown away"}
	pid := s.raw.command.Process.Pid
	idle, err := trial.Memory(pid, "VmRSS")
	if err != nil {
		return r, err
	}
	for _, took := range []*time.Duration{&r.cold, &r.again} {
		begin := time.Now()
		if r.spent, err = s.raw.order(trial.Order{Path: policyPath + slowID, InFlight: calls, Count: calls}); err != nil {
			return r, err
		}
		*took = time.Since(begin)
	}
	most, err := trial.Memory(pid, "VmHWM")
	r.each = float64(most-idle) / float64(calls)
	return r, err
}

// another starts a server of its own, like the first one. It is not in the tables.
func (s *stage) another(flags ...string) (*target, func(), error) {
	kept := s.targets
	defer func() { s.targets = kept }()
	everything := append(s.everything(), flags...)
	if err := s.startServer("another", true, everything...); err != nil {
		return nil, nil, err
	}
	t := s.targets[len(s.targets)-1]
	return t, func() {
		for _, c := range t.connections {
			_ = c.Close()
		}
		t.process.Kill()
	}, nil
}

// burst returns how much more memory a server has some time after 64 pages in flight than before, as a part of it.
func (s *stage) burst(ctx context.Context, rest time.Duration) (float64, error) {
	t, stop, err := s.another()
	if err != nil {
		return 0, err
	}
	defer stop()
	// Before: a server that works, with connections and small calls.
	if _, err := t.measure(work{smallCall, 16}, 5000); err != nil {
		return 0, err
	}
	before, err := trial.Memory(t.process.PID(), "VmRSS")
	if err != nil {
		return 0, err
	}
	if _, err := t.measure(work{pageCall, 64}, 1024); err != nil {
		return 0, err
	}
	peak, err := trial.Memory(t.process.PID(), "VmRSS")
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := trial.Memory(t.process.PID(), "VmRSS")
	fmt.Fprintf(os.Stderr, "resident before a burst of pages %.0f MB, right after it %.0f MB, %v later %.0f MB\n", mega(before), mega(peak), rest, mega(after))
	return float64(after)/float64(before) - 1, err
}
