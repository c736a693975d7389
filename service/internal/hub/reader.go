package hub

import "time"

// Reader is one who waits for a resource.
type Reader struct {
	hub     *Hub
	watched *watched
	source  Source
	// since is the moment when it came. Only reads that begin later count, until one of them came.
	since uint64
	fresh bool
	// slot has the newest outcome that was not taken. ready has a value while there is one.
	slot  Outcome
	ready chan struct{}
}

// Watch begins to wait for a resource. seen is the revision that the reader knows already, empty for none. A reader
// that knows the last state, which is not terminal, waits for the next one; to any other one the state comes as it is
// now. Every reader is closed once.
func (h *Hub) Watch(key Key, source Source, seen string) *Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watched[key]
	if w == nil {
		w = &watched{key: key, readers: make(map[*Reader]struct{}), interval: minInterval}
		w.timer = time.AfterFunc(keepFor, func() { h.wake(w) })
		h.watched[key] = w
	}
	r := &Reader{hub: h, watched: w, source: source, since: h.moment(), ready: make(chan struct{}, 1)}
	r.fresh = w.known && !w.state.Terminal && seen != "" && seen == w.state.Revision
	h.readers++
	if len(w.readers) == 0 {
		h.active++
	}
	w.readers[r] = struct{}{}
	w.last = r
	h.join(w, source)
	if !r.fresh {
		h.pull(w, time.Now())
	}
	h.schedule(w)
	return r
}

// Ready has a value when there is an outcome to take.
func (r *Reader) Ready() <-chan struct{} { return r.ready }

// Take returns the newest outcome, and whether it was not taken before.
func (r *Reader) Take() (Outcome, bool) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	select {
	case <-r.ready:
	default:
	}
	out := r.slot
	r.slot = Outcome{}
	return out, out.Err != nil || out.State.Revision != ""
}

// Latest returns the last state that was seen, whenever that was. Without one, the error of the last read, if that is
// what came of it. ok is false when there is neither.
func (r *Reader) Latest() (out Outcome, ok bool) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	w := r.watched
	if w.known {
		return Outcome{State: w.state}, true
	}
	return w.failed, w.failed.Err != nil
}

// put leaves an outcome for the reader, in the place of one that was not taken.
func (r *Reader) put(out Outcome) {
	r.slot = out
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Close ends the waiting.
func (r *Reader) Close() {
	h, w := r.hub, r.watched
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.readers, r)
	h.readers--
	if w.last == r {
		w.last = nil
		for other := range w.readers {
			w.last = other
			break
		}
	}
	if len(w.readers) > 0 {
		return
	}
	h.active--
	h.quit(w)
	w.timer.Reset(keepFor)
}
