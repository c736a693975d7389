package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const (
	// limit is how many requests a second the emulator lets pass.
	limit = 10
	// demand is how many calls a second there are.
	demand = 300
	// holds is how long the emulator takes for an answer, so that a second probe would come before the first has its own.
	holds = 100 * time.Millisecond
	// mostOver is how many times the limit arrive at most.
	mostOver = 1.1
	// least is what is reached at least, in percent of the limit, and points is by how much three replicas and one differ
	// at most, in runs of a minute and more.
	least, points = 85, 5
	// leastOfShort and pointsOfShort are the same for shorter runs, in which the pace is still learned.
	leastOfShort, pointsOfShort = 50, 20
)

// proveThrottle makes far more calls than a limit of Graph lets pass, at one replica and at three.
func proveThrottle(ctx context.Context, folder string, o options) error {
	f, err := startFleet(ctx, folder, o.server)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := errors.Join(f.seed(ctx, 2), f.clockAsReal(ctx)); err != nil {
		return err
	}
	err = f.faults(ctx, fmt.Sprintf(`[{"operation":"GET /","throttle":{"requests":%d,"window":"1s","retryAfter":"1s"}},
		{"operation":"GET /","delay":%q}]`, limit, holds))
	if err != nil {
		return err
	}
	var reached [2]float64
	for i, count := range []int{1, replicas} {
		demanded(ctx, f.connections[:count], tenantID(i), o.length)
		arrived, err := f.arrivals(ctx, tenantID(i))
		if err != nil {
			return err
		}
		w := weigh(arrived, o.length)
		reached[i] = w.reached
		fmt.Printf("%d of %d replicas: %s\n", count, replicas, w)
		err = nil
		if w.most > mostOver {
			err = fmt.Errorf("%.2f times the limit arrived within %v, want at most %.1f", w.most, w.window, mostOver)
		}
		if w.probes > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d openings had more than one probe", w.probes, w.openings))
		}
		if err != nil {
			return err
		}
	}
	enough, apart := float64(least), float64(points)
	if o.length < time.Minute {
		enough, apart = leastOfShort, pointsOfShort
	}
	if min(reached[0], reached[1]) < enough || math.Abs(reached[0]-reached[1]) > apart {
		return fmt.Errorf("one replica reaches %.1f %% of the limit, three reach %.1f %%: want at least %g, and at most %g points between them",
			reached[0], reached[1], enough, apart)
	}
	return nil
}

// demanded makes calls at all connections in turn.
func demanded(ctx context.Context, at []*grpc.ClientConn, tenant string, length time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
	var calls sync.WaitGroup
	defer calls.Wait()
	ticker := time.NewTicker(time.Second / demand)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		calls.Go(func() {
			// Most are refused, which the ledger shows as nothing at all.
			_, _ = pb.NewBackupRestoreServiceClient(at[n%len(at)]).GetBackupRestore(ctx, &pb.GetBackupRestoreRequest{})
		})
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// arrival is a request that reached Graph.
type arrival struct {
	Time   time.Time `json:"time"`
	Status int       `json:"status"`
}

func (f *fleet) arrivals(ctx context.Context, tenant string) ([]arrival, error) {
	var page struct {
		Entries []arrival `json:"entries"`
		Dropped uint64    `json:"dropped"`
	}
	query := url.Values{"tenant": {tenant}, "kind": {"request"}, "operation": {"GET /"}}
	if err := f.emulator.Control(ctx, http.MethodGet, "ledger?"+query.Encode(), nil, &page); err != nil {
		return nil, err
	}
	if page.Dropped > 0 {
		return nil, errors.New("the ledger has lost lines")
	}
	return page.Entries, nil
}

// weight is what the arrivals say.
type weight struct {
	arrived, refused int
	reached          float64 // Good answers in percent of the limit, outside of blocked time.
	window           time.Duration
	most             float64 // The most that arrived within a window, in times the limit.
	openings, probes int     // probes: openings with more than one of them.
}

func (w weight) String() string {
	return fmt.Sprintf("%d requests arrived, %d of them got 429; %.1f %% of the limit outside of blocked time; at most %.2f times the limit within %v; "+
		"%d openings, %d of them with a second probe", w.arrived, w.refused, w.reached, w.most, w.window, w.openings, w.probes)
}

// weigh counts. An opening is the first arrival after a 429 and the second for which it blocks.
func weigh(arrived []arrival, length time.Duration) weight {
	const blocks = time.Second
	w := weight{arrived: len(arrived), window: min(time.Minute, length/2)}
	var blocked time.Duration
	first := 0
	var until time.Time
	for i, a := range arrived {
		for a.Time.Sub(arrived[first].Time) > w.window {
			first++
		}
		w.most = max(w.most, float64(i-first+1)/(limit*w.window.Seconds()))
		if !until.IsZero() && !a.Time.Before(until) {
			until = time.Time{}
			w.openings++
			// What comes before the probe can have its answer is a second one.
			if i+1 < len(arrived) && a.Status != http.StatusTooManyRequests && arrived[i+1].Time.Sub(a.Time) < holds*9/10 {
				w.probes++
			}
		}
		if a.Status == http.StatusTooManyRequests {
			w.refused++
			end := a.Time.Add(blocks)
			if until.IsZero() {
				blocked += blocks
			} else {
				blocked += end.Sub(until)
			}
			// A request that was under way when the first one was refused comes in blocked time.
			until = end
		}
	}
	w.reached = 100 * float64(len(arrived)-w.refused) / (limit * (length - blocked).Seconds())
	return w
}
