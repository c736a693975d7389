package sharedthrottle

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/redis"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tenant = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"

var reads = graph.ThrottleKey{Tenant: tenant}

// connect returns a connection that is up.
func connect(t *testing.T, o redis.Options) *redis.Client {
	t.Helper()
	o.Namespace = []string{"graph.example", "application-id"}
	// The machine may be busy.
	o.Patience = 5 * time.Second
	client, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	redistest.Eventually(t, "Redis is up", client.Up)
	return client
}

// heard is what a replica hears.
type heard struct {
	key  graph.ThrottleKey
	fact graph.ThrottleFact
}

// listen returns a store, and what it hears from then on.
func listen(t *testing.T, url string) (*Store, <-chan heard) {
	t.Helper()
	s := New(connect(t, redis.Options{URL: url}))
	news, began := make(chan heard, 1000), make(chan struct{}, 10)
	t.Cleanup(s.Listen(func(key graph.ThrottleKey, f graph.ThrottleFact) { news <- heard{key, f} }, func() { began <- struct{}{} }))
	<-began
	return s, news
}

// await waits for news. Others may come before: what is there is told again when Redis comes up.
func await(t *testing.T, news <-chan heard, wanted func(heard) bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	var last heard
	for {
		select {
		case last = <-news:
			if wanted(last) {
				return
			}
		case <-timeout:
			t.Fatalf("these news do not come; the last ones are %+v", last)
		}
	}
}

// do does something that has to succeed.
func do(t *testing.T, s *Store, key graph.ThrottleKey, op graph.ThrottleOp) graph.ThrottleFact {
	t.Helper()
	if op.Rate == 0 {
		op.Rate = 10
	}
	f, err := s.Do(t.Context(), key, op)
	if err != nil {
		t.Fatalf("%s: %v", op.Verb, err)
	}
	return f
}

func miniURL(t *testing.T) string {
	t.Helper()
	return "redis://" + miniredis.RunT(t).Addr()
}

// rulesOfRecords goes through the states of a record with two replicas.
func rulesOfRecords(t *testing.T, url string) {
	a, newsA := listen(t, url)
	b, newsB := listen(t, url)
	if f := do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleRead}); f.Known {
		t.Fatalf("a record that is not there: %+v", f)
	}
	// Two throttle responses to requests of one epoch: the first says the pace, the longer wait counts.
	f := do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleBlock, Wait: 200 * time.Millisecond, Fresh: true, Rate: 10, Pace: "ten"})
	if f.Epoch != 1 || f.Paced || f.Wait < 190*time.Millisecond || f.Pace != "ten" {
		t.Fatalf("blocked: %+v", f)
	}
	await(t, newsB, func(got heard) bool {
		return got.key == reads && got.fact.Epoch == 1 && got.fact.Wait > 150*time.Millisecond && got.fact.Pace == "ten"
	})
	f = do(t, b, reads, graph.ThrottleOp{Verb: graph.ThrottleBlock, Wait: 300 * time.Millisecond, Fresh: true, Rate: 5, Pace: "five"})
	if f.Epoch != 1 || f.Pace != "ten" || f.Wait < 290*time.Millisecond {
		t.Fatalf("blocked twice in an epoch: %+v", f)
	}
	await(t, newsA, func(got heard) bool { return got.fact.Wait > 250*time.Millisecond })
	if f = do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleClaim, Epoch: 1}); f.Claimed {
		t.Fatal("a probe goes before its time")
	}
	redistest.Eventually(t, "it opens", func() bool { return do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleRead}).Wait == 0 })
	// One probes, and the other hears when that is over.
	if f = do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleClaim, Epoch: 1}); !f.Claimed || f.Probing != 0 {
		t.Fatalf("nobody probes: %+v", f)
	}
	if f = do(t, b, reads, graph.ThrottleOp{Verb: graph.ThrottleClaim, Epoch: 1}); f.Claimed || f.Probing < 9*time.Second {
		t.Fatalf("two probe: %+v", f)
	}
	do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleRelease, Epoch: 1})
	await(t, newsB, func(got heard) bool { return got.fact.Wait == 0 && got.fact.Probing == 0 })
	if f = do(t, b, reads, graph.ThrottleOp{Verb: graph.ThrottleClaim, Epoch: 1}); !f.Claimed {
		t.Fatal("a probe that was given back is nobody's")
	}
	f = do(t, b, reads, graph.ThrottleOp{Verb: graph.ThrottleOpen, Epoch: 1, Rate: 20, Pace: "twenty"})
	if !f.Paced || f.Pace != "twenty" {
		t.Fatalf("opened: %+v", f)
	}
	await(t, newsA, func(got heard) bool { return got.fact.Paced })
	leases(t, a, b, f)
	// Who has not heard of the leases does not end it, and learns the pace. Who has does, and so does each at that pace.
	for _, op := range []graph.ThrottleOp{{Epoch: 1, Change: f.Change, Rate: 5000}, {Epoch: 0, Change: 1 << 40, Rate: 5000}} {
		op.Verb = graph.ThrottleEnd
		if got := do(t, b, reads, op); !got.Known || !got.Paced || got.Pace != "forty" {
			t.Fatalf("an end by one who knows little: %+v", got)
		}
	}
	paced := do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleRead})
	for _, op := range []graph.ThrottleOp{{Epoch: 1, Change: paced.Change, Rate: 5000}, {Epoch: 1, Change: f.Change, Rate: 40}} {
		op.Verb = graph.ThrottleEnd
		if got := do(t, b, reads, op); got.Known {
			t.Fatalf("an end by one who knows: %+v", got)
		}
		// A paced record that is there again: the next slot comes after an interval, and nothing is counted yet.
		got := do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottlePut, Epoch: 1, Paced: true, Rate: 40, Pace: "forty"})
		if lease := do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleLease, Epoch: 1, Paced: true, Rate: 40, Pace: "forty", Want: 1}); !got.Paced || lease.First == 0 || lease.Measured >= 0 {
			t.Fatalf("a record that is there again: %+v, %+v", got, lease)
		}
	}
	// A put of a higher pace changes nothing; one of a lower pace does, and one of a higher epoch.
	if f = do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottlePut, Epoch: 1, Rate: 100, Pace: "high"}); f.Pace == "high" || !f.Paced {
		t.Fatalf("a higher pace: %+v", f)
	}
	if f = do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottlePut, Epoch: 1, Rate: 1, Pace: "low"}); f.Pace != "low" || !f.Paced {
		t.Fatalf("a lower pace: %+v", f)
	}
	if f = do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottlePut, Epoch: 3, Wait: time.Minute, Pace: "three"}); f.Pace != "three" || f.Paced || f.Wait < 59*time.Second {
		t.Fatalf("a later block: %+v", f)
	}
	// Who comes later hears it at once.
	_, newsC := listen(t, url)
	await(t, newsC, func(got heard) bool { return got.fact.Epoch == 3 && got.fact.Wait > 55*time.Second })
	do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleEnd, Fresh: true})
	if f = do(t, b, reads, graph.ThrottleOp{Verb: graph.ThrottleRead}); f.Known {
		t.Fatalf("a record that has ended: %+v", f)
	}
}

