package throttle

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestAThrottleIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		blockFor(throttles, reads, time.Minute)
		time.Sleep(time.Minute + forgetAfter + time.Second)
		start := time.Now()
		for range 1000 {
			throttles.Leave(enter(t, throttles, reads), true)
		}
		if n, took := throttles.count.Load(), time.Since(start); n != 0 || took != 0 {
			t.Errorf("%d throttles; 1000 requests took %v", n, took)
		}
	})
}

func TestThrottlesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		for n := range maxThrottles + 10 {
			blockFor(throttles, Key{Tenant: fmt.Sprint(n)}, time.Minute)
		}
		if n := len(throttles.queues); n > maxThrottles || throttles.count.Load() != int64(n) {
			t.Errorf("%d throttles, count %d", n, throttles.count.Load())
		}
		time.Sleep(time.Minute + forgetAfter + time.Second)
		// The look that drops them has ended.
		synctest.Wait()
		const later = maxThrottles / 5
		for n := range later {
			blockFor(throttles, Key{Tenant: fmt.Sprint("new", n)}, time.Minute)
		}
		if n := len(throttles.queues); n > later {
			t.Errorf("%d throttles when all but %d are forgotten", n, later)
		}
	})
}

// TestAStretchBeginsAndEndsOnce has a tenant that is throttled three times in one stretch, and then sends nothing.
func TestAStretchBeginsAndEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		var events []string
		start := time.Now()
		throttles.Began = func(key Key, wait time.Duration) {
			events = append(events, fmt.Sprintf("%v began %s %v", time.Since(start).Round(time.Second), key.Tenant, wait))
		}
		throttles.Ended = func(key Key) {
			events = append(events, fmt.Sprintf("%v ended %s", time.Since(start).Round(time.Second), key.Tenant))
		}
		blockFor(throttles, reads, 2*time.Second)
		for range 2 {
			time.Sleep(2 * time.Second)
			throttles.Block(reads, enter(t, throttles, reads), []Key{reads}, 2*time.Second)
		}
		time.Sleep(2 * time.Second)
		throttles.Leave(enter(t, throttles, reads), true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(events) != 2 || events[0] != "0s began "+tenant+" 2s" {
			t.Fatalf("got %q", events)
		}
		var seconds int
		if _, err := fmt.Sscanf(events[1], "%ds ended "+tenant, &seconds); err != nil || seconds < 8 || seconds > 16 {
			t.Errorf("got %q", events[1])
		}
		if n := throttles.count.Load(); n != 0 {
			t.Errorf("%d throttles", n)
		}
	})
}

// TestAResetEndsAllThrottles has a request that waits for its slot, and one that waits for a blocked throttle.
func TestAResetEndsAllThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		ended := 0
		throttles.Ended = func(Key) { ended++ }
		pacedAt(throttles, reads, 1)
		<-begin(t.Context(), throttles, reads)
		waiting := begin(t.Context(), throttles, reads)
		blockFor(throttles, otherReads, 5*time.Second)
		patient := make(chan error)
		go func() {
			p, err := throttles.Enter(t.Context(), otherReads, true)
			throttles.Leave(p, true)
			patient <- err
		}()
		synctest.Wait()
		start := time.Now()
		throttles.Reset()
		if got := <-waiting; got.err != nil || got.took != 0 {
			t.Errorf("the one that waited for its slot: %+v", got)
		}
		if err := <-patient; err != nil || time.Since(start) != 0 {
			t.Errorf("the patient one: %v after %v", err, time.Since(start))
		}
		for range 100 {
			throttles.Leave(enter(t, throttles, reads), true)
		}
		if n := throttles.count.Load(); n != 0 || ended != 2 || time.Since(start) != 0 {
			t.Errorf("%d throttles are left, %d ended; it took %v", n, ended, time.Since(start))
		}
	})
}

func BenchmarkNewThrottle(b *testing.B) {
	throttles := New()
	b.ReportAllocs()
	for n := range b.N {
		throttles.findOrAdd(Key{Tenant: strconv.Itoa(n % maxThrottles)})
		if n%maxThrottles == maxThrottles-1 {
			b.StopTimer()
			throttles.Reset()
			throttles = New()
			b.StartTimer()
		}
	}
	throttles.Reset()
}

func BenchmarkThrottle(b *testing.B) {
	for _, other := range []bool{false, true} {
		b.Run(fmt.Sprintf("another tenant is throttled %t", other), func(b *testing.B) {
			throttles, ctx := New(), context.Background()
			if other {
				blockFor(throttles, otherReads, time.Hour)
				b.Cleanup(throttles.Reset)
			}
			b.ReportAllocs()
			b.RunParallel(func(b *testing.PB) {
				for b.Next() {
					p, err := throttles.Enter(ctx, reads, false)
					if err != nil {
						panic(err)
					}
					throttles.Leave(p, true)
				}
			})
		})
	}
}
