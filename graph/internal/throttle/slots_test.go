package throttle

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestABlockedTenantCostsOthersNothing has 50 callers of a blocked tenant who come again and again, beside one of
// another tenant who asks just as much as the application may.
func TestABlockedTenantCostsOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 10)
		blockFor(throttles, reads, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				for sleep(ctx, 10*time.Millisecond, nil) == nil {
					start := time.Now()
					_, err := throttles.Enter(t.Context(), reads, false)
					if got := (outcome{err, time.Since(start)}); got.refusedFor() < 30*time.Minute || got.took != 0 {
						t.Errorf("got %+v", got)
						return
					}
				}
			})
		}
		const requests = 200
		var sent atomic.Int64
		var others sync.WaitGroup
		for range requests {
			others.Go(func() {
				within, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if p, err := throttles.Enter(within, otherReads, false); err == nil {
					throttles.Leave(p, true)
					sent.Add(1)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		others.Wait()
		cancel()
		group.Wait()
		if n := sent.Load(); n != requests {
			t.Errorf("of the other tenant's requests %d of %d were sent", n, requests)
		}
	})
}

// TestARequestThatGivesUpTakesNoSlot has two requests that wait for a slot of one throttle.
func TestARequestThatGivesUpTakesNoSlot(t *testing.T) {
	for name, key := range map[string]Key{"tenant": reads, "application": application} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttles := New()
				pacedAt(throttles, key, 1)
				ctx, cancel := context.WithCancel(t.Context())
				first := begin(t.Context(), throttles, reads)
				gone := begin(ctx, throttles, reads)
				next := begin(t.Context(), throttles, reads)
				time.Sleep(500 * time.Millisecond)
				cancel()
				if got := <-gone; !errors.Is(got.err, context.Canceled) {
					t.Errorf("the one that gave up: %+v", got)
				}
				if got := <-first; got.err != nil {
					t.Errorf("the first: %+v", got)
				}
				if got := <-next; got.err != nil || got.took != time.Second {
					t.Errorf("the one behind: %+v", got)
				}
			})
		})
	}
}

func TestARequestThatHasEndedTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 {
			if _, err := throttles.Enter(ctx, reads, false); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if got := <-begin(t.Context(), throttles, reads); got.err != nil || got.took != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestARequestThatIsNotSentTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 1)
		for range 10 {
			throttles.GiveBack(enter(t, throttles, reads))
		}
		if got := <-begin(t.Context(), throttles, reads); got.err != nil || got.took != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestASlotOfOneThrottleIsGivenBack has a request that gives up at the application's throttle when it has passed its
// tenant's.
func TestASlotOfOneThrottleIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 2)
		pacedAt(throttles, reads, 1)
		<-begin(t.Context(), throttles, otherReads)
		ctx, cancel := context.WithCancel(t.Context())
		gone := begin(ctx, throttles, reads)
		time.Sleep(250 * time.Millisecond)
		cancel()
		<-gone
		if got := <-begin(t.Context(), throttles, reads); got.err != nil || got.took != 250*time.Millisecond {
			t.Errorf("got %+v", got)
		}
		// What was given back is not saved up.
		if got := <-begin(t.Context(), throttles, reads); got.err != nil || got.took < 500*time.Millisecond {
			t.Errorf("got %+v", got)
		}
	})
}

// TestAWaitEndsWhenAThrottleIsBlocked has requests that wait for a slot of one throttle when it, or the other, is
// blocked.
func TestAWaitEndsWhenAThrottleIsBlocked(t *testing.T) {
	for _, test := range []struct {
		name           string
		slow, blocking Key
		// behind is when the request of another tenant is sent that is behind it in the application's queue.
		behind time.Duration
	}{
		{"waiting for the application, which is blocked", application, application, time.Minute},
		{"waiting for the application, the tenant is blocked", application, reads, time.Second},
		{"waiting for the tenant, which is blocked", reads, reads, 0},
		{"waiting for the tenant, the application is blocked", reads, application, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttles, start := New(), time.Now()
				for _, key := range []Key{reads, application} {
					rate := 1000.0
					if key == test.slow {
						rate = 1
					}
					pacedAt(throttles, key, rate)
				}
				if got := <-begin(t.Context(), throttles, reads); got.err != nil {
					t.Fatalf("got %+v", got)
				}
				time.Sleep(10 * time.Millisecond)
				waiting := begin(t.Context(), throttles, reads)
				behind, began := begin(t.Context(), throttles, otherReads), time.Since(start)
				time.Sleep(490 * time.Millisecond)
				find(throttles, test.blocking).block(admission{}, time.Now().Add(time.Minute))
				if got := <-waiting; got.refusedFor() != time.Minute || got.took != 490*time.Millisecond {
					t.Errorf("got %+v", got)
				}
				switch got := <-behind; {
				case test.behind == time.Minute && test.slow == application:
					if got.refusedFor() != time.Minute {
						t.Errorf("behind it: %+v", got)
					}
				case test.slow == application && (got.err != nil || began+got.took != test.behind):
					t.Errorf("behind it: %+v, begun at %v", got, began)
				}
			})
		})
	}
}

// TestAWaitSeesAThrottleThatIsNew has a tenant that nobody throttled when its request began to wait.
func TestAWaitSeesAThrottleThatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 1)
		<-begin(t.Context(), throttles, reads)
		waiting := begin(t.Context(), throttles, reads)
		blockFor(throttles, reads, time.Minute)
		if got := <-waiting; got.refusedFor() == 0 {
			t.Errorf("got %+v", got)
		}
		if got := <-begin(t.Context(), throttles, otherReads); got.err != nil || got.took != 0 {
			t.Errorf("another tenant: %+v", got)
		}
	})
}

