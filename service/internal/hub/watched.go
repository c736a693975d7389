package hub

import (
	"context"
	"time"
)

// watched is a resource with its readers.
type watched struct {
	key     Key
	readers map[*Reader]struct{}
	// last is one of the readers: the resource is read as it may.
	last *Reader
	// group is the collection that it is in while it has readers, nil for none. mark is what its list said last.
	group *group
	mark  string

	// state is what was seen last, failed the error of the last read if it passes.
	state  State
	known  bool
	failed Outcome

	timer *time.Timer
	// due is when the next read is, and began when the last one began. None may begin before notBefore.
	due, began, notBefore time.Time
	interval              time.Duration
	// reading is set while a read is on its way.
	reading bool
	// urgent is the moment when the list showed a change that no read has seen yet, 0 for none.
	urgent uint64
}

// wake is the timer of a resource: it is due, or nobody has waited for it for a while.
func (h *Hub) wake(w *watched) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(w.readers) == 0 {
		if !w.reading && h.watched[w.key] == w {
			delete(h.watched, w.key)
			w.state.release()
		}
		return
	}
	h.schedule(w)
}

// pull asks for a read at a time, or as soon after it as may be.
func (h *Hub) pull(w *watched, at time.Time) {
	if !w.began.IsZero() {
		at = latest(at, w.began.Add(minInterval))
	}
	if at = latest(at, w.notBefore); w.due.IsZero() || at.Before(w.due) {
		w.due = at
	}
}

// schedule reads the resource if it is due, alone or with its collection, and else sets a timer.
func (h *Hub) schedule(w *watched) {
	if len(w.readers) == 0 || w.reading || h.ctx.Err() != nil {
		return
	}
	now := time.Now()
	alone := w.urgent > 0 || !w.known || !w.group.together(now)
	switch {
	case !alone:
		h.pullGroup(w.group, w.due)
	case w.urgent > 0 && !now.Before(w.notBefore), w.urgent == 0 && !now.Before(w.due):
		h.read(w)
	case w.urgent > 0:
		w.timer.Reset(w.notBefore.Sub(now))
	default:
		w.timer.Reset(w.due.Sub(now))
	}
}

// read reads the resource when it may be on its way.
func (h *Hub) read(w *watched) {
	w.reading = true
	h.reads.run(h, w.key.Tenant, func() {
		h.mu.Lock()
		if w.last == nil || h.ctx.Err() != nil {
			w.reading = false
			if len(w.readers) == 0 {
				w.timer.Reset(keepFor)
			}
			h.mu.Unlock()
			return
		}
		source, moment, held := w.last.source, h.moment(), w.state.Held
		w.began = time.Now()
		h.polls++
		h.mu.Unlock()

		ctx, cancel := context.WithTimeout(h.ctx, readTime)
		out := source.Read(ctx, held)
		cancel()

		h.mu.Lock()
		defer h.mu.Unlock()
		w.reading = false
		if h.ctx.Err() != nil {
			// That the read was broken off says nothing of the resource.
			out.State.release()
			return
		}
		h.publish(w, out, moment)
		if len(w.readers) == 0 {
			w.timer.Reset(keepFor)
		}
		h.schedule(w)
	})
}

// publish tells the readers what came of a read that began at a moment, and says when the next one is.
func (h *Hub) publish(w *watched, out Outcome, moment uint64) {
	now := time.Now()
	switch {
	case out.Err != nil && out.Again > 0:
		w.failed = out
		w.grow()
		w.notBefore = now.Add(out.Again)
		w.due = latest(w.notBefore, now.Add(w.interval))
	case out.Err != nil:
		w.known, w.failed, w.urgent = false, out, 0
		w.state.release()
		w.grow()
		w.due = now.Add(w.interval)
		for r := range w.readers {
			if r.fresh || moment > r.since {
				r.put(out)
			} else {
				h.pull(w, now)
			}
		}
	default:
		changed := !w.known || w.state.Revision != out.State.Revision
		if w.state.Held != out.State.Held {
			w.state.release()
		}
		w.state, w.known, w.failed = out.State, true, Outcome{}
		if moment > w.urgent {
			w.urgent = 0
		}
		if changed {
			w.interval = minInterval
		} else {
			w.grow()
		}
		w.due = now.Add(time.Duration(float64(w.interval) * h.spread()))
		for r := range w.readers {
			switch {
			case !r.fresh && moment > r.since:
				r.fresh = true
				r.put(out)
			case r.fresh && changed:
				r.put(out)
			case !r.fresh:
				h.pull(w, now)
			}
		}
	}
}

// grow makes the time between two reads longer.
func (w *watched) grow() {
	limit := maxInterval
	if w.known && w.state.Short {
		limit = maxShort
	}
	w.interval = min(w.interval+w.interval/2, limit)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
