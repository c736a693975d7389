package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/typederror"
)

const (
	// calm is how long the load goes on before and after Redis is stopped.
	calm = 5 * time.Second
	// closing is how long the breakers of the servers may take until they leave Redis alone.
	closing = 2 * time.Second
	// mostWithoutKey is what a call without a key may pay for Redis while the breaker closes.
	mostWithoutKey = 20 * time.Millisecond
	// mostAfter is what it may pay later: nothing, as far as that can be measured.
	mostAfter = 2 * time.Millisecond
	// mostWithKey is how soon a call with a key is refused.
	mostWithKey = 50 * time.Millisecond
	// backWithin is how soon calls with a key are good again when Redis is back.
	backWithin = 10 * time.Second
)

// kind is what calls of the outage's load have in common.
type kind int

const (
	plain kind = iota // A read without a key.
	paced             // The same in a tenant that Graph has throttled a short time ago, whose pace the replicas share.
	keyed             // A create with a key.
	kinds
)

func (k kind) String() string {
	return [...]string{"without a key", "without a key, paced", "with a key"}[k]
}

// sample is one call of the outage's load.
type sample struct {
	kind   kind
	begin  time.Time
	took   time.Duration
	reason string // Empty for a good answer.
}

// proveOutage stops Redis in two ways, and looks what calls pay.
func proveOutage(ctx context.Context, folder string, o options) error {
	f, err := startFleet(ctx, folder, o.server)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := f.seed(ctx, 2); err != nil {
		return err
	}
	return errors.Join(
		f.outage(ctx, "hangs", o.length, func() (func() error, error) { return f.redis.Hang() }),
		f.outage(ctx, "refuses", o.length, func() (func() error, error) { return f.redis.Down(ctx) }))
}

// outage makes calls while Redis is well, stopped, and well again.
func (f *fleet) outage(ctx context.Context, how string, length time.Duration, stop func() (func() error, error)) error {
	// One answer of Graph makes the tenant a paced one.
	err := f.faults(ctx, fmt.Sprintf(`[{"operation":"GET /","tenant":%q,"status":429,"retryAfter":["1"],"times":1}]`, tenantID(1)))
	if err != nil {
		return err
	}
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	l := &outageLoad{fleet: f}
	l.one(ctx, paced, 0)
	// The block ends, and the pace has begun.
	pause(ctx, 2*time.Second)
	l.samples = nil
	var loaded sync.WaitGroup
	loaded.Go(func() { l.run(loading) })
	pause(ctx, calm)
	stopped := time.Now()
	goOn, err := stop()
	if err == nil {
		pause(ctx, length)
		err = goOn()
	}
	back := time.Now()
	if err == nil {
		err = f.redis.WaitWhole(ctx)
	}
	pause(ctx, backWithin+calm)
	stopLoad()
	loaded.Wait()
	if err != nil {
		return err
	}
	fmt.Printf("Redis %s for %v\n", how, back.Sub(stopped).Round(time.Second))
	return judgeOutage(l.samples, stopped, back, func(line string) { fmt.Println(line) })
}

// outageLoad makes calls of all kinds.
type outageLoad struct {
	fleet *fleet

	mu      sync.Mutex
	samples []sample
}

