package throttle

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A request that can come later takes a slot that is free, and never the place of another one.
func TestTryTakesOnlyFreeSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		try := func() error {
			start := time.Now()
			p, err := throttles.Try(t.Context(), reads)
			if err == nil {
				throttles.Leave(p, true)
			}
			if waited := time.Since(start); waited > 0 {
				t.Errorf("it waited for %v", waited)
			}
			return err
		}
		if err := try(); err != nil {
			t.Errorf("without a throttle: %v", err)
		}
		pacedAt(throttles, reads, 1)
		if err := try(); err != nil {
			t.Errorf("with a free slot: %v", err)
		}
		// The next slot comes in a second, and a request waits for it.
		waiting := begin(t.Context(), throttles, reads)
		var refused *Refused
		if err := try(); !errors.As(err, &refused) || refused.RetryAfter < time.Second {
			t.Errorf("behind another one: %v", err)
		}
		if o := <-waiting; o.err != nil || o.took != time.Second {
			t.Errorf("the other one: %+v", o)
		}
		blockFor(throttles, reads, time.Minute)
		if err := try(); !errors.As(err, &refused) || refused.RetryAfter != time.Minute {
			t.Errorf("blocked: %v", err)
		}
		blockFor(throttles, application, 3*time.Second)
		if p, err := throttles.Try(t.Context(), otherReads); err == nil {
			throttles.Leave(p, true)
			t.Error("the application's throttle is blocked")
		}
	})
}
