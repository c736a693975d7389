package throttle

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fleet returns a number of replicas that share a board. It has to be called in a bubble.
func fleet(t *testing.T, b *board, n int) (all []*Throttles) {
	t.Helper()
	// The last commands end before the bubble does.
	t.Cleanup(func() { time.Sleep(10 * time.Second) })
	for range n {
		one := New()
		one.Share(b.replica())
		all = append(all, one)
	}
	return all
}

// blockAndOpen has the reads of a replica blocked for a second, and then opened by a probe.
func blockAndOpen(t *testing.T, one *Throttles) {
	t.Helper()
	blockFor(one, reads, time.Second)
	time.Sleep(2 * time.Second)
	one.Leave(enter(t, one, reads), true)
}

func nothingInForce(t *testing.T, all []*Throttles) {
	t.Helper()
	for i, one := range all {
		if keys := one.InForce(); len(keys) != 0 {
			t.Errorf("in force at replica %d: %v", i, keys)
		}
	}
}

// A throttle response that one replica gets blocks the others within a round trip.
func TestOneThrottleResponseBlocksAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, newBoard(), 3)
		blockFor(all[0], reads, 10*time.Second)
		time.Sleep(time.Millisecond)
		for i, one := range all {
			if left := one.Remaining(reads); left < 9900*time.Millisecond || left > 10*time.Second {
				t.Errorf("replica %d is blocked for %v", i, left)
			}
			if left := one.Remaining(otherReads); left != 0 {
				t.Errorf("replica %d blocks another tenant for %v", i, left)
			}
		}
	})
}

// What was published and lost is read with the first request after half a second.
func TestLostNewsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		blockAndOpen(t, all[0])
		time.Sleep(time.Second)
		b.mu.Lock()
		b.silent = true
		b.mu.Unlock()
		blockFor(all[0], reads, time.Minute)
		time.Sleep(time.Second)
		if _, err := all[1].Enter(t.Context(), reads, false); err == nil {
			t.Error("a request goes out although another replica is blocked")
		}
		if left := all[1].Remaining(reads); left < 50*time.Second {
			t.Errorf("blocked for %v", left)
		}
	})
}

// A replica that starts while a key is blocked knows it.
func TestANewReplicaKnowsWhatIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		blockFor(fleet(t, b, 1)[0], reads, time.Minute)
		time.Sleep(time.Second)
		if left := fleet(t, b, 1)[0].Remaining(reads); left < 58*time.Second {
			t.Errorf("blocked for %v", left)
		}
	})
}

// Of all requests that come when a key opens, one of one replica is the probe. The others follow when it has its
// response.
func TestOneReplicaProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 3)
		blockFor(all[0], reads, time.Second)
		time.Sleep(time.Second + 50*time.Millisecond)
		var mu sync.Mutex
		var probes []func()
		for _, one := range all {
			for range 5 {
				go func() {
					if p, err := one.Enter(context.Background(), reads, false); err == nil {
						mu.Lock()
						defer mu.Unlock()
						probes = append(probes, func() { one.Leave(p, true) })
					}
				}()
			}
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(probes) != 1 {
			t.Fatalf("%d requests went out", len(probes))
		}
		probes[0]()
		time.Sleep(time.Millisecond)
		for i, one := range all {
			p, err := one.Enter(t.Context(), reads, false)
			if err != nil {
				t.Fatalf("replica %d: %v", i, err)
			}
			one.Leave(p, true)
		}
	})
}

// A probe that is not sent after all is left to another replica.
func TestAProbeThatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, newBoard(), 2)
		blockFor(all[0], reads, time.Second)
		time.Sleep(2 * time.Second)
		p := enter(t, all[0], reads)
		if _, err := all[1].Enter(t.Context(), reads, false); err == nil {
			t.Fatal("two replicas probe")
		}
		all[0].GiveBack(p)
		time.Sleep(time.Second)
		all[1].Leave(enter(t, all[1], reads), true)
	})
}

