package graphjson

// progress tells how far the outermost list of messages has been read, for slabs to plan with.
type progress struct {
	// done elements were read, about more are to come.
	done, more int
	// start is the position of the first element, nested the depth of lists around the cursor.
	start, nested int
}

// enterList and leaveList stand around every list of messages; only the outermost counts.
func (p *progress) enterList(pos int) {
	if p.nested == 0 {
		p.done, p.more, p.start = 0, 0, pos
	}
	p.nested++
}

func (p *progress) leaveList() {
	p.nested--
	if p.nested == 0 {
		p.done, p.more = 0, 0
	}
}

// element counts an element that ends at pos in a text of the given size.
func (p *progress) element(pos, size int) {
	if p.nested == 1 {
		p.done++
		p.more = (size - pos) * p.done / (pos - p.start + 1)
	}
}

// plan says how many values to make room for, when taken were taken so far and at least need are needed now. It grows
// by factors of eight up to what the rest of the text can be expected to hold, so that neither a long list costs many
// allocations nor a lying short element much memory.
func (p *progress) plan(taken, need int) int {
	n := taken
	if p.done > 0 {
		n = min(taken*8, p.more*taken/p.done+1)
	}
	return max(n, need, 1)
}

// slab hands out values of one type from a few large allocations.
type slab[T any] struct {
	free  []T
	taken int
}

func (s *slab[T]) next(p *progress) *T {
	if len(s.free) == 0 {
		s.free = make([]T, p.plan(s.taken, 1))
	}
	value := &s.free[0]
	s.free = s.free[1:]
	s.taken++
	return value
}

// slice hands out n values in a row.
func (s *slab[T]) slice(p *progress, n int) []T {
	if len(s.free) < n {
		s.free = make([]T, p.plan(s.taken, n))
	}
	values := s.free[:n:n]
	s.free = s.free[n:]
	s.taken += n
	return values
}

// grow appends to a list whose final length is planned like that of a slab.
func grow[T any](list []T, value T, p *progress) []T {
	if len(list) == cap(list) {
		longer := make([]T, len(list), len(list)+p.plan(len(list), 4))
		copy(longer, list)
		list = longer
	}
	return append(list, value)
}
