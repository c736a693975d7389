package hub

const (
	// maxReads is how many reads are on their way at once, maxReadsOfTenant how many of one tenant: few of what the
	// server may have, so that they hold up no call.
	maxReads         = 64
	maxReadsOfTenant = 16
)

// reads is the reads that are on their way, and those that wait for that. The tenants are served in turn. The hub's
// mutex guards it.
type reads struct {
	running int
	tenants map[string]*readsOfTenant
	// next are the tenants with reads that wait.
	next []*readsOfTenant
}

type readsOfTenant struct {
	tenant  string
	running int
	waiting []func()
}

// run runs a read in a goroutine of its own, now or when others have ended. The mutex is held.
func (l *reads) run(h *Hub, tenant string, read func()) {
	if l.tenants == nil {
		l.tenants = make(map[string]*readsOfTenant)
	}
	t := l.tenants[tenant]
	if t == nil {
		t = &readsOfTenant{tenant: tenant}
		l.tenants[tenant] = t
	}
	if len(t.waiting) == 0 {
		l.next = append(l.next, t)
	}
	t.waiting = append(t.waiting, read)
	l.start(h)
}

// start starts what may run.
func (l *reads) start(h *Hub) {
	for range len(l.next) {
		if l.running >= maxReads {
			return
		}
		t := l.next[0]
		l.next = l.next[1:]
		if t.running >= maxReadsOfTenant {
			l.next = append(l.next, t)
			continue
		}
		read := t.waiting[0]
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		if len(t.waiting) > 0 {
			l.next = append(l.next, t)
		}
		t.running++
		l.running++
		go func() {
			read()
			h.mu.Lock()
			defer h.mu.Unlock()
			t.running--
			l.running--
			if t.running == 0 && len(t.waiting) == 0 {
				delete(l.tenants, t.tenant)
			}
			l.start(h)
		}()
	}
}