// TestAnUnsentProbeHoldsNoRequestUp has the probe of a tenant wait for the application, and not get there.
func TestAnUnsentProbeHoldsNoRequestUp(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			throttles := New()
			blockFor(throttles, reads, time.Second)
			time.Sleep(time.Second)
			pacedAt(throttles, application, 1)
			<-begin(t.Context(), throttles, otherReads)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			probe := begin(ctx, throttles, reads)
			if got := <-begin(t.Context(), throttles, reads); got.refusedFor() < probeWait || got.took != 0 {
				t.Errorf("while there is a probe: %+v", got)
			}
			next := time.Second
			if blocks {
				find(throttles, application).block(admission{}, time.Now().Add(5*time.Second))
				time.Sleep(5 * time.Second)
				next = 0
			} else {
				cancel()
			}
			if got := <-probe; got.err == nil || got.took != 0 {
				t.Errorf("the probe: %+v", got)
			}
			if got := <-begin(t.Context(), throttles, reads); got.err != nil || got.took != next {
				t.Errorf("the next probe: %+v", got)
			}
		})
	}
}

// TestAPatientRequestTakesTheProbeOver has a request that was throttled itself wait for a probe that is not sent.
func TestAPatientRequestTakesTheProbeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		blockFor(throttles, reads, time.Second)
		time.Sleep(time.Second)
		pacedAt(throttles, application, 10)
		<-begin(t.Context(), throttles, otherReads)
		ctx, cancel := context.WithCancel(t.Context())
		probe := begin(ctx, throttles, reads)
		start, entered := time.Now(), make(chan error, 1)
		go func() {
			p, err := throttles.Enter(t.Context(), reads, true)
			throttles.GiveBack(p)
			entered <- err
		}()
		synctest.Wait()
		cancel()
		<-probe
		if err := <-entered; err != nil || time.Since(start) > 200*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// TestAWaitThatOthersPutOffEnds has a request that is alone when it comes, and 30 other tenants who come after it and
// before its turn.
func TestAWaitThatOthersPutOffEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 10)
		var own []<-chan outcome
		for range 21 {
			own = append(own, begin(t.Context(), throttles, reads))
		}
		var others []<-chan outcome
		for n := range 30 {
			others = append(others, begin(t.Context(), throttles, Key{Tenant: strconv.Itoa(n)}))
		}
		if got := <-own[1]; got.err != nil {
			t.Errorf("the second one: %+v", got)
		}
		last := <-own[20]
		if last.refusedFor() <= 0 || last.took < maxSlotWait || last.took > maxSlotWait+time.Second {
			t.Errorf("the last one: %+v", last)
		}
		for _, ended := range slices.Concat(own[2:20], others) {
			<-ended
		}
	})
}

// TestOneOfEachTenantWaitsForTheApplication has an application that is blocked for a short time.
func TestOneOfEachTenantWaitsForTheApplication(t *testing.T) {
	for wait, waits := range map[time.Duration]bool{time.Second: true, maxOutside: true, maxOutside + time.Second: false} {
		t.Run(wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttles := New()
				throttles.Block(reads, Pass{}, []Key{application}, wait)
				first, second := begin(t.Context(), throttles, reads), begin(t.Context(), throttles, reads)
				other := begin(t.Context(), throttles, otherReads)
				if got := <-second; got.refusedFor() != wait || got.took != 0 {
					t.Errorf("the second one: %+v", got)
				}
				for _, ended := range []<-chan outcome{first, other} {
					if got := <-ended; waits != (got.err == nil) || waits == (got.took < wait) {
						t.Errorf("got %+v", got)
					}
				}
				// The tenant's place is free again.
				throttles.Block(reads, Pass{}, []Key{application}, time.Second)
				if got := <-begin(t.Context(), throttles, reads); got.err != nil && waits {
					t.Errorf("later: %+v", got)
				}
			})
		})
	}
}

// TestBothThrottlesHaveToLetARequestPass has a request that both its throttles refuse. The refusal names the longer
// wait, and takes the probe of neither.
func TestBothThrottlesHaveToLetARequestPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		blockFor(throttles, reads, time.Minute)
		find(throttles, application).block(admission{}, time.Now().Add(time.Second))
		for range 2 {
			if got := <-begin(t.Context(), throttles, reads); got.refusedFor() < 59*time.Second {
				t.Errorf("got %+v", got)
			}
			// Now the application is due.
			time.Sleep(time.Second)
		}
		if got := <-begin(t.Context(), throttles, otherReads); got.err != nil {
			t.Errorf("the application's probe: %+v", got)
		}
	})
}

// TestManyRequestsAreSentInOrder has one more request at once than has a slot soon enough.
func TestManyRequestsAreSentInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, application, 4)
		var waiting []<-chan outcome
		for range 9 {
			waiting = append(waiting, begin(t.Context(), throttles, reads))
		}
		if got := <-begin(t.Context(), throttles, reads); got.refusedFor() < maxSlotWait || got.took != 0 {
			t.Errorf("one too many: %+v", got)
		}
		for i, ended := range waiting {
			// A pace is no round number.
			if got := <-ended; got.err != nil || got.took.Round(10*time.Millisecond) != time.Duration(i)*250*time.Millisecond {
				t.Errorf("request %d: %+v, want it sent after %v", i, got, time.Duration(i)*250*time.Millisecond)
			}
		}
	})
}
