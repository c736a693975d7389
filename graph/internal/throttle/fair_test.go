package throttle

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTenantsAreServedInTurn has an application that may send 10 requests a second. One tenant asks 200 times a second,
// the other once.
func TestTenantsAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 10)
		ctx, cancel := context.WithCancel(t.Context())
		var greedy sync.WaitGroup
		greedy.Go(func() {
			for sleep(ctx, 5*time.Millisecond, nil) == nil {
				greedy.Go(func() {
					if p, err := throttles.Enter(ctx, reads, false); err == nil {
						throttles.Leave(p, true)
					}
				})
			}
		})
		const requests = 66
		var waits []time.Duration
		for range requests {
			time.Sleep(time.Second)
			if got := <-begin(t.Context(), throttles, otherReads); got.err == nil {
				waits = append(waits, got.took)
			}
		}
		cancel()
		greedy.Wait()
		if len(waits) != requests {
			t.Fatalf("%d of %d requests of the other tenant were sent", len(waits), requests)
		}
		// One request of the greedy tenant is before it at most.
		if longest := slices.Max(waits); longest > 250*time.Millisecond {
			t.Errorf("one waited %v", longest)
		}
	})
}

// TestATenantCannotFillTheQueue has a pace so fast that the number of waiting requests is the limit. A tenant that
// sends many at once leaves places for others.
func TestATenantCannotFillTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 1000)
		var waiting []<-chan outcome
		for range 200 {
			waiting = append(waiting, begin(t.Context(), throttles, reads))
		}
		if got := <-begin(t.Context(), throttles, otherReads); got.err != nil || got.took > 3*time.Millisecond {
			t.Errorf("the other tenant: %+v", got)
		}
		refused := 0
		for _, ended := range waiting {
			if got := <-ended; got.err != nil {
				refused++
			}
		}
		// The first one goes at once.
		if refused != 200-1-maxQueued {
			t.Errorf("%d are refused", refused)
		}
	})
}