// leases takes slots of a record with a pace of 20 a second.
func leases(t *testing.T, a, b *Store, f graph.ThrottleFact) {
	t.Helper()
	began := time.Now()
	slots := 0
	for time.Since(began) < 300*time.Millisecond {
		for _, s := range []*Store{a, b} {
			f = do(t, s, reads, graph.ThrottleOp{Verb: graph.ThrottleLease, Epoch: 1, Paced: true, Rate: 20, Pace: "twenty", Want: 100})
			if f.Slots > 10 || f.Interval != 50*time.Millisecond || f.Slots > 0 && f.First+time.Duration(f.Slots-1)*f.Interval > 500*time.Millisecond || f.Slots == 0 && f.AskIn <= 0 {
				t.Fatalf("a lease: %+v", f)
			}
			slots += f.Slots
		}
	}
	if took := time.Since(began); slots < 10 || float64(slots) > 20*(took.Seconds()+0.55)+1 {
		t.Errorf("%d slots of both replicas in %v", slots, took)
	}
	if took := time.Since(began); f.Measured >= 0 && took < 900*time.Millisecond {
		t.Errorf("%v slots a second were counted within %v", f.Measured, took)
	}
	if a.Slots()+b.Slots() != uint64(slots) {
		t.Errorf("%d and %d slots were counted, want %d", a.Slots(), b.Slots(), slots)
	}
	// A pace that grew is taken from who knows the epoch, and from nobody else.
	if f = do(t, a, reads, graph.ThrottleOp{Verb: graph.ThrottleLease, Epoch: 1, Paced: true, Rate: 40, Pace: "forty", Want: 1}); f.Pace != "forty" {
		t.Errorf("a pace that grew: %+v", f)
	}
	if f = do(t, b, reads, graph.ThrottleOp{Verb: graph.ThrottleLease, Epoch: 0, Paced: true, Rate: 2, Pace: "two", Want: 1}); f.Pace != "forty" {
		t.Errorf("an old pace: %+v", f)
	}
}
