package throttle

import "slices"

// maxQueued is how many requests of one tenant wait for a slot at once when no other tenant does.
const maxQueued = 64

// line is the requests that wait for a slot. Slots go to the tenants in turn, one request each, and in order within a
// tenant. A tenant that asks more than the others so holds up its own requests, and no others.
type line struct {
	// tenants are those with waiting requests, the next first.
	tenants []*tenantLine
	total   int
}

type tenantLine struct {
	tenant  string
	waiting []*waiter
}

// waiter is a request that waits for its slot.
type waiter struct {
	tenant string
	// first gets a value when the request becomes the next one.
	first chan struct{}
}

func (l *line) index(tenant string) int {
	return slices.IndexFunc(l.tenants, func(t *tenantLine) bool { return t.tenant == tenant })
}

// next is the request that gets the next slot, nil when none waits.
func (l *line) next() *waiter {
	if len(l.tenants) == 0 {
		return nil
	}
	return l.tenants[0].waiting[0]
}

// ahead is how many requests get a slot before another one of the tenant, as long as no other request comes.
func (l *line) ahead(tenant string) int {
	own, n := l.index(tenant), 0
	if own < 0 {
		return len(l.tenants)
	}
	rounds := len(l.tenants[own].waiting)
	for i, t := range l.tenants {
		before := rounds
		if i < own {
			before++
		}
		n += min(len(t.waiting), before)
	}
	return n
}

// full reports whether no other request of the tenant may wait. A tenant has to leave as many places free as it has
// itself: one that takes all it can leaves half of them, two leave a third.
func (l *line) full(tenant string) bool {
	own := l.index(tenant)
	return own >= 0 && len(l.tenants[own].waiting) >= 2*maxQueued-l.total || l.total >= 2*maxQueued
}

func (l *line) join(tenant string) *waiter {
	w := &waiter{tenant, make(chan struct{}, 1)}
	own := l.index(tenant)
	if own < 0 {
		own = len(l.tenants)
		l.tenants = append(l.tenants, &tenantLine{tenant: tenant})
	}
	l.tenants[own].waiting = append(l.tenants[own].waiting, w)
	l.total++
	return w
}

// quit takes a request out of the line, in which it may no longer be. served says that it got its slot: then it is the
// next tenant's turn.
func (l *line) quit(w *waiter, served bool) {
	own := l.index(w.tenant)
	if own < 0 {
		return
	}
	t := l.tenants[own]
	i := slices.Index(t.waiting, w)
	if i < 0 {
		return
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	l.total--
	if len(t.waiting) == 0 || served {
		l.tenants = slices.Delete(l.tenants, own, own+1)
	}
	if len(t.waiting) > 0 && served {
		l.tenants = append(l.tenants, t)
	}
}

// wake makes the next request look at the clock.
func (l *line) wake() {
	if w := l.next(); w != nil {
		select {
		case w.first <- struct{}{}:
		default:
		}
	}
}
