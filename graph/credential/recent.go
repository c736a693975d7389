package credential

import "container/list"

// recent holds the entries used last, up to a limit of those with a token and as many without one: whoever names tenants
// that do not exist, or while the authority hangs, must not drive out the tokens of those that do.
type recent struct {
	limit   int
	entries map[key]*list.Element
	// with are the entries with a token, without the others. Each has the entry used last in front.
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
	// A list does nothing about elements of the other.
	r.with.MoveToFront(element)
	r.without.MoveToFront(element)
	return element.Value.(*entry)
}

// promote takes an entry, which has got a token, to those with one.
func (r *recent) promote(e *entry) {
	element := r.entries[e.key]
	r.without.Remove(element)
	r.with.Remove(element)
	r.add(r.with, e)
}

// add puts an entry in front of a list. The one used longest ago makes room for it.
func (r *recent) add(to *list.List, e *entry) {
	if to.Len() >= r.limit {
		delete(r.entries, to.Remove(to.Back()).(*entry).key)
	}
	r.entries[e.key] = to.PushFront(e)
}
