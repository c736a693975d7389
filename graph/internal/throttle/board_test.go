package throttle

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// board is the store of replicas in memory: the rules of internal/sharedthrottle/record.lua, with a round trip of its
// own.
type board struct {
	mu        sync.Mutex
	records   map[Key]*record
	replicas  []*boardReplica
	roundTrip time.Duration
	// down lets all commands fail. silent loses what is published.
	down, silent bool
	// fails is how many commands fail next.
	fails int
	// probes are the claims that were granted, ops the commands.
	probes, ops int
}

type record struct {
	Fact
	until, paceAt, probeUntil, slot, window time.Time
	prober                                  *boardReplica
	rate, before                            float64
	count                                   int
}

type boardReplica struct {
	*board
	news  func(Key, Fact)
	began func()
}

func newBoard() *board {
	return &board{records: make(map[Key]*record), roundTrip: 300 * time.Microsecond}
}

// replica returns the store as one replica sees it.
func (b *board) replica() *boardReplica {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &boardReplica{board: b}
	b.replicas = append(b.replicas, r)
	return r
}

func (b *board) setDown(down bool) {
	b.mu.Lock()
	b.down = down
	b.mu.Unlock()
	if down {
		return
	}
	for _, r := range b.replicas {
		r.begin()
	}
}

func (r *boardReplica) Up() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.down
}

func (r *boardReplica) Listen(news func(Key, Fact), began func()) func() {
	r.mu.Lock()
	r.news, r.began = news, began
	r.mu.Unlock()
	r.begin()
	return func() {}
}

func (r *boardReplica) begin() {
	r.mu.Lock()
	all := make(map[Key]Fact)
	for key, one := range r.records {
		all[key] = r.fact(one, time.Now())
	}
	r.mu.Unlock()
	for key, f := range all {
		r.news(key, f)
	}
	r.began()
}

func (r *boardReplica) fact(one *record, now time.Time) Fact {
	f := Fact{
		Known: true, Epoch: one.Epoch, Change: one.Change, Paced: one.Paced, Pace: one.Pace, PaceAge: now.Sub(one.paceAt),
		Wait: max(0, one.until.Sub(now)), Replicas: len(r.replicas), Interval: time.Duration(float64(time.Second) / one.rate),
	}
	if one.prober != nil && one.prober != r {
		f.Probing = max(0, one.probeUntil.Sub(now))
	}
	return f
}

// Do follows record.lua line by line.
func (r *boardReplica) Do(_ context.Context, key Key, op Op) (Fact, error) {
	r.mu.Lock()
	half := r.roundTrip / 2
	r.mu.Unlock()
	time.Sleep(half)
	f, tell, err := r.do(key, op)
	for _, news := range tell {
		go func() {
			time.Sleep(half)
			news()
		}()
	}
	time.Sleep(half)
	return f, err
}

