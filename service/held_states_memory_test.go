//go:build !race

// The race detector has memory of its own.

package service_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// What the hub says that it holds is what it takes.
func TestStatesTakeWhatTheyCount(t *testing.T) {
	for _, padding := range []int{0, 2000, 50_000} {
		s := servicetest.NewOnHandler(t, unitsOfAnySize(padding))
		live := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		for n := range 20 {
			if _, err := waitUnit(s, fmt.Sprintf("first-%d", n)); err != nil {
				t.Fatal(err)
			}
		}
		before, counted := live(), s.Services.HeldBytes()
		states := 500
		for n := range states {
			if _, err := waitUnit(s, fmt.Sprintf("unit-%d", n)); err != nil {
				t.Fatal(err)
			}
		}
		takes, counts := (live()-before)/int64(states), (s.Services.HeldBytes()-counted)/int64(states)
		t.Logf("a unit of %d bytes and some more: the hub takes %d bytes for it, and counts %d", padding, takes, counts)
		if counts < takes*2/3 || counts > takes*4 {
			t.Errorf("it takes %d bytes and counts %d", takes, counts)
		}
	}
}
