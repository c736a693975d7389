package graphjson

// lists knows how far the outermost list of messages has been read. Slabs plan with it.
type lists struct {
	// start is the position of the outermost list, nested the number of lists around the cursor.
	start, nested int
	// elements counts the elements of all lists of messages of the text so far.
	elements int
}

// ListStart enters a list of messages and stops before its first element. It returns false when there is none.
func (c *Cursor) ListStart() bool {
	if c.nested == 0 {
		c.start = c.pos
	}
	if !c.arrayStart() {
		return false
	}
	c.nested++
	c.elements++
	return true
}

// ListNext stops before the next element of the list. It returns false at the end of the list.
func (c *Cursor) ListNext() bool {
	if !c.arrayNext(c.elements) {
		c.nested--
		return false
	}
	c.elements++
	return true
}

// plan returns how many values the next allocation has room for. taken values were taken since position start, and at
// least need are needed now.
//
// It multiplies by eight, up to what the rest of the text probably holds. So a long list costs few allocations, and a
// short first element that is followed by a long one costs little memory.
func (c *Cursor) plan(taken, need, start int) int {
	n := taken
	if c.pos > start {
		rest := int64(taken) * int64(len(c.data)-c.pos) / int64(c.pos-start)
		// A sixteenth more, because the next elements are never exactly as long as those before.
		n = int(min(int64(taken)*8, rest+int64(taken/16)+1))
	}
	// A list never exceeds its limit. Only values that one element has several of can go beyond it.
	n = min(n, max(maxElements-taken, taken))
	return max(n, need, 1)
}

// Slab hands out values of one type from a few large allocations.
type Slab[T any] struct {
	free  []T
	taken int
}

// Next hands out one value.
func (s *Slab[T]) Next(c *Cursor) *T {
	if len(s.free) == 0 {
		s.refill(c, 1)
	}
	value := &s.free[0]
	s.free = s.free[1:]
	s.taken++
	return value
}

// Slice hands out n values in a row. The slice has no room for more.
func (s *Slab[T]) Slice(c *Cursor, n int) []T {
	if len(s.free) < n {
		s.refill(c, n)
	}
	values := s.free[:n:n]
	s.free = s.free[n:]
	s.taken += n
	return values
}

func (s *Slab[T]) refill(c *Cursor, need int) {
	start := c.pos
	if c.nested > 0 {
		start = c.start
	}
	s.free = make([]T, c.plan(s.taken, need, start))
}

// Grow appends value to a list that begins at position start. It plans the list's capacity as a slab plans its
// allocations.
func Grow[T any](list []T, value T, c *Cursor, start int) []T {
	if len(list) == cap(list) {
		longer := make([]T, len(list), len(list)+c.plan(len(list), 4, start))
		copy(longer, list)
		list = longer
	}
	return append(list, value)
}
