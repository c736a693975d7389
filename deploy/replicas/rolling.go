package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/trial"
	"github.com/m365backup/backupstorage/typederror"
)

const (
	// listed is how many policies the list has that is read while replicas change.
	listed = 23
	// runsFor is how long a replica runs before the next one is replaced.
	runsFor = 2 * time.Second
	// throttled is the reason of a call in a blocked tenant.
	throttled = "TOO_MANY_REQUESTS"
	// rollingKeys a second are begun meanwhile.
	rollingKeys = 10
)

// proveRolling replaces the replicas of version N-1 by those of N, one after the other, and these by N-1 again, while
// lists are read page by page, keys are sent and a tenant is blocked.
func proveRolling(ctx context.Context, folder string, o options) error {
	if o.old == "" {
		o.old = filepath.Join(folder, "old")
		if err := buildOld(o.old); err != nil {
			return err
		}
	}
	tokens := filepath.Join(folder, "page-token-keys")
	if err := os.WriteFile(tokens, []byte(pageTokenKey+"\n"), 0o600); err != nil {
		return err
	}
	f, err := startFleet(ctx, folder, o.old, "--page-token-key-file", tokens)
	if err != nil {
		return err
	}
	defer f.stop()
	const tenants = 20
	if err := errors.Join(f.seed(ctx, tenants+2), f.clockAsReal(ctx)); err != nil {
		return err
	}
	r := &roll{fleet: f, list: tenantID(tenants), blocked: tenantID(tenants + 1)}
	if err := r.prepare(ctx, o.seed); err != nil {
		return err
	}
	meanwhile, end := context.WithCancel(ctx)
	defer end()
	l := &load{fleet: f, tenants: tenants}
	var running sync.WaitGroup
	running.Go(func() { r.readLists(meanwhile) })
	running.Go(func() { r.askBlocked(meanwhile) })
	running.Go(func() { l.run(meanwhile, 1<<20, rollingKeys, rand.New(rand.NewPCG(o.seed, 0)), 0) })
	err = r.replaceAll(ctx, o.old, o.server)
	end()
	running.Wait()
	if err != nil {
		return err
	}
	ledger := trial.NewLedger()
	if err := ledger.Read(ctx, f.emulator); err != nil {
		return err
	}
	for _, id := range r.ids {
		// The policies of the list are nobody's keys.
		for call, made := range ledger.Created {
			if len(made) == 1 && made[0] == id {
				delete(ledger.Created, call)
			}
		}
	}
	v := judge(l.results, append(r.events, f.fresh), book{ledger.Created, ledger.Removed, ledger.Faults}, lease)
	v.faults = append(v.faults, r.faults...)
	arrived, err := f.arrivals(ctx, r.blocked)
	if err != nil {
		return err
	}
	if len(arrived) != 1 {
		v.faultf("%d requests of the blocked tenant arrived, want the one that was refused", len(arrived))
	}
	fmt.Printf("%d lists were read page by page at changing replicas; %d calls of the blocked tenant were refused without a request\n", r.lists, r.refused)
	if r.lists == 0 || r.refused == 0 || len(l.results) == 0 {
		v.faultf("a load did nothing")
	}
	return v.report()
}

// buildOld builds the same tree as another version: what a release changes in what replicas share, it says in the
// version byte of its records. -old takes a real program of the release before.
func buildOld(to string) error {
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.version=v0.0.0-before", "-o", to, "./cmd/server")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return errors.New(string(output))
	}
	return nil
}

// roll is what goes on while replicas are replaced.
type roll struct {
	fleet         *fleet
	list, blocked string // Tenants.

	mu             sync.Mutex
	ids            []string
	lists, refused int
	events         []event
	faults         []string
}

// prepare makes the policies of the list, loses answers, and has a tenant blocked for longer than the proof takes.
func (r *roll) prepare(ctx context.Context, seed uint64) error {
	for n := range listed {
		id, err := create(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", r.list), r.fleet.connections[0], exchangePolicy, fmt.Sprintf("Listed %d", n), nil)
		if err != nil {
			return err
		}
		r.ids = append(r.ids, id)
	}
	if err := r.fleet.faults(ctx, losses(seed, false)); err != nil {
		return err
	}
	err := r.fleet.emulator.Control(ctx, http.MethodPost, "faults", map[string]any{
		"operation": "GET /", "tenant": r.blocked, "status": http.StatusTooManyRequests, "retryAfter": []string{"300"}, "times": 1,
	}, nil)
	if err != nil {
		return err
	}
	if reason := r.ask(ctx, r.fleet.connections[0]); reason != throttled {
		return fmt.Errorf("the tenant is not blocked: %s", reason)
	}
	return nil
}

func (r *roll) ask(ctx context.Context, c grpc.ClientConnInterface) string {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", r.blocked), deadline)
	defer cancel()
	_, err := pb.NewBackupRestoreServiceClient(c).GetBackupRestore(ctx, &pb.GetBackupRestoreRequest{})
	return typederror.Of(err).Reason
}

func (r *roll) faultf(format string, values ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, values...))
}

// readLists reads the whole list, each page at another replica, again and again.
func (r *roll) readLists(ctx context.Context) {
	for n := 0; ctx.Err() == nil; r.lists++ {
		seen, token := map[string]bool{}, ""
		for {
			c, _ := r.fleet.use(n % replicas)
			n++
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.WithoutCancel(ctx), "x-tenant-id", r.list), deadline)
			page, err := pb.NewProtectionPolicyServiceClient(c).ListProtectionPolicies(ctx, &pb.ListProtectionPoliciesRequest{PageSize: 5, PageToken: token})
			cancel()
			if err != nil {
				r.faultf("page %d of a list: %v", n, err)
				return
			}
			for _, p := range page.GetProtectionPolicies() {
				seen[p.GetId()] = true
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
			pause(ctx, 20*time.Millisecond)
		}
		for _, id := range r.ids {
			if !seen[id] {
				r.faultf("a list of %d has no %s", len(seen), id)
			}
		}
	}
}

// askBlocked calls in the blocked tenant, at changing replicas.
func (r *roll) askBlocked(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		c, _ := r.fleet.use(n % replicas)
		if reason := r.ask(context.WithoutCancel(ctx), c); reason != throttled {
			r.faultf("a call of the blocked tenant got %q", reason)
		} else {
			r.refused++
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// replaceAll replaces all replicas by the new program, and then by the old one again.
func (r *roll) replaceAll(ctx context.Context, old, next string) error {
	for _, program := range []string{next, old} {
		for i, s := range r.fleet.servers {
			pause(ctx, runsFor)
			e := event{what: replaced, replica: i, begin: time.Now()}
			r.fleet.setAway(i, true)
			if err := s.Process().Signal(syscall.SIGTERM); err != nil {
				return err
			}
			if err := s.Process().WaitEnd(trial.StartLimit); err != nil {
				return fmt.Errorf("replica %d did not end cleanly: %w", i, err)
			}
			s.Program = program
			if err := s.Start(ctx); err != nil {
				return err
			}
			r.fleet.setAway(i, false)
			e.end = time.Now()
			r.events = append(r.events, e)
			fmt.Printf("replica %d is %s now\n", i, filepath.Base(program))
		}
	}
	pause(ctx, runsFor)
	return nil
}