// Throttle responses to requests of one epoch are one event, whichever replicas get them: the pace falls once.
func TestThePaceFallsOnceInAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, newBoard(), 3)
		for _, one := range all {
			find(one, reads)
		}
		blockFor(all[0], reads, time.Second)
		time.Sleep(time.Second + 100*time.Millisecond)
		all[0].Leave(enter(t, all[0], reads), true)
		time.Sleep(5 * time.Second)
		var passes []Pass
		for _, one := range all {
			passes = append(passes, enter(t, one, reads))
		}
		for i, one := range all {
			one.Block(reads, passes[i], []Key{reads}, time.Second)
		}
		time.Sleep(100 * time.Millisecond)
		want := find(all[0], reads).share.epoch
		for i, one := range all {
			q := find(one, reads)
			if q.share.epoch != 2 || q.share.epoch != want {
				t.Errorf("replica %d: epoch %d, want 2", i, q.share.epoch)
			}
			if q.pace.ceiling != find(all[0], reads).pace.ceiling {
				t.Errorf("replica %d: another pace", i)
			}
		}
	})
}

// While the store is gone what is blocked stays blocked. When it is back, the later time counts.
func TestTheStoreIsGoneAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		blockFor(all[0], reads, 20*time.Second)
		time.Sleep(time.Second)
		b.setDown(true)
		start := time.Now()
		blockFor(all[1], reads, time.Minute)
		if _, err := all[0].Enter(t.Context(), reads, false); err == nil || time.Since(start) > maxSharedWait {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if left := all[0].Remaining(reads); left > 20*time.Second {
			t.Fatalf("news came although the store is down: %v", left)
		}
		time.Sleep(10 * time.Second)
		b.setDown(false)
		time.Sleep(time.Second)
		for i, one := range all {
			if left := one.Remaining(reads); left < 48*time.Second {
				t.Errorf("replica %d is blocked for %v", i, left)
			}
		}
	})
}

// A store that answers too late costs a request a fiftieth of a second, and then nothing for a second.
func TestASlowStoreCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 1)
		blockAndOpen(t, all[0])
		b.mu.Lock()
		b.roundTrip = time.Second
		before := b.ops
		b.mu.Unlock()
		// Half a second apart each finds a slot that is free.
		waited := 0
		for i := range 10 {
			time.Sleep(500 * time.Millisecond)
			start := time.Now()
			all[0].Leave(enter(t, all[0], reads), true)
			took := time.Since(start)
			if took > maxSharedWait+time.Millisecond {
				t.Errorf("request %d waited %v", i, took)
			}
			if took > 0 {
				waited++
			}
		}
		time.Sleep(2 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.ops == before || waited == 0 || waited > 6 {
			t.Errorf("%d of 10 requests waited, with %d commands", waited, b.ops-before)
		}
	})
}

// A store that was emptied gets what the replicas know.
func TestAnEmptiedStoreIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		blockFor(all[0], reads, time.Minute)
		time.Sleep(time.Second)
		b.mu.Lock()
		clear(b.records)
		b.mu.Unlock()
		if _, err := all[1].Enter(t.Context(), reads, false); err == nil {
			t.Error("what was blocked is open")
		}
		time.Sleep(time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if one := b.records[reads]; one == nil || time.Until(one.until) < 50*time.Second {
			t.Errorf("the record is %+v", one)
		}
	})
}

// A replica whose store fails for a moment tells the others later.
func TestAThrottleResponseIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		b.mu.Lock()
		b.fails = 1
		b.mu.Unlock()
		blockFor(all[0], reads, time.Minute)
		time.Sleep(500 * time.Millisecond)
		if left := all[1].Remaining(reads); left != 0 {
			t.Fatalf("the other replica is blocked for %v", left)
		}
		time.Sleep(aloneFor)
		if left := all[1].Remaining(reads); left < 57*time.Second {
			t.Errorf("the other replica is blocked for %v", left)
		}
	})
}

