package credential

import "container/list"

// recent holds the entries used last, up to a limit.
type recent struct {
	limit   int
	entries map[key]*list.Element
	// order has the entry used last in front.
	order *list.List
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, entries: make(map[key]*list.Element), order: list.New()}
}

// entry returns the entry of a key, an empty one if there was none. The one used longest ago makes room for it.
func (r *recent) entry(k key) *entry {
	if element, ok := r.entries[k]; ok {
		e := element.Value.(*entry)
		if e.token.text != "" || len(e.demands) == 0 {
			r.order.MoveToFront(element)
		}
		return e
	}
	if r.order.Len() >= r.limit {
		oldest := r.order.Back()
		r.order.Remove(oldest)
		delete(r.entries, oldest.Value.(*entry).key)
	}
	e := &entry{key: k}
	r.entries[k] = r.order.PushFront(e)
	return e
}

// demote makes an entry the first to go: whoever names tenants that do not exist must not drive out the tokens of those
// that do.
func (r *recent) demote(k key) {
	if element, ok := r.entries[k]; ok {
		r.order.MoveToBack(element)
	}
}
