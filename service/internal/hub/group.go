package hub

import (
	"context"
	"time"
)

// group is a collection of which resources are waited for.
type group struct {
	key     Collection
	members map[*watched]struct{}
	timer   *time.Timer
	// due is when the list is read next, began when it was last read, and notBefore when it may be.
	due, began, notBefore time.Time
	listing               bool
	// apartUntil is until when its resources are read one by one, however many they are.
	apartUntil time.Time
}

// together reports whether the list is read in the place of the resources.
func (g *group) together(now time.Time) bool {
	return g != nil && len(g.members) > maxApart && !now.Before(g.apartUntil)
}

// join puts a resource into its collection.
func (h *Hub) join(w *watched, source Source) {
	if source.List == nil || w.group != nil {
		return
	}
	g := h.groups[source.Collection]
	if g == nil {
		g = &group{key: source.Collection, members: make(map[*watched]struct{})}
		g.timer = time.AfterFunc(keepFor, func() { h.wakeGroup(g) })
		g.timer.Stop()
		h.groups[source.Collection] = g
	}
	g.members[w], w.group, w.mark = struct{}{}, g, ""
}

// quit takes a resource out of its collection.
func (h *Hub) quit(w *watched) {
	g := w.group
	if g == nil {
		return
	}
	w.group = nil
	if delete(g.members, w); len(g.members) == 0 {
		g.timer.Stop()
		if !g.listing && h.groups[g.key] == g {
			delete(h.groups, g.key)
		}
		return
	}
	if len(g.members) == maxApart {
		// From now on each is read alone again.
		h.scheduleAll(g)
	}
}

func (h *Hub) scheduleAll(g *group) {
	for w := range g.members {
		h.schedule(w)
	}
}

// pullGroup asks for a read of the list at a time, or as soon after it as may be.
func (h *Hub) pullGroup(g *group, at time.Time) {
	if !g.began.IsZero() {
		at = latest(at, g.began.Add(minInterval))
	}
	at = latest(at, g.notBefore)
	if g.due.IsZero() || at.Before(g.due) {
		g.due = at
		g.timer.Reset(time.Until(at))
	}
}

// wakeGroup is the timer of a collection.
func (h *Hub) wakeGroup(g *group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g.due = time.Time{}
	if g.listing || h.ctx.Err() != nil {
		return
	}
	now := time.Now()
	if !g.together(now) {
		h.scheduleAll(g)
		return
	}
	source, ok := g.source(now)
	if !ok {
		// Who asked for it is gone, or was read alone meanwhile.
		h.pullNext(g)
		return
	}
	g.listing = true
	pages := max(1, len(g.members)/maxApart)
	h.reads.run(h, g.key.Tenant, func() {
		h.mu.Lock()
		moment := h.moment()
		g.began = time.Now()
		h.polls++
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(h.ctx, readTime)
		list := source(ctx, pages)
		cancel()
		h.mu.Lock()
		defer h.mu.Unlock()
		g.listing = false
		if h.ctx.Err() == nil {
			h.listed(g, list, moment)
		}
	})
}

// source returns how to read the list, if a member is due.
func (g *group) source(now time.Time) (list func(context.Context, int) Listing, ok bool) {
	for w := range g.members {
		if w.last != nil && w.known && !now.Before(w.due) {
			return w.last.source.List, true
		}
	}
	return nil, false
}

// pullNext sets the timer for the member that is due first.
func (h *Hub) pullNext(g *group) {
	var first time.Time
	for w := range g.members {
		if w.known && !w.reading && w.urgent == 0 && (first.IsZero() || w.due.Before(first)) {
			first = w.due
		}
	}
	if !first.IsZero() {
		h.pullGroup(g, first)
	}
}

// listed compares a list with what is known of the members. Those whose item is another one are read; of the others it
// is known that they are as they were.
func (h *Hub) listed(g *group, list Listing, moment uint64) {
	now := time.Now()
	if len(g.members) == 0 {
		if h.groups[g.key] == g {
			delete(h.groups, g.key)
		}
		return
	}
	switch {
	case list.Err != nil && list.Again > 0:
		g.notBefore = now.Add(list.Again)
		for w := range g.members {
			if w.known && !w.reading {
				w.grow()
				w.due = latest(g.notBefore, now.Add(w.interval))
			}
		}
	case list.Err != nil || list.TooLong:
		g.apartUntil = now.Add(apartFor)
		h.scheduleAll(g)
		return
	default:
		for w := range g.members {
			mark, ok := list.Marks[w.idIn()]
			switch {
			case !ok || mark != w.mark:
				// It changed, is new to the list, or is not in it.
				w.mark, w.urgent = mark, moment
			case w.known && !w.reading && w.urgent == 0:
				h.publish(w, Outcome{State: w.state}, moment)
			}
			h.schedule(w)
		}
	}
	h.pullNext(g)
}

// idIn returns the id of a resource in its list.
func (w *watched) idIn() string {
	if w.last == nil {
		return ""
	}
	return w.last.source.ID
}
