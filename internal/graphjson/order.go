package graphjson

// A page of Graph has hundreds of elements that one program wrote: their properties come in one order, and most of them
// were made by one application. So a reader guesses that an element is like the one before it. A guess that is right
// saves the work of reading once more what was read before; one that is wrong costs a comparison.

// maxKeys is how many properties of an element are guessed, those of the objects in it included.
const maxKeys = 48

// order is the order of the properties of the last element of the outermost list.
type order struct {
	// keys are the names, with their quotes and colons, as they stand in the body; an empty one cannot be guessed.
	keys [maxKeys][]byte
	// next is the one that is guessed next.
	next int
}

// nextElement begins an element of a list.
func (c *Cursor) nextElement() {
	if c.nested == 1 {
		c.next = 0
	}
}

// sameKey reads the name of a property and its colon, if they are those that were guessed.
func (c *Cursor) sameKey() bool {
	if uint(c.next) >= uint(len(c.keys)) {
		return false
	}
	key := c.keys[c.next]
	// Behind it stands at least a value.
	end := c.pos + len(key)
	if end >= len(c.data) || len(key) < len(`"":`) || string(c.data[c.pos:end]) != string(key) {
		return false
	}
	c.next++
	c.key = key[1 : len(key)-2]
	c.pos = end
	return true
}

// noteKey keeps the name of the property that begins at start and ends with the colon before the cursor.
func (c *Cursor) noteKey(start int) {
	if c.nested == 0 || c.next >= maxKeys {
		return
	}
	c.keys[c.next] = nil
	if c.pos == start+len(c.key)+len(`"":`) && c.data[start] == '"' {
		// Neither white space nor an escape: the next element has the same bytes.
		c.keys[c.next] = c.data[start:c.pos:c.pos]
	}
	c.next++
}

// Memo remembers the text of an object that has strings alone.
type Memo struct {
	start, end int
	// keys is how many properties it has.
	keys int
	// misses is how many other texts came since the last text that was the same.
	misses int
}

// maxMisses is how many other texts may come before the memo is given up. To remember costs more than to read.
const maxMisses = 4

// Remembers reports whether a property is to be remembered: it is one of an element whose slabs are rewound at its end,
// and has been the same now and then.
func (c *Cursor) Remembers(m *Memo) bool {
	// The depth is that of the response, its list and the element.
	return c.reuse && c.nested == 1 && c.depth == 3 && m.misses < maxMisses
}

// Reuse says that the slabs are rewound after each element of the list.
func (c *Cursor) Reuse() { c.reuse = true }

// Same reads an object, if it has the text that the memo remembers.
func (c *Cursor) Same(m *Memo) bool {
	end := c.pos + m.end - m.start
	if end > len(c.data) || end == c.pos || string(c.data[c.pos:end]) != string(c.data[m.start:m.end]) {
		return false
	}
	c.pos = end
	c.next += m.keys
	m.misses = 0
	return true
}

// Mark is what Remember compares: where an object begins, and what had happened before it.
type Mark struct{ at, key, unescaped, unread int }

// Mark returns the mark of the object at the cursor.
func (c *Cursor) Mark() Mark { return Mark{c.pos, c.next, c.unescaped, c.unreadCount} }

// Remember keeps the text of the object that was read since a mark, unless there was something odd in it.
func (c *Cursor) Remember(m *Memo, before Mark) {
	*m = Memo{misses: m.misses + 1}
	if c.unescaped == before.unescaped && c.unreadCount == before.unread && c.syntax == nil {
		m.start, m.end, m.keys = before.at, c.pos, c.next-before.key
	}
}
