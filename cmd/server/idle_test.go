package main

import (
	"testing"

	"github.com/m365backup/backupstorage/internal/buffers"
)

func TestMemoryOfABurstIsReturned(t *testing.T) {
	var memory idleMemory
	for range 2 {
		// Whatever the tests before have left.
		memory.look()
	}
	_, before := readMemory()
	var all []*[]byte
	for range 64 {
		b := buffers.Get(1 << 20)
		*b = append(*b, make([]byte, 1<<20)...)
		all = append(all, b)
	}
	for _, b := range all {
		buffers.Put(b)
	}
	if _, held := readMemory(); held < before+48<<20 {
		t.Fatalf("a burst of 64 MiB made it %d kB from %d kB", held>>10, before>>10)
	}
	returned := false
	// The collector may have run for the burst: then the server is not idle yet.
	for range 3 {
		returned = returned || memory.look()
	}
	if _, held := readMemory(); !returned || held > before+before/5+4<<20 {
		t.Errorf("%d kB are held, %d kB before the burst, returned: %v", held>>10, before>>10, returned)
	}
	if memory.look() {
		t.Error("it collects again for nothing")
	}
}
