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
		const later = maxThrottles / 5
		for n := range later {
			blockFor(throttles, Key{Tenant: fmt.Sprint("new", n)}, time.Minute)
		}
		if n := len(throttles.queues); n > later {
			t.Errorf("%d throttles when all but %d are forgotten", n, later)
		}
	})
}

func BenchmarkNewThrottle(b *testing.B) {
	throttles := New()
	b.ReportAllocs()
	for n := range b.N {
		throttles.findOrAdd(Key{Tenant: strconv.Itoa(n % maxThrottles)})
		if n%maxThrottles == maxThrottles-1 {
			throttles = New()
		}
	}
}

func BenchmarkThrottle(b *testing.B) {
	for _, other := range []bool{false, true} {
		b.Run(fmt.Sprintf("another tenant is throttled %t", other), func(b *testing.B) {
			throttles, ctx := New(), context.Background()
			if other {
				blockFor(throttles, otherReads, time.Hour)
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
