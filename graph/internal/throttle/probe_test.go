package throttle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAThrottledProbeLeavesThePaceAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		pacedAt(throttles, reads, 100)
		q := throttles.find(reads)
		for range 300 {
			throttles.Leave(enter(t, throttles, reads), true)
		}
		for attempt := range 3 {
			p := enter(t, throttles, reads)
			if p.admissions[0].probe != (attempt > 0) {
				t.Fatalf("attempt %d: %+v", attempt, p)
			}
			throttles.Block(reads, p, []Key{reads}, 5*time.Second)
			if q.pace.ceiling < 50 {
				t.Errorf("after attempt %d the pace is to be below %v requests a second", attempt, q.pace.ceiling)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

func TestAPatientRequestIsRefusedBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttles := New()
		blockFor(throttles, reads, time.Second)
		time.Sleep(time.Second)
		if p := enter(t, throttles, reads); !p.admissions[0].probe {
			t.Fatal("no probe")
		}
		// The probe hangs.
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := throttles.Enter(ctx, reads, true)
		var refused *Refused
		if took := time.Since(start); !errors.As(err, &refused) || took >= 2500*time.Millisecond {
			t.Errorf("got %+v after %v", err, took)
		}
	})
}

func TestAProbeThatHungDoesNotSpeakForTheNext(t *testing.T) {
	for name, end := range map[string]func(throttles *Throttles, p Pass){
		"it got no response": func(throttles *Throttles, p Pass) { throttles.Leave(p, false) },
		"it was not sent":    func(throttles *Throttles, p Pass) { throttles.GiveBack(p) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttles := New()
				blockFor(throttles, reads, time.Second)
				time.Sleep(time.Second)
				first := enter(t, throttles, reads)
				time.Sleep(maxProbe)
				second := enter(t, throttles, reads)
				if !second.admissions[0].probe {
					t.Fatal("no second probe")
				}
				end(throttles, first)
				if _, err := throttles.Enter(t.Context(), reads, false); err == nil {
					t.Error("a third probe is sent while the second is under way")
				}
				end(throttles, second)
				if p := enter(t, throttles, reads); !p.admissions[0].probe {
					t.Error("no third probe when the second has ended")
				}
			})
		})
	}
}
