package throttle

import (
	"reflect"
	"testing"
	"time"
)

// at is a time of the tests, in seconds after their start.
func at(seconds float64) time.Time {
	return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// TestDecisions holds what a throttle says to a request that comes at second 10 and would wait until second 20.
func TestDecisions(t *testing.T) {
	// An even pace of 4 requests a second.
	four := pace{ceiling: 4 / holdAt, age: time.Hour, hold: 2 * time.Hour}
	for _, test := range []struct {
		name     string
		throttle throttle
		// ahead is how many others wait.
		ahead int
		// impatient and patient are the decisions for a request that was not throttled itself, and for one that was.
		impatient, patient decision
	}{
		{"blocked", throttle{until: at(15)}, 0, decision{refuse, 5 * time.Second, true}, decision{await, 5 * time.Second, true}},
		{"blocked for as long as a request waits", throttle{until: at(20)}, 0, decision{refuse, 10 * time.Second, true}, decision{await, 10 * time.Second, true}},
		{"blocked for longer", throttle{until: at(20.001)}, 0, decision{refuse, 10001 * time.Millisecond, true}, decision{refuse, 10001 * time.Millisecond, true}},
		{"due", throttle{until: at(10)}, 0, decision{}, decision{}},
		{"probing", throttle{state: probing, until: at(8), probedAt: at(9)}, 0, decision{refuse, probeWait, true}, decision{await, probeWait, true}},
		{"probing for almost too long", throttle{state: probing, probedAt: at(0.001)}, 0, decision{refuse, probeWait, true}, decision{await, probeWait, true}},
		{"the probe hangs", throttle{state: probing, probedAt: at(0)}, 0, decision{}, decision{}},
		{"paced, the slot has passed", throttle{state: paced, slot: at(3), pace: four}, 0, decision{}, decision{}},
		{"paced, the slot is now", throttle{state: paced, slot: at(10), pace: four}, 0, decision{}, decision{}},
		{"paced, the slot comes", throttle{state: paced, slot: at(10.5), pace: four}, 0, decision{await, 500 * time.Millisecond, false}, decision{await, 500 * time.Millisecond, false}},
		{"paced, others wait", throttle{state: paced, slot: at(10.5), pace: four}, 2, decision{await, time.Second, false}, decision{await, time.Second, false}},
		{"paced, others wait although the slot has passed", throttle{state: paced, slot: at(9), pace: four}, 2, decision{await, 500 * time.Millisecond, false}, decision{await, 500 * time.Millisecond, false}},
		{"paced, the slot comes just soon enough", throttle{state: paced, slot: at(12), pace: four}, 0, decision{await, maxSlotWait, false}, decision{await, maxSlotWait, false}},
		{"paced, the slot comes too late", throttle{state: paced, slot: at(12.001), pace: four}, 0, decision{refuse, 2001 * time.Millisecond, false}, decision{refuse, 2001 * time.Millisecond, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for patient, want := range map[bool]decision{false: test.impatient, true: test.patient} {
				before := test.throttle
				got := test.throttle.decide(at(10), at(20), patient, test.ahead, false)
				// A pace is no round number.
				got.wait = got.wait.Round(time.Millisecond)
				if got != want {
					t.Errorf("patient %t: got %+v, want %+v", patient, got, want)
				}
				if !reflect.DeepEqual(test.throttle, before) {
					t.Errorf("patient %t: the throttle was changed", patient)
				}
			}
		})
	}
}

func TestALongQueueAndAnEarlyDeadlineRefuse(t *testing.T) {
	fast := throttle{state: paced, slot: at(10.1), pace: pace{ceiling: 1000, age: time.Hour, hold: 2 * time.Hour}}
	for _, test := range []struct {
		queued int
		giveUp time.Time
		want   action
	}{
		{maxQueued - 1, at(20), await},
		{maxQueued, at(20), refuse},
		{0, at(10.1), await},
		{0, at(10.09), refuse},
	} {
		var waiting line
		for range test.queued {
			waiting.join(tenant)
		}
		if got := fast.decide(at(10), test.giveUp, true, waiting.ahead(tenant), waiting.full(tenant)); got.action != test.want {
			t.Errorf("with %d in the queue, giving up at %v: got %+v", test.queued, test.giveUp, got)
		}
	}
}

// TestTwoDecisionsBecomeOne holds how the decisions of the tenant's throttle and the application's are combined, in
// either order.
func TestTwoDecisionsBecomeOne(t *testing.T) {
	const short, long = time.Second, time.Minute
	for _, test := range []struct{ one, other, want decision }{
		{decision{}, decision{}, decision{}},
		{decision{}, decision{await, short, false}, decision{await, short, false}},
		{decision{await, long, false}, decision{await, short, false}, decision{await, long, false}},
		{decision{await, short, false}, decision{refuse, long, false}, decision{refuse, long, false}},
		{decision{await, long, false}, decision{refuse, short, false}, decision{refuse, long, false}},
		{decision{}, decision{await, short, true}, decision{await, short, true}},
		{decision{}, decision{refuse, short, true}, decision{refuse, short, true}},
		// A queue that is too long now may be short when the other throttle is no longer closed.
		{decision{refuse, long, false}, decision{await, short, true}, decision{await, long, true}},
		{decision{await, long, false}, decision{refuse, short, true}, decision{refuse, long, true}},
		{decision{await, long, true}, decision{await, short, true}, decision{await, long, true}},
		{decision{await, long, true}, decision{refuse, short, true}, decision{refuse, long, true}},
	} {
		if got := test.one.and(test.other); got != test.want {
			t.Errorf("%+v and %+v: got %+v, want %+v", test.one, test.other, got, test.want)
		}
		if got := test.other.and(test.one); got != test.want {
			t.Errorf("%+v and %+v: got %+v, want %+v", test.other, test.one, got, test.want)
		}
	}
}
