package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Pools keep the memory of a burst until the collector has run twice, and the collector runs when the heap has grown: a
// server that has nothing more to do would keep it for minutes. So somebody has to look.

const (
	// idleInterval is how often the server looks whether it is idle.
	idleInterval = 15 * time.Second
	// worthReturning is how many bytes more than the last time make it worth to collect.
	worthReturning = 16 << 20
)

// idleMemory gives memory back to the system that only a burst has needed.
type idleMemory struct {
	// cycles is how often the collector had run at the last look, kept what the process held after the last return.
	cycles, kept uint64
}

// look collects what pools keep and returns free memory, when the collector has had no reason to run since the last
// look, and more memory is held than after the last return. It reports whether it did.
func (m *idleMemory) look() bool {
	cycles, held := readMemory()
	idle := cycles == m.cycles
	m.cycles = cycles
	if !idle || held < m.kept+worthReturning {
		return false
	}
	// What is in a sync.Pool survives one cycle.
	runtime.GC()
	debug.FreeOSMemory()
	m.cycles, m.kept = readMemory()
	return true
}

// readMemory returns how often the collector has run, and how many bytes of the heap are not the system's.
func readMemory() (cycles, held uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples[1:] {
		held += s.Value.Uint64()
	}
	return samples[0].Value.Uint64(), held
}

// returnIdleMemory looks until the context ends.
func returnIdleMemory(ctx context.Context) {
	ticker := time.NewTicker(idleInterval)
	defer ticker.Stop()
	var memory idleMemory
	for {
		select {
		case <-ticker.C:
			memory.look()
		case <-ctx.Done():
			return
		}
	}
}