// run makes 30 plain calls, 10 with a key and 5 in the paced tenant a second, until the context ends.
func (l *outageLoad) run(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	ticker := time.NewTicker(time.Second / 30)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		calls.Go(func() { l.one(ctx, plain, n) })
		if n%3 == 0 {
			calls.Go(func() { l.one(ctx, keyed, n/3) })
		}
		if n%6 == 0 {
			calls.Go(func() { l.one(ctx, paced, n/6) })
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (l *outageLoad) one(ctx context.Context, k kind, n int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	tenant := tenantID(0)
	if k == paced {
		tenant = tenantID(1)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
	s := sample{kind: k, begin: time.Now()}
	c := l.fleet.connections[n%replicas]
	var err error
	if k == keyed {
		key := newGUID()
		_, err = create(ctx, c, sitePolicy, "Outage "+key, &key)
	} else {
		_, err = pb.NewBackupRestoreServiceClient(c).GetBackupRestore(ctx, &pb.GetBackupRestoreRequest{})
	}
	s.took = time.Since(s.begin)
	if err != nil {
		s.reason = typederror.Of(err).Reason
		if s.reason == "" {
			s.reason = err.Error()
		}
	}
	l.mu.Lock()
	l.samples = append(l.samples, s)
	l.mu.Unlock()
}

// judgeOutage compares what calls took before, while and after Redis was stopped. Most calls count, nine of ten, since
// a busy machine delays single ones.
func judgeOutage(samples []sample, stopped, back time.Time, say func(string)) error {
	var faults []error
	faultf := func(format string, values ...any) { faults = append(faults, fmt.Errorf(format, values...)) }
	for k := range kinds {
		phase := func(from, to time.Time) (took []time.Duration, reasons map[string]int) {
			reasons = map[string]int{}
			for _, s := range samples {
				if s.kind == k && !s.begin.Before(from) && s.begin.Before(to) {
					took = append(took, s.took)
					reasons[s.reason]++
				}
			}
			slices.Sort(took)
			return took, reasons
		}
		for i, p := range []struct {
			name     string
			from, to time.Time
			most     time.Duration // Above what calls took before.
		}{
			{"before", time.Time{}, stopped, time.Hour},
			{"while the breaker closes", stopped, stopped.Add(closing), mostWithoutKey},
			{"while Redis is stopped", stopped.Add(closing), back, mostAfter},
			{"when it is back", back.Add(backWithin), back.Add(time.Hour), time.Hour},
		} {
			took, reasons := phase(p.from, p.to)
			if len(took) == 0 {
				faultf("no calls %s, %s", k, p.name)
				continue
			}
			before, _ := phase(time.Time{}, stopped)
			say(fmt.Sprintf("calls %s, %s: %d, half within %v, nine of ten within %v, all within %v; %v", k, p.name, len(took),
				round(part(took, 0.5)), round(part(took, 0.9)), round(part(took, 1)), counted(reasons)))
			within, want := part(took, 0.9), ""
			switch {
			case k == keyed && (i == 1 || i == 2):
				want = "IDEMPOTENCY_STORE_UNAVAILABLE"
				if within > mostWithKey {
					faultf("calls %s, %s, are refused within %v, want %v", k, p.name, within, mostWithKey)
				}
			case k != keyed && i == 1 && within > part(before, 0.9)+p.most:
				faultf("calls %s, %s, take %v, and %v before", k, p.name, within, part(before, 0.9))
			case k != keyed && i == 2 && part(took, 0.5) > part(before, 0.5)+p.most:
				faultf("half of the calls %s, %s, take %v, and %v before", k, p.name, part(took, 0.5), part(before, 0.5))
			}
			delete(reasons, want)
			// A command that is slower than it may be, on a busy machine, refuses a single call.
			if slow := "IDEMPOTENCY_STORE_UNAVAILABLE"; k == keyed && 20*reasons[slow] <= len(took) {
				delete(reasons, slow)
			}
			if i == 1 {
				// The first ones can still get an answer that was on its way.
				delete(reasons, "")
			}
			if len(reasons) > 0 {
				faultf("calls %s, %s, got %v", k, p.name, counted(reasons))
			}
		}
	}
	return errors.Join(faults...)
}

// part is what a part of the calls took at most. took is sorted.
func part(took []time.Duration, share float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[min(len(took)-1, int(share*float64(len(took))))]
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func counted(reasons map[string]int) map[string]int {
	named := map[string]int{}
	for reason, n := range reasons {
		if reason == "" {
			reason = "OK"
		}
		named[reason] = n
	}
	return named
}

// clockAsReal has the emulator's clock go as fast as the real one, so that the ledger tells when requests came.
func (f *fleet) clockAsReal(ctx context.Context) error {
	return f.emulator.Control(ctx, http.MethodPost, "clock", map[string]any{"speed": 1}, nil)
}
