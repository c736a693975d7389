package credential

import "container/list"

// recent holds the most recently used entries: up to a limit with a token, and as many without one. So requests for
// tenants that do not exist, or requests while the authority hangs, do not evict tokens.
type recent struct {
	limit   int
	entries map[key]*list.Element
	// with are the entries with a token, without the others. The most recently used entry of each is in front.
	with, without *list.List
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, entries: make(map[key]*list.Element), with: list.New(), without: list.New()}
}

// entry returns the entry of a key, an empty one if there was none.
func (r *recent) entry(k key) *entry {
	element, ok := r.entries[k]
	if !ok {
		e := &entry{key: k}
		r.add(r.without, e)
		return e
	}
	// A list ignores elements of the other list.
	r.with.MoveToFront(element)
	r.without.MoveToFront(element)
	return element.Value.(*entry)
}

// promote moves an entry that got a token to those with one.
func (r *recent) promote(e *entry) {
	element := r.entries[e.key]
	r.without.Remove(element)
	r.with.Remove(element)
	r.add(r.with, e)
}

// add puts an entry in front of a list, and evicts the least recently used one if the list is full.
func (r *recent) add(to *list.List, e *entry) {
	if to.Len() >= r.limit {
		delete(r.entries, to.Remove(to.Back()).(*entry).key)
	}
	r.entries[e.key] = to.PushFront(e)
}
