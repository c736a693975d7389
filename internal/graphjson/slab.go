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
	c.nextElement()
	return true
}

// ListNext stops before the next element of the list. It returns false at the end of the list.
func (c *Cursor) ListNext() bool {
	if !c.arrayNext(c.elements) {
		c.nested--
		return false
	}
	c.elements++
	c.nextElement()
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
	// chunk is the newest allocation, free what of it was not handed out.
	chunk, free []T
	taken       int
}

// maxKept is how many values of a slab wait in a pool for the next body. One element of a page needs a few.
const maxKept = 128

// Rewind takes back all values that were handed out. Nobody may use them any more.
func (s *Slab[T]) Rewind() {
	if s.taken == 0 {
		return
	}
	clear(s.chunk[:len(s.chunk)-len(s.free)])
	s.free, s.taken = s.chunk, 0
}

// Trim frees what is not worth keeping.
func (s *Slab[T]) Trim() {
	if len(s.chunk) > maxKept {
		*s = Slab[T]{}
	}
}

// Release rewinds and trims. The next body finds room for as many values as this one took.
func (s *Slab[T]) Release() {
	if s.taken > len(s.chunk) && s.taken <= maxKept {
		s.chunk = make([]T, s.taken)
		s.free, s.taken = s.chunk, 0
		return
	}
	s.Rewind()
	s.Trim()
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
	s.chunk = make([]T, c.plan(s.taken, need, start))
	s.free = s.chunk
}

// List reads lists of messages inside of an element. Their lengths are known only at their ends; many lists share one
// allocation.
type List[T any] struct {
	reading []*T
	slab    Slab[*T]
}

// Start begins a list.
func (l *List[T]) Start() { l.reading = l.reading[:0] }

// Add appends a message to the list. start is the position at which the list began.
func (l *List[T]) Add(message *T, c *Cursor, start int) {
	l.reading = Grow(l.reading, message, c, start)
}

// End returns the list.
func (l *List[T]) End(c *Cursor) []*T {
	values := l.slab.Slice(c, len(l.reading))
	copy(values, l.reading)
	return values
}

// Rewind takes back all lists. Nobody may use them any more.
func (l *List[T]) Rewind() { l.slab.Rewind() }

// Trim frees what is not worth keeping.
func (l *List[T]) Trim() {
	l.slab.Trim()
	if cap(l.reading) > maxKept {
		l.reading = nil
	}
	clear(l.reading[:cap(l.reading)])
}

// Release rewinds and trims.
func (l *List[T]) Release() {
	l.slab.Release()
	l.Trim()
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