// A store that was emptied counts changes anew. What one replica blocks meanwhile, the other learns, although it knows
// of more changes.
func TestAnEmptiedStoreCountsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		blockAndOpen(t, all[0])
		time.Sleep(time.Second)
		for range 3 {
			all[1].Leave(enter(t, all[1], reads), true)
			time.Sleep(500 * time.Millisecond)
		}
		q := find(all[1], reads)
		q.mu.Lock()
		q.share.change += 1000
		q.pace.age += 2 * time.Second
		q.mu.Unlock()
		b.setDown(true)
		blockFor(all[0], reads, time.Minute)
		b.mu.Lock()
		clear(b.records)
		b.mu.Unlock()
		b.setDown(false)
		time.Sleep(time.Second)
		if left := all[1].Remaining(reads); left < 55*time.Second {
			t.Errorf("the other replica is blocked for %v", left)
		}
		time.Sleep(time.Minute)
		for i, one := range all {
			p, err := one.Enter(t.Context(), reads, true)
			if err != nil {
				t.Fatalf("replica %d never opens: %v", i, err)
			}
			one.Leave(p, true)
			time.Sleep(time.Second)
		}
	})
}

// What nobody is throttled for costs the store nothing.
func TestNothingIsAskedWithoutAThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		for range 100 {
			for _, one := range all {
				one.Leave(enter(t, one, reads), true)
			}
		}
		if b.ops != 0 {
			t.Errorf("%d commands", b.ops)
		}
	})
}

// A pace comes to the other replica as it is.
func TestPacesAreEncoded(t *testing.T) {
	now := time.Now()
	p := pace{ceiling: 12.5, age: 3 * time.Second, since: now.Add(-time.Second), hold: 18 * time.Second, confirmed: 2, crowded: now.Add(-time.Second), refused: 1.75, opened: now.Add(-4 * time.Second)}
	var q pace
	// A later version adds to the end.
	q.decode(p.encode(now)+" 7", time.Second, now.Add(time.Second))
	for _, after := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		if a, b := p.rate(now.Add(after)), q.rate(now.Add(after)); a < b*0.99 || a > b*1.01 {
			t.Errorf("after %v: %v and %v", after, a, b)
		}
	}
	before := q
	if q.decode("12.5 and more", 0, now); q.ceiling != before.ceiling || q.age != before.age {
		t.Error("what cannot be read changed the pace")
	}
}

// A pace that grows past all limits in a replica without requests does not end that of the others. When nobody has any,
// each replica forgets it, and the store does.
func TestAReplicaWithoutRequestsEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		w := new(window)
		ctx, cancel := context.WithCancel(t.Context())
		busy := make(chan struct{})
		go func() {
			defer close(busy)
			w.demand(ctx, all[0], 300)
		}()
		has := func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.records[reads] != nil
		}
		time.Sleep(10 * time.Second)
		for range 60 {
			time.Sleep(time.Second)
			if !has() || len(all[1].InForce()) != 1 {
				t.Fatalf("the record is there: %t, in force at the other replica: %v", has(), all[1].InForce())
			}
		}
		cancel()
		<-busy
		time.Sleep(30 * time.Second)
		nothingInForce(t, all)
		if has() {
			t.Error("the record is there")
		}
	})
}

// The same with a store that fails: a replica goes by what it knows itself.
func TestAThrottleEndsWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		all := fleet(t, b, 2)
		blockAndOpen(t, all[0])
		time.Sleep(time.Second)
		b.mu.Lock()
		b.fails = 1000
		b.mu.Unlock()
		time.Sleep(30 * time.Second)
		nothingInForce(t, all)
	})
}

// A store that was emptied has counted nothing yet. A throttle response that comes then says what this replica counted
// itself.
func TestAnEmptiedStoreKeepsTheCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		one := fleet(t, b, 1)[0]
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		new(window).demand(ctx, one, 300)
		ceiling := func() float64 {
			q := find(one, reads)
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.pace.ceiling
		}
		before := ceiling()
		b.mu.Lock()
		clear(b.records)
		b.mu.Unlock()
		for range 4 {
			one.Leave(enter(t, one, reads), true)
		}
		one.Block(reads, enter(t, one, reads), []Key{reads}, time.Second)
		if after := ceiling(); before < 5 || after < before/2 {
			t.Errorf("the ceiling was %v, and is %v", before, after)
		}
	})
}
