package credential

import (
	"container/list"
	"time"
)

// recent holds the most recently used entries: up to a limit with a token, and as many without one. So requests for
// tenants that do not exist, or requests while the authority hangs, do not evict tokens.
type recent struct {
	limit         int
	entries       map[key]*node
	with, without *ranking
}

// node is an entry with its elements in the two lists of a ranking.
type node struct {
	entry       *entry
	in          *ranking
	all, tenant *list.Element
}

// ranking has the most recently used entry in front, of all entries and of each tenant's.
type ranking struct {
	all     *list.List
	tenants map[string]*list.List
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, entries: make(map[key]*node), with: newRanking(), without: newRanking()}
}

func newRanking() *ranking { return &ranking{all: list.New(), tenants: make(map[string]*list.List)} }

// entry returns the entry of a key, an empty one if there was none.
func (r *recent) entry(k key) *entry {
	n, ok := r.entries[k]
	if !ok {
		n = &node{entry: &entry{key: k}}
		r.add(r.without, n)
		return n.entry
	}
	n.in.all.MoveToFront(n.all)
	n.in.tenants[k.tenant].MoveToFront(n.tenant)
	return n.entry
}

// promote moves an entry that got a token to those with one.
func (r *recent) promote(e *entry) {
	n := r.entries[e.key]
	n.in.remove(n)
	r.add(r.with, n)
}

// add puts an entry in front of a ranking, and evicts another one if that is full.
func (r *recent) add(to *ranking, n *node) {
	if to.all.Len() >= r.limit {
		evicted := to.victim(n.entry.key.tenant, time.Now())
		to.remove(evicted)
		delete(r.entries, evicted.entry.key)
	}
	to.push(n)
	r.entries[n.entry.key] = n
}

// victim is the entry that makes room for one of a tenant: the least recently used of all, or, when that is of use and
// its tenant has fewer entries, the least recently used of the tenant itself. So one tenant with many users does not
// evict the users of others.
func (r *ranking) victim(tenant string, now time.Time) *node {
	last := r.all.Back().Value.(*node)
	own := r.tenants[tenant]
	if own == nil || !last.entry.useful(now) || r.tenants[last.entry.key.tenant].Len() >= own.Len() {
		return last
	}
	return own.Back().Value.(*node)
}

func (r *ranking) push(n *node) {
	own := r.tenants[n.entry.key.tenant]
	if own == nil {
		own = list.New()
		r.tenants[n.entry.key.tenant] = own
	}
	n.in, n.all, n.tenant = r, r.all.PushFront(n), own.PushFront(n)
}

func (r *ranking) remove(n *node) {
	own := r.tenants[n.entry.key.tenant]
	r.all.Remove(n.all)
	own.Remove(n.tenant)
	if own.Len() == 0 {
		delete(r.tenants, n.entry.key.tenant)
	}
}
