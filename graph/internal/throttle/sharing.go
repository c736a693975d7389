package throttle

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// maxSharedWait is how long a request waits for the store.
	maxSharedWait = 20 * time.Millisecond
	// aloneFor is how long a throttle takes its own slots after the store was slow or failed.
	aloneFor = time.Second
	// newsAge is how old the newest fact may be when a request comes.
	newsAge = 500 * time.Millisecond
	// maxLease is how many slots a lease has.
	maxLease = 10
	// leaseAhead is how many slots are left when the next lease is asked for at a pace above quickPace, where a round
	// trip takes longer than a slot.
	leaseAhead, quickPace = 3, 20.0
	// maxVain bounds how much longer replicas without their store wait after probes in vain: 16 times.
	maxVain = 4
	// maxCounted is how many replicas count when a request is told how long it would wait for a slot.
	maxCounted = 4
	// countedFor is how long the measured rate of all replicas says something.
	countedFor = 2 * time.Second
)

// share is what a throttle has of the store. The zero value is a throttle that shares nothing. It is plain data.
type share struct {
	store Shared
	key   Key
	// epoch and change are those of the newest fact, heard is when it came.
	epoch, change uint64
	heard         time.Time
	// replicas is how many there were when one was counted last.
	replicas int
	// slots are the times of the leased slots that are left, which are interval apart.
	slots    []time.Time
	interval time.Duration
	// asking is set while a lease is asked for, since askedAt. None is before askAt.
	asking         bool
	askedAt, askAt time.Time
	// aloneUntil is when the store is trusted again.
	aloneUntil time.Time
	// reading is closed when the record was read.
	reading chan struct{}
	// vain is how many probes in a row were throttled while the store was gone.
	vain int
	// others is until when the probe of another replica may take.
	others time.Time
	// endAskedAt is when the store was asked last whether the throttle has ended, and ended that it has.
	endAskedAt time.Time
	ended      bool
}

// together reports whether slots come from the store now.
func (s *share) together(now time.Time) bool {
	return s.store != nil && !now.Before(s.aloneUntil) && (!s.asking || now.Sub(s.askedAt) < maxSharedWait) && s.store.Up()
}

// parts is into how many parts the pace is divided while the slots do not come from the store.
func (s *share) parts() int { return max(1, s.replicas) }

// expire drops the slots whose time has passed by more than a slot.
func (s *share) expire(now time.Time) {
	n := 0
	for n < len(s.slots) && now.Sub(s.slots[n]) > max(s.interval, maxSharedWait) {
		n++
	}
	s.slots = s.slots[n:]
}

// next is when the next slot comes, or when there is reason to look again.
func (s *share) next(now time.Time) time.Time {
	s.expire(now)
	switch {
	case len(s.slots) > 0:
		return s.slots[0]
	case s.asking:
		return s.askedAt.Add(maxSharedWait)
	case s.askAt.After(now):
		return s.askAt
	}
	return now.Add(time.Millisecond)
}

// op is an Op with what the throttle knows.
func (t *throttle) op(verb Verb, now time.Time) Op {
	return Op{
		Verb: verb, Epoch: t.share.epoch, Change: t.share.change, Wait: max(0, t.until.Sub(now)), Paced: t.state == paced,
		Rate: t.pace.rate(now), Pace: t.pace.encode(now),
	}
}

// tell sends an op to the store without waiting, and has then called with what came of it, under the lock; nil for
// adopting it. It reports false when the store is down: then it does nothing. The lock is held.
func (q *queue) tell(op Op, then func(f Fact, err error, now time.Time)) bool {
	store, key := q.share.store, q.share.key
	if store == nil || !store.Up() {
		return false
	}
	go func() {
		f, err := store.Do(context.Background(), key, op)
		q.mu.Lock()
		defer q.mu.Unlock()
		now := time.Now()
		if then != nil {
			then(f, err, now)
		} else if err == nil {
			q.adoptOrPut(f, now)
		}
	}()
	return true
}

// tellBlock tells the others of a throttle response.
func (q *queue) tellBlock(fresh bool, now time.Time) {
	op := q.op(Block, now)
	op.Fresh = fresh
	q.tell(op, func(f Fact, err error, now time.Time) {
		if err != nil {
			// Nobody else can tell the others.
			time.AfterFunc(aloneFor, func() { q.put(context.Background()) })
			return
		}
		lost := fresh && f.Pace != op.Pace
		q.adopt(f, now, true)
		if lost && q.pace.over(now) {
			// The record is of a throttle that all had forgotten: what it knew holds nobody up.
			q.pace.decode(op.Pace, 0, now)
			op.Epoch, op.Change = f.Epoch, f.Change
			q.tell(op, nil)
		}
	})
}

