package hub

import (
	"errors"
	"flag"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

var seeds = flag.Int("seeds", 200, "how many seeded runs TestNoTerminalStateIsMissed makes")

// Every reader sees the terminal state of its resource, whatever comes between: readers that come and go with the last
// revision that they have seen, here or at another hub, errors that pass, slow reads, lists.
func TestNoTerminalStateIsMissed(t *testing.T) {
	for seed := range *seeds {
		synctest.Test(t, func(t *testing.T) { runSeed(t, uint64(seed)) })
	}
}

func runSeed(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	const terminal = 5
	resources := 1 + rng.IntN(12)
	replicas := []*upstream{newUpstream(), newUpstream()}
	states := map[string]int{}
	for _, u := range replicas {
		u.states, u.last = states, terminal
		u.took = time.Duration(rng.IntN(2000)) * time.Millisecond
		if rng.IntN(3) == 0 {
			u.pages = 4
		}
		random := rand.New(rand.NewPCG(seed, 2))
		u.fail = func(string) (time.Duration, error) {
			if random.IntN(4) == 0 {
				return time.Duration(random.IntN(3000)+1) * time.Millisecond, errors.New("passes")
			}
			return 0, nil
		}
	}
	// Both hubs read the same resources, so one mutex has to guard them.
	change := func(id string, n int) {
		replicas[0].hub.mu.Lock()
		replicas[1].hub.mu.Lock()
		states[id] = n
		replicas[1].hub.mu.Unlock()
		replicas[0].hub.mu.Unlock()
	}
	list := ""
	if rng.IntN(2) == 0 {
		list = "list"
	}
	missed := make(chan string, 3*resources)
	readers := 0
	for id := range resources {
		name := strconv.Itoa(id)
		change(name, 1)
		steps, pauses := rand.New(rand.NewPCG(seed, uint64(id)+100)), 0
		go func() {
			for n := 2; n <= terminal; n++ {
				time.Sleep(time.Duration(steps.IntN(40_000)) * time.Millisecond)
				change(name, n)
				pauses++
			}
		}()
		for k := range 1 + rng.IntN(3) {
			readers++
			own := rand.New(rand.NewPCG(seed, uint64(id*10+k)+1000))
			go func() { missed <- readToTheEnd(own, replicas, list, name) }()
		}
	}
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
	for _, u := range replicas {
		u.hub.Close()
	}
	time.Sleep(10 * time.Minute)
}

// readToTheEnd reads a resource as a client does that is cut now and then, and goes on at any replica. It returns what
// went wrong.
func readToTheEnd(rng *rand.Rand, replicas []*upstream, list, id string) string {
	seen, cuts := "", 0
	for {
		r := replicas[rng.IntN(2)].watch(list, id, seen)
		patience := time.NewTimer(time.Duration(100+rng.IntN(45_000)) * time.Millisecond)
		for cut := false; !cut; {
			select {
			case <-r.Ready():
				out, ok := r.Take()
				if !ok || out.Err != nil {
					r.Close()
					return "got " + strconv.FormatBool(ok)
				}
				before, _ := strconv.Atoi(seen)
				if now, _ := out.State.Value.(int); now < before {
					r.Close()
					return "went back from " + seen + " to " + strconv.Itoa(now)
				}
				seen = out.State.Revision
				if out.State.Terminal {
					r.Close()
					patience.Stop()
					return ""
				}
				// It is slow.
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
			case <-patience.C:
				cut = true
			}
		}
		r.Close()
		if cuts++; cuts > 1000 {
			return "was cut a thousand times"
		}
	}
}
