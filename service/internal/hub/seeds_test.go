package hub

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var seeds = flag.Int("seeds", 200, "how many seeded runs TestNoTerminalStateIsMissed makes")

// Every reader sees the terminal state of its resource, whatever comes between: readers that are cut and go on with the
// last revision that they have seen at any replica, replicas that drain in the middle of a read and others that take
// their place, errors that pass, slow reads, lists.
func TestNoTerminalStateIsMissed(t *testing.T) {
	var all happened
	for seed := range *seeds {
		synctest.Test(t, func(t *testing.T) { runSeed(t, uint64(seed), &all) })
	}
	t.Logf("%d runs: %d readers saw the terminal state; %d were cut, %d drained, %d went on at another replica; %d replicas were replaced",
		*seeds, all.readers.Load(), all.cuts.Load(), all.drained.Load(), all.moved.Load(), all.replaced.Load())
	if *seeds >= 100 && (all.cuts.Load() < 100 || all.drained.Load() < 100 || all.moved.Load() < 100) {
		t.Error("too little happened")
	}
}

// happened counts what came between readers and their terminal states.
type happened struct{ readers, cuts, drained, moved, replaced atomic.Int64 }

// replica is a hub, and what is closed when it drains.
type replica struct {
	*upstream
	stopping chan struct{}
}

// drain ends a replica as Server.Drain does.
func (r *replica) drain() {
	close(r.stopping)
	r.hub.Close()
}

// fleet is the replicas of a run. They read the same resources.
type fleet struct {
	make func() *upstream
	mu   sync.Mutex
	now  [3]*replica
	all  []*replica
}

// replace puts a new replica in a place, and returns the one that was there.
func (f *fleet) replace(place int) (old *replica) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old = f.now[place]
	f.now[place] = &replica{f.make(), make(chan struct{})}
	f.all = append(f.all, f.now[place])
	return old
}

func (f *fleet) any(rng *rand.Rand) *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now[rng.IntN(len(f.now))]
}

// change changes a resource. All hubs read it, those too that drain, so the mutexes of all guard it.
func (f *fleet) change(states map[string]int, id string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.all {
		r.hub.mu.Lock()
	}
	states[id] = n
	for _, r := range f.all {
		r.hub.mu.Unlock()
	}
}

func runSeed(t *testing.T, seed uint64, all *happened) {
	rng := rand.New(rand.NewPCG(seed, 1))
	const terminal = 5
	resources := 1 + rng.IntN(12)
	states := map[string]int{}
	pages, made := 1, uint64(0)
	if rng.IntN(3) == 0 {
		pages = 4
	}
	f := &fleet{make: func() *upstream {
		u := newUpstream()
		u.states, u.last, u.pages = states, terminal, pages
		made++
		random := rand.New(rand.NewPCG(seed, 1_000_000+made))
		u.took = time.Duration(random.IntN(2000)) * time.Millisecond
		u.fail = func(string) (time.Duration, error) {
			if random.IntN(4) == 0 {
				return time.Duration(random.IntN(3000)+1) * time.Millisecond, errors.New("passes")
			}
			return 0, nil
		}
		return u
	}}
	for place := range f.now {
		f.replace(place)
	}
	list := ""
	if rng.IntN(2) == 0 {
		list = "list"
	}
	missed, over := make(chan string, 3*resources), make(chan struct{})
	readers := 0
	for id := range resources {
		name := strconv.Itoa(id)
		f.change(states, name, 1)
		steps := rand.New(rand.NewPCG(seed, uint64(id)+100))
		go func() {
			for n := 2; n <= terminal; n++ {
				time.Sleep(time.Duration(steps.IntN(40_000)) * time.Millisecond)
				f.change(states, name, n)
			}
		}()
		for k := range 1 + rng.IntN(3) {
			readers++
			own := rand.New(rand.NewPCG(seed, uint64(id*10+k)+1000))
			go func() { missed <- readToTheEnd(own, f, list, name, all) }()
		}
	}
	go func() {
		drains := rand.New(rand.NewPCG(seed, 2))
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(drains.IntN(20_000)) * time.Millisecond):
				f.replace(drains.IntN(len(f.now))).drain()
				all.replaced.Add(1)
			}
		}
	}()
	for range readers {
		select {
		case text := <-missed:
			if text != "" {
				t.Errorf("seed %d: %s", seed, text)
			}
		case <-time.After(time.Hour):
			t.Fatalf("seed %d: a reader waits for ever", seed)
		}
	}
	close(over)
	synctest.Wait()
	all.readers.Add(int64(readers))
	for _, r := range f.now {
		r.drain()
	}
	time.Sleep(10 * time.Minute)
	for _, r := range f.all {
		if c := r.hub.Counts(); c.Readers != 0 {
			t.Errorf("seed %d: %+v", seed, c)
		}
	}
}

// readToTheEnd reads a resource as a client does that is cut now and then, or whose replica drains, and goes on at any
// replica. It returns what went wrong.
func readToTheEnd(rng *rand.Rand, f *fleet, list, id string, all *happened) string {
	var at *replica
	for seen, cuts := "", 0; cuts < 1000; cuts++ {
		before := at
		if at = f.any(rng); before != nil && before != at {
			all.moved.Add(1)
		}
		r := at.watch(list, id, seen)
		done, text := readOnce(rng, at, r, &seen, all)
		r.Close()
		if done {
			return text
		}
	}
	return "was cut a thousand times"
}

// readOnce reads until the terminal state comes, or something goes wrong, which it returns; or until the reader is cut
// or drained.
func readOnce(rng *rand.Rand, at *replica, r *Reader, seen *string, all *happened) (done bool, text string) {
	patience := time.NewTimer(time.Duration(100+rng.IntN(45_000)) * time.Millisecond)
	defer patience.Stop()
	for {
		select {
		case <-r.Ready():
			out, ok := r.Take()
			if !ok || out.Err != nil {
				return true, fmt.Sprintf("got %t, %v", ok, out.Err)
			}
			before, _ := strconv.Atoi(*seen)
			if now, _ := out.State.Value.(int); now < before {
				return true, "went back from " + *seen + " to " + strconv.Itoa(now)
			}
			if *seen = out.State.Revision; out.State.Terminal {
				return true, ""
			}
			// It is slow.
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		case <-at.stopping:
			all.drained.Add(1)
			return false, ""
		case <-patience.C:
			all.cuts.Add(1)
			return false, ""
		}
	}
}
