package graphjson

// lists tells how far the outermost list of messages has been read, for slabs to plan with.
type lists struct {
	// start is the position of the first element, nested the depth of lists around the cursor.
	start, nested int
	// elements counts what all lists of messages of the text hold so far.
	elements int
}

// enterList and leaveList stand around every list of messages; only the outermost counts.
func (c *cursor) enterList() {
	if c.nested == 0 {
		c.start = c.pos
	}
	c.nested++
}

func (c *cursor) leaveList() { c.nested-- }

// plan says how many values to make room for, when taken were taken from start on and at least need are needed now. It
// grows by factors of eight up to what the rest of the text can be expected to hold, so that neither a long list costs
// many allocations nor a lying short element much memory.
func (c *cursor) plan(taken, need, start int) int {
	n := taken
	if c.pos > start {
		rest := int64(taken) * int64(len(c.data)-c.pos) / int64(c.pos-start)
		// A sixteenth more, since the elements to come are never quite as long as those before.
		n = int(min(int64(taken)*8, rest+int64(taken/16)+1))
	}
	// A list never gets longer than its limit; only values that each element has several of go beyond.
	n = min(n, max(graphMaxElements-taken, taken))
	return max(n, need, 1)
}

// slab hands out values of one type from a few large allocations.
type slab[T any] struct {
	free  []T
	taken int
}

func (s *slab[T]) next(c *cursor) *T {
	if len(s.free) == 0 {
		s.refill(c, 1)
	}
	value := &s.free[0]
	s.free = s.free[1:]
	s.taken++
	return value
}

// slice hands out n values in a row.
func (s *slab[T]) slice(c *cursor, n int) []T {
	if len(s.free) < n {
		s.refill(c, n)
	}
	values := s.free[:n:n]
	s.free = s.free[n:]
	s.taken += n
	return values
}

func (s *slab[T]) refill(c *cursor, need int) {
	start := c.pos
	if c.nested > 0 {
		start = c.start
	}
	s.free = make([]T, c.plan(s.taken, need, start))
}

// grow appends to a list that began at start and whose final length is planned like that of a slab.
func grow[T any](list []T, value T, c *cursor, start int) []T {
	if len(list) == cap(list) {
		longer := make([]T, len(list), len(list)+c.plan(len(list), 4, start))
		copy(longer, list)
		list = longer
	}
	return append(list, value)
}
