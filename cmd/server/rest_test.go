package main

import (
	"runtime/debug"
	"testing"

	"github.com/m365backup/backupstorage/internal/buffers"
)

// What a burst has left, in pools and elsewhere, goes back to the system.
func TestMemoryIsGivenBackAtRest(t *testing.T) {
	// No collection by itself, as at rest.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	giveBack()
	before := readHeapUse()
	func() {
		var bodies []*[]byte
		for range 64 {
			body := buffers.Get(1 << 20)
			*body = append(*body, make([]byte, 1<<20)...)
			bodies = append(bodies, body)
		}
		for _, body := range bodies {
			buffers.Put(body)
		}
	}()
	burst := readHeapUse()
	if !burst.wasteful(before) {
		t.Fatalf("nothing to give back after a burst: %+v, before it %+v", burst, before)
	}
	giveBack()
	after := readHeapUse()
	if more := int64(after.objects+after.free) - int64(before.objects+before.free); more > restSlack {
		t.Errorf("%d bytes more than before the burst stay", more)
	}
	if after.wasteful(after) {
		t.Errorf("a server that has given back would do it again: %+v", after)
	}
}

func TestServerThatWorksIsNotAtRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		earlier, now heapUse
		want         bool
	}{
		{"rests with garbage", heapUse{cycles: 3}, heapUse{cycles: 3, objects: 40 << 20, live: 10 << 20}, true},
		{"rests with free spans", heapUse{cycles: 3}, heapUse{cycles: 3, objects: 10 << 20, live: 10 << 20, free: 20 << 20}, true},
		{"works", heapUse{cycles: 3}, heapUse{cycles: 4, objects: 40 << 20, live: 10 << 20}, false},
		{"keeps little", heapUse{cycles: 3}, heapUse{cycles: 3, objects: 20 << 20, live: 10 << 20}, false},
		{"a quarter of what is alive", heapUse{cycles: 3}, heapUse{cycles: 3, objects: 240 << 20, live: 200 << 20}, false},
	} {
		if got := c.now.wasteful(c.earlier); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
