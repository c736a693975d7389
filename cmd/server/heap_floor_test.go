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
	for alive, want := range map[uint64]int{4 << 20: 800, 16 << 20: 200, 32 << 20: 100, 1 << 30: 100} {
		if got := percentFor(alive); got != want {
			t.Errorf("%d MB alive: %d %%, want %d %%", alive>>20, got, want)
		}
	}
}