func (r *boardReplica) do(key Key, op Op) (f Fact, tell []func(), err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails > 0 {
		r.fails--
		return Fact{}, nil, errors.New("the board fails")
	}
	if r.down {
		return Fact{}, nil, errors.New("the board is down")
	}
	r.ops++
	one := r.records[key]
	known := one != nil
	if !known {
		if op.Verb != Block && op.Verb != Put {
			return Fact{}, nil, nil
		}
		one = &record{rate: op.Rate, before: -1, paceAt: now}
		one.Pace, one.Epoch = op.Pace, op.Epoch
		r.records[key] = one
	}
	takePace := func() { one.rate, one.Pace, one.paceAt = op.Rate, op.Pace, now }
	restart := func() {
		one.window, one.count, one.before = now, 0, -1
		one.slot = now.Add(time.Duration(float64(time.Second) / one.rate))
	}
	blockUntil := func(until time.Time) {
		one.Paced, one.prober = false, nil
		if until.After(one.until) {
			one.until = until
		}
	}
	changed, publish := false, false
	var got, claimed Fact
	switch op.Verb {
	case Block:
		if op.Fresh && op.Epoch == one.Epoch {
			one.Epoch++
			takePace()
		}
		blockUntil(now.Add(op.Wait))
		changed, publish = true, true
	case Put:
		if !known || op.Epoch > one.Epoch {
			one.Epoch, one.Paced, one.prober = op.Epoch, op.Paced, nil
			takePace()
			restart()
			changed, publish = true, true
		} else if op.Epoch == one.Epoch && (op.Rate < one.rate || now.Sub(one.paceAt) > 2*time.Second) {
			takePace()
			changed = true
		}
		if op.Wait > 0 && now.Add(op.Wait).After(one.until.Add(100*time.Millisecond)) {
			blockUntil(now.Add(op.Wait))
			changed, publish = true, true
		}
	case Claim:
		if !one.Paced && !one.until.After(now.Add(time.Millisecond)) && (one.prober == nil || one.prober == r || !one.probeUntil.After(now)) {
			one.prober, one.probeUntil = r, now.Add(maxProbe)
			claimed.Claimed, changed = true, true
			r.probes++
		}
	case Release:
		if one.prober == r {
			one.prober, changed, publish = nil, true, true
		}
	case Open:
		if op.Epoch == one.Epoch && !one.Paced && !one.until.After(now.Add(time.Millisecond)) {
			takePace()
			restart()
			one.Paced, one.prober = true, nil
			changed, publish = true, true
		}
	case End:
		if op.Fresh || op.Epoch == one.Epoch && one.Paced && (op.Change >= one.Change || one.rate >= op.Rate) {
			delete(r.records, key)
			return Fact{}, nil, nil
		}
	case Lease:
		if one.Paced {
			got, changed = r.lease(one, op, now), true
		}
	}
	if changed {
		one.Change = max(one.Change, op.Change) + 1
	}
	if publish && !r.silent {
		for _, other := range r.replicas {
			if f := other.fact(one, now); other != r && other.news != nil {
				tell = append(tell, func() { other.news(key, f) })
			}
		}
	}
	f = r.fact(one, now)
	f.Claimed, f.Slots, f.First, f.AskIn, f.Measured = claimed.Claimed, got.Slots, got.First, got.AskIn, got.Measured
	return f, tell, nil
}

func (r *boardReplica) lease(one *record, op Op, now time.Time) (got Fact) {
	if op.Epoch == one.Epoch && op.Paced {
		one.rate, one.Pace, one.paceAt = op.Rate, op.Pace, now
	}
	interval := time.Duration(float64(time.Second) / one.rate)
	if now.After(one.slot) {
		one.slot = now
	}
	const ahead = 500 * time.Millisecond
	got.First = one.slot.Sub(now)
	length := max(time.Second, 8*interval)
	for got.Slots < min(op.Want, maxLease, max(1, int(one.rate/2))) && !one.slot.After(now.Add(ahead)) {
		if passed := one.slot.Sub(one.window); passed >= length {
			one.before = 0
			if passed < 2*length {
				one.before = float64(one.count) / length.Seconds()
			}
			one.window, one.count = one.slot, 0
		}
		got.Slots++
		one.count++
		one.slot = one.slot.Add(interval)
	}
	if got.Slots == 0 {
		got.AskIn = one.slot.Sub(now) - ahead
	}
	passed, used := now.Sub(one.window), math.Max(0, float64(one.count)-math.Max(0, float64(one.slot.Sub(now))/float64(interval)))
	switch {
	case one.before >= 0 && passed < 0:
		got.Measured = one.before
	case one.before >= 0:
		got.Measured = used/length.Seconds() + one.before*math.Max(0, 1-passed.Seconds()/length.Seconds())
	case passed >= time.Second:
		got.Measured = used / passed.Seconds()
	default:
		got.Measured = -1
	}
	return got
}
