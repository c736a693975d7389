package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestHeapFloor makes garbage and keeps nothing, as small calls do.
func TestHeapFloor(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer keepHeapFloor("")()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const garbage = 20 * heapFloor
	for range garbage >> 12 {
		sink = make([]byte, 1<<12)
	}
	runtime.ReadMemStats(&after)
	// Without the floor there are more than a hundred.
	if n := after.NumGC - before.NumGC; n < 5 || n > 40 {
		t.Errorf("%d collections of %d MB of garbage, want one for each %d MB", n, garbage>>20, heapFloor>>20)
	}
}

// sink keeps the compiler from leaving out what nobody uses.
var sink []byte

func TestGOGCWinsOverTheHeapFloor(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	keepHeapFloor("70")()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("the percentage is %d", got)
	}
}

func TestPercentOfTheHeapFloor(t *testing.T) {
	for _, test := range []struct{ heap, stacks, want int }{
		{4, 0, 800}, {16, 0, 200}, {32, 0, 100}, {1 << 10, 0, 100}, {2, 2, 800},
		// With thousands of calls under way the heap doubles, and does not grow by the stacks too.
		{60, 60, minPercent}, {60, 20, 75}, {40, 400, minPercent},
	} {
		if got := percentFor(uint64(test.heap)<<20, uint64(test.heap+test.stacks)<<20); got != test.want {
			t.Errorf("%d MB alive and %d MB of stacks: %d %%, want %d %%", test.heap, test.stacks, got, test.want)
		}
	}
}
