package throttle

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// window is an upstream that allows 10 requests in each second, as the limiter of package graph does.
type window struct {
	mu                         sync.Mutex
	from, closed               time.Time
	count, throttled, openings int
	arrived                    []time.Time
	accepted                   int
}

// pass counts a request. It returns how long to wait, 0 for one that is allowed.
func (w *window) pass() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.arrived = append(w.arrived, now)
	if now.Before(w.closed) {
		w.closed = w.closed.Add(time.Second)
		w.throttled++
		return w.closed.Sub(now)
	}
	if now.Sub(w.from) >= time.Second || !w.closed.IsZero() {
		w.from, w.count, w.closed = now, 0, time.Time{}
	}
	if w.count++; w.count <= 10 {
		w.accepted++
		return 0
	}
	w.closed = now.Add(time.Second)
	w.throttled++
	w.openings++
	return time.Second
}

// demand sends requests through the throttles, evenly, until the context ends.
func (w *window) demand(ctx context.Context, throttles *Throttles, perSecond int) {
	var group sync.WaitGroup
	for ctx.Err() == nil {
		group.Go(func() {
			within, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			p, err := throttles.Enter(within, reads, false)
			if err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
			if wait := w.pass(); wait == 0 {
				throttles.Leave(p, true)
			} else {
				throttles.Block(reads, p, []Key{reads}, wait)
			}
		})
		_ = sleep(ctx, time.Second/time.Duration(perSecond), nil)
	}
	group.Wait()
}

// busiest is the largest number of arrivals in 60 s.
func (w *window) busiest() (most int) {
	first := 0
	for i, at := range w.arrived {
		for at.Sub(w.arrived[first]) >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// TestFiguresOfReplicas has an upstream that allows 10 requests a second, and 300 a second at one replica, at one of
// three, and at all three. It prints what reaches the upstream:
//
//	go test ./graph/internal/throttle -v -run FiguresOfReplicas | grep figure:
func TestFiguresOfReplicas(t *testing.T) {
	const measured = 2 * time.Minute
	// Of the replicas some are busy; without any they share nothing.
	run := func(t *testing.T, busy, replicas int) (share float64) {
		synctest.Test(t, func(t *testing.T) {
			w, b := new(window), newBoard()
			all := []*Throttles{New()}
			if replicas > 0 {
				all = fleet(t, b, replicas)[:busy]
			}
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			for _, one := range all {
				group.Go(func() { w.demand(ctx, one, 300/len(all)) })
			}
			time.Sleep(30 * time.Second)
			w.mu.Lock()
			accepted, throttled, from := w.accepted, w.throttled, len(w.arrived)
			w.mu.Unlock()
			time.Sleep(measured)
			w.mu.Lock()
			accepted, throttled = w.accepted-accepted, w.throttled-throttled
			w.arrived = w.arrived[from:]
			most := w.busiest()
			w.mu.Unlock()
			cancel()
			group.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			b.mu.Lock()
			defer b.mu.Unlock()
			share = float64(accepted) / (10 * measured.Seconds())
			t.Logf("figure: %d of %d replicas that share: %.1f %% of the limit, %d of %d requests throttled, at most %d arrivals in 60 s, %d probes for %d blocks, %d commands to the store a second",
				busy, replicas, 100*share, throttled, accepted+throttled, most, b.probes, w.openings, int(float64(b.ops)/(30+measured.Seconds())))
			if most > 660 {
				t.Errorf("%d arrivals in 60 s are more than 1.1 times the limit", most)
			}
			if replicas > 0 && b.probes > w.openings+1 {
				t.Errorf("%d probes for %d blocks", b.probes, w.openings)
			}
		})
		return share
	}
	alone := run(t, 1, 0)
	for _, of := range [][2]int{{1, 1}, {1, 3}, {3, 3}} {
		if share := run(t, of[0], of[1]); share < alone-0.05 || share > alone+0.05 {
			t.Errorf("%d of %d replicas reach %.1f %%, one without a store %.1f %%", of[0], of[1], 100*share, 100*alone)
		}
	}
}

// TestFiguresWithoutTheStore has three replicas that lose their store. They cannot know of each other's probes, which
// this upstream counts, and get a good half of what they get with it.
func TestFiguresWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := new(window), newBoard()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, one := range fleet(t, b, 3) {
			group.Go(func() { w.demand(ctx, one, 100) })
		}
		time.Sleep(30 * time.Second)
		b.setDown(true)
		w.mu.Lock()
		accepted, throttled := w.accepted, w.throttled
		w.mu.Unlock()
		time.Sleep(5 * time.Minute)
		w.mu.Lock()
		accepted, throttled = w.accepted-accepted, w.throttled-throttled
		w.mu.Unlock()
		t.Logf("figure: three replicas without their store for 5 min: %.1f %% of the limit, %d of %d requests throttled", float64(accepted)/30, throttled, accepted+throttled)
		// They wait for random times after a probe in vain.
		if accepted < 750 || throttled > accepted/5 {
			t.Errorf("%d accepted, %d throttled", accepted, throttled)
		}
		b.setDown(false)
		time.Sleep(10 * time.Second)
		cancel()
		group.Wait()
	})
}
