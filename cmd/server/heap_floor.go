package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// heapFloor is how many bytes the heap grows at least from one collection to the next. Small calls keep almost nothing
// alive: with Go's rule alone, which lets the heap double, the collector would run after every 4 MB.
const heapFloor = 32 << 20

// minPercent bounds how often the collector runs because of stacks: each time it reads them all.
const minPercent = 50

// floor keeps the heap floor. Go has no setting for one, so it sets the percentage of GOGC anew after each collection.
type floor struct {
	mu      sync.Mutex
	percent int
	ended   bool
}

// keepHeapFloor sets the floor, unless the environment has a value of GOGC. A memory limit wins over it: the runtime
// collects sooner as soon as the limit comes near. The returned function ends it.
func keepHeapFloor(gogc string) (end func()) {
	if gogc != "" {
		return func() {}
	}
	f := new(floor)
	f.adapt()
	return f.end
}

// adapt sets the percentage for what is alive now, and again after the next collection.
func (f *floor) adapt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	// To set it stops the world for some microseconds.
	if percent := percentFor(alive()); abs(percent-f.percent) > percent/16 {
		f.percent = percent
		debug.SetGCPercent(percent)
	}
	// What nothing points to is cleaned up after the next collection.
	runtime.AddCleanup(new([64]byte), func(f *floor) { f.adapt() }, f)
}

// end brings back Go's rule.
func (f *floor) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	debug.SetGCPercent(100)
}

// percentFor is the percentage with which the heap grows by the floor, or doubles if that is more. Go takes it of the
// stacks as well: with thousands of calls under way they are larger than the heap, and it would grow to three times.
func percentFor(heap, all uint64) int {
	return max(minPercent, int(100*max(heapFloor, heap)/max(all, 1)))
}

// alive is what was alive in the heap at the last collection, and with stacks and globals, which is what the percentage
// is taken of.
func alive() (heap, all uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		all += s.Value.Uint64()
	}
	// Before the first collection Go takes it of 4 MB.
	return samples[0].Value.Uint64(), max(all, 4<<20)
}

func abs(n int) int { return max(n, -n) }
