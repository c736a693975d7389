package main

import (
	"context"
	"fmt"
	"os"
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
		cold, warm, each, err := s.slowReads(c.calls, c.tenants, c.maxCalls)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.what, err)
		}
		limit := 1.3
		if c.tenants == 1 {
			limit = 2.6
		}
		goals = append(goals,
			goal{c.what + ", again", warm.Seconds(), limit, " s", 0},
			goal{c.what + ", after a start", cold.Seconds(), limit, " s", 0},
			goal{c.what + ", memory of each", each / 1000, 40, " kB", 0})
	}
	if err := s.rawSlowReads(5_000); err != nil {
		return nil, err
	}
	growth, err := s.burst(ctx, o.rest)
	return append(goals, goal{fmt.Sprintf("memory %v after 64 pages in flight, more than before", o.rest), 100 * growth, 20, " %", 0}), err
}

// streams is how many calls a server takes over one connection.
const streams = 250

// slowReads starts a server that takes so many calls, makes all of them at once, twice, and returns how long the last
// one took and the memory of each. The first time there is no connection to the upstream.
func (s *stage) slowReads(calls, of, maxCalls int) (cold, warm time.Duration, each float64, err error) {
	t, stop, err := s.another("--max-calls", fmt.Sprint(maxCalls))
	if err != nil {
		return 0, 0, 0, err
	}
	defer stop()
	// A call beyond those that the connections carry would wait in its client.
	for len(t.connections)*streams < calls {
		if err := s.connect(t); err != nil {
			return 0, 0, 0, err
		}
	}
	in, err := proto.Marshal(&pb.GetProtectionPolicyRequest{ProtectionPolicyId: slowID})
	if err != nil {
		return 0, 0, 0, err
	}
	for _, took := range []*time.Duration{&cold, &warm} {
		spent, err := onCPU(t.process.PID())
		if err != nil {
			return 0, 0, 0, err
		}
		begin := time.Now()
		err = trial.InFlight(calls, calls, func(n int) error {
			return t.call(n, tenant(n%of), pb.ProtectionPolicyService_GetProtectionPolicy_FullMethodName, in, nil)
		})
		*took = time.Since(begin)
		if err != nil {
			return 0, 0, 0, err
		}
		until, err := onCPU(t.process.PID())
		if err != nil {
			return 0, 0, 0, err
		}
		fmt.Fprintf(os.Stderr, "%d reads at once took %v, and the server %v of processor time\n", calls, *took, until-spent)
	}
	most, err := trial.Memory(t.process.PID(), "VmHWM")
	return cold, warm, float64(most-t.idle) / float64(calls), err
}

// rawSlowReads says what as many reads cost a bare net/http: a server cannot cost less.
func (s *stage) rawSlowReads(calls int) error {
	pid := s.raw.command.Process.Pid
	before, err := trial.Memory(pid, "VmRSS")
	if err != nil {
		return err
	}
	for range 2 {
		begin := time.Now()
		spent, err := s.raw.order(trial.Order{Path: policyPath + slowID, InFlight: calls, Count: calls})
		if err != nil {
			return err
		}
		most, err := trial.Memory(pid, "VmHWM")
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%d reads at once took net/http alone %v, %v of processor time and %.1f kB each\n",
			calls, time.Since(begin), spent, float64(most-before)/float64(calls)/1000)
	}
	return nil
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