// adoptOrPut adopts a fact; a store that has lost it gets it again.
func (q *queue) adoptOrPut(f Fact, now time.Time) {
	if (!f.Known || f.Epoch < q.share.epoch) && !q.dropped && !q.throttle.ended(now) {
		q.tell(q.op(Put, now), func(f Fact, err error, now time.Time) {
			if err == nil {
				q.adopt(f, now, true)
			}
		})
		return
	}
	q.adopt(f, now, true)
}

// adopt takes over what is newer in a fact. What is blocked here stays blocked: the later time counts. The lock is
// held.
func (q *queue) adopt(f Fact, now time.Time, response bool) {
	if !f.Known {
		return
	}
	s := &q.share
	s.heard = now
	if f.Replicas > 0 {
		s.replicas = f.Replicas
	}
	anew := f.Epoch > s.epoch
	// News can be overtaken by others. A response is what the record has now, also in a store that was emptied, whose
	// numbers begin anew.
	if q.dropped || !anew && f.Change <= s.change && (!response || f.Epoch < s.epoch) {
		return
	}
	s.epoch, s.change, s.ended = max(s.epoch, f.Epoch), f.Change, false
	until := now.Add(f.Wait)
	later := f.Wait > 0 && until.Sub(q.until) > minBlock
	q.pace.decode(f.Pace, f.PaceAge, now)
	switch {
	case f.Paced && now.Before(q.until):
		q.pace.pause(now)
	case f.Paced:
		if q.pace.since.IsZero() {
			q.pace.since = now
		}
		if q.state == paced && !anew {
			return
		}
		if q.throttledAt.IsZero() {
			q.throttledAt = now
		}
		q.epoch++
		q.state, q.slot, s.others = paced, now.Add(q.interval(now)), time.Time{}
		q.release()
	default:
		q.pace.pause(now)
		s.others = time.Time{}
		if f.Probing > 0 {
			s.others = now.Add(f.Probing)
		}
		if anew || later || q.state == paced {
			q.epoch++
			q.state, q.throttledAt, q.refused, s.slots = blocked, now, 0, nil
			if until.After(q.until) {
				q.until = until
			}
			q.release()
			return
		}
		q.signal()
	}
}

// ask asks for a lease when slots are needed. The lock is held.
func (q *queue) ask(now time.Time) {
	s := &q.share
	if q.state != paced || q.dropped || s.asking || now.Before(s.askAt) || !s.together(now) {
		return
	}
	s.expire(now)
	want := min(maxLease, q.line.total-len(s.slots))
	if want <= 0 || len(s.slots) > leaseAhead || len(s.slots) > 0 && q.pace.rate(now) < quickPace {
		return
	}
	op := q.op(Lease, now)
	op.Want = want
	s.askedAt = now
	s.asking = q.tell(op, func(f Fact, err error, now time.Time) {
		s.asking = false
		defer q.line.wake()
		if err != nil || now.Sub(s.askedAt) >= maxSharedWait {
			// What came too late is not used: its slots were taken without the store.
			s.aloneUntil = now.Add(aloneFor)
			return
		}
		q.adoptOrPut(f, now)
		if q.state != paced || !f.Known || !f.Paced {
			s.askAt = now.Add(time.Millisecond)
			return
		}
		if f.Measured >= 0 {
			q.pace.counted, q.pace.countedAt = f.Measured, now
		}
		s.interval = f.Interval
		for i := range f.Slots {
			s.slots = append(s.slots, now.Add(f.First+time.Duration(i)*f.Interval))
		}
		if f.Slots == 0 {
			// The random part keeps one of several replicas from being always the first.
			s.askAt = now.Add(f.AskIn + rand.N(f.Interval/8+time.Millisecond))
		}
	})
}

