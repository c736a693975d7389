package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// restLook is how often the server looks whether it rests.
const restLook = 15 * time.Second

// restSlack is how many bytes that nobody uses a server at rest may keep, if that is more than a quarter of what is
// alive.
const restSlack = 16 << 20

// heapUse is what the heap has at a moment, in bytes.
type heapUse struct {
	cycles        uint64 // How often the collector has run.
	objects, live uint64 // What is allocated, and what of it was alive at the last collection.
	free          uint64 // What holds nothing, and was not given back to the system.
}

func readHeapUse() heapUse {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	return heapUse{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
}

// wasteful reports whether the server has rested since an earlier look and keeps more than it uses. Collections end by
// themselves when calls do: what the last burst left would stay, since the collector runs when memory is allocated, and
// else only after two minutes.
func (h heapUse) wasteful(earlier heapUse) bool {
	return h.cycles == earlier.cycles && h.objects-min(h.live, h.objects)+h.free > max(restSlack, h.live/4)
}

// giveBackAtRest gives memory back to the system whenever the server rests, until the context ends.
func giveBackAtRest(ctx context.Context) {
	every := time.NewTicker(restLook)
	defer every.Stop()
	for earlier := readHeapUse(); ; {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		now := readHeapUse()
		if now.wasteful(earlier) {
			giveBack()
			now = readHeapUse()
		}
		earlier = now
	}
}

// giveBack collects twice: pools keep what they have over one collection.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}