// hasEnded reports whether the throttle is no longer in force. A pace that others use may have gone on in another way
// than here, where no request came: the store says whether it has ended. The lock is held.
func (q *queue) hasEnded(now time.Time) bool {
	s := &q.share
	switch {
	case !q.throttle.ended(now):
		return false
	case s.ended || q.forgotten(now):
		return true
	// Only a store is asked.
	case now.Sub(s.endAskedAt) < newsAge && s.store.Up():
		return false
	}
	epoch := q.epoch
	asked := q.tell(q.op(End, now), func(f Fact, _ error, now time.Time) {
		q.adopt(f, now, true)
		// A store that fails, or has lost the record meanwhile, knows no more than this replica.
		s.ended = q.epoch == epoch && (!f.Known || f.Epoch < s.epoch)
		q.signal()
	})
	if asked {
		s.endAskedAt = now
	}
	return !asked
}

// claim asks whether this replica may probe. It releases the lock for at most maxSharedWait. Meanwhile the throttle is
// probing, for the other requests. It reports false when another one probes, or when the throttle has changed.
func (q *queue) claim(now time.Time) bool {
	if now.Before(q.share.aloneUntil) {
		return true
	}
	epoch := q.epoch
	answered := make(chan bool, 1)
	asked := q.tell(q.op(Claim, now), func(f Fact, err error, now time.Time) {
		if err == nil && q.epoch == epoch {
			q.adoptOrPut(f, now)
		}
		answered <- err != nil || !f.Known || f.Claimed
	})
	if !asked {
		return true
	}
	q.state, q.probedAt = probing, now
	timer := time.NewTimer(maxSharedWait)
	defer timer.Stop()
	q.mu.Unlock()
	mine := true
	select {
	case mine = <-answered:
	case <-timer.C:
	}
	q.mu.Lock()
	if q.epoch != epoch || q.dropped || q.state == paced {
		return false
	}
	if !mine {
		q.endProbe()
		if q.share.others.IsZero() {
			// It is known soon who probes, or that the throttle has opened.
			q.share.others = time.Now().Add(maxSharedWait)
		}
		q.signal()
	}
	return mine
}

// refresh reads the record when there was no news for a while. It waits for that when the throttle would let a request
// through.
func (q *queue) refresh(ctx context.Context) {
	q.mu.Lock()
	now, s := time.Now(), &q.share
	if s.store == nil || now.Before(s.aloneUntil) || !s.store.Up() {
		q.mu.Unlock()
		return
	}
	if s.reading == nil && now.Sub(s.heard) >= newsAge {
		done := make(chan struct{})
		asked := q.tell(q.op(Read, now), func(f Fact, err error, now time.Time) {
			close(done)
			s.reading = nil
			if err == nil {
				q.adoptOrPut(f, now)
			}
		})
		if asked {
			s.reading, s.heard = done, now
		}
	}
	reading, wait := s.reading, !now.Before(q.until)
	q.mu.Unlock()
	if reading == nil || !wait {
		return
	}
	_ = sleep(ctx, maxSharedWait, reading)
	select {
	case <-reading:
	default:
		// A request waits for it once.
		q.mu.Lock()
		s.aloneUntil = time.Now().Add(aloneFor)
		q.mu.Unlock()
	}
}

// put tells the store all that is known here.
func (q *queue) put(ctx context.Context) {
	q.mu.Lock()
	now, s := time.Now(), &q.share
	if q.dropped || q.throttle.ended(now) || s.store == nil || !s.store.Up() {
		q.mu.Unlock()
		return
	}
	op := q.op(Put, now)
	s.aloneUntil = time.Time{}
	q.mu.Unlock()
	f, err := s.store.Do(ctx, s.key, op)
	if err != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.adopt(f, time.Now(), true)
}

// Share makes the throttles those of all replicas that have the same store. It is called once, before the first
// request. stop ends it.
func (t *Throttles) Share(store Shared) (stop func()) {
	t.store = store
	return store.Listen(t.news, func() {
		for _, q := range t.all(false) {
			q.put(context.Background())
		}
	})
}

// news takes over what another replica has found out.
func (t *Throttles) news(key Key, f Fact) {
	now := time.Now()
	t.mu.RLock()
	q, added := t.queues[key], false
	t.mu.RUnlock()
	if q == nil {
		var p pace
		if p.decode(f.Pace, f.PaceAge, now); !f.Known || f.Paced && (p.since.IsZero() || p.over(now)) {
			return
		}
		q, added = t.findOrAdd(key)
	}
	q.mu.Lock()
	q.adopt(f, now, false)
	q.mu.Unlock()
	if added && t.Began != nil {
		t.Began(key, f.Wait)
	}
}
