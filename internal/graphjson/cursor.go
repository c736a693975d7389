// Package graphjson is the runtime of the codecs that protoc-gen-graph generates. It reads and writes the JSON of
// Microsoft Graph without reflection and without intermediate structs.
//
// It is strict in grammar: it refuses what is not JSON. A value that cannot be read, because it has another type than
// the contract says or is out of range, costs its field alone: the reader leaves the field unset and notes where that
// was. Error bodies have many forms, and a proxy may have written them: package graph reads those with a scanner of its
// own, which takes what it can from a broken body.
//
// A reader changes the body, and the strings of its messages alias it. A body cannot be used after it was read.
package graphjson

import "fmt"

const (
	// maxDepth is the maximum nesting of objects and arrays. Graph's responses have about 8 levels.
	maxDepth = 100
	// maxElements is the maximum number of strings in one array, and of objects in all arrays of a text together. A
	// page of Graph has at most 999 objects, a bulk job 50,000 strings.
	maxElements = 100_000
)

// Cause is the kind of an Error. The words are those of package graph.
type Cause string

// The causes of an Error.
const (
	// CauseSyntax is a text that is not JSON in UTF-8, or has more than 100 levels.
	CauseSyntax Cause = "syntax"
	// CauseWrongType is a body of another type than the contract says: no object, a list in place of a resource or a
	// resource in place of a list, a link to the next page that is no text.
	CauseWrongType Cause = "wrong-type"
	// CauseTooLarge is an array of more than 100,000 strings, or more than 100,000 objects in all arrays together.
	CauseTooLarge Cause = "too-large"
)

// Error describes why a text from Graph could not be read. It never quotes the text.
type Error struct {
	// Cause is the kind of the error. A syntax error hides all others.
	Cause Cause
	// Offset is the position of the error in bytes.
	Offset int
	// Property is the path of the property that has the error, such as `@odata.nextLink`. It is empty for a syntax error
	// and for an error of the whole body.
	Property string
	// Detail names what was expected.
	Detail string
}

// Error names the cause, the position and what was expected.
func (e *Error) Error() string {
	return fmt.Sprintf("graph json: %s at byte %d: %s", e.Cause, e.Offset, e.Detail)
}

// Cursor walks over one JSON text. Its methods return no errors: the caller checks once, at the end.
//
// After a syntax error the cursor is at the end of the text, and every read returns nothing. After a value that cannot
// be read it continues.
type Cursor struct {
	data  []byte
	pos   int
	depth int
	// key is the name of the property before whose value the cursor is.
	key []byte
	// syntax is the first syntax error, other the first of the other errors.
	syntax, other *Error
	// isList says that the body is a list.
	isList bool
	// unescaped counts the strings whose escapes were resolved in place.
	unescaped int
	notes
	lists
	order
	lastDate date
	// reuse says that the slabs are rewound after each element of the list.
	reuse bool
}

// Key returns the name of the property that ObjectStart or ObjectNext has reached.
func (c *Cursor) Key() []byte { return c.key }

// Pos returns the position in bytes.
func (c *Cursor) Pos() int { return c.pos }

func (c *Cursor) fail(at int, detail string) {
	if c.syntax == nil {
		c.syntax = &Error{Cause: CauseSyntax, Offset: at, Detail: detail}
	}
	c.pos = len(c.data)
}

// refuse notes an error of the whole body.
func (c *Cursor) refuse(cause Cause, at int, detail string) {
	if c.other == nil {
		c.other = &Error{Cause: cause, Offset: at, Detail: detail}
	}
}

// mismatch skips a value that is not of the expected type. null and "" are no mismatch: with them Graph says "not set"
// for a value of any type.
func (c *Cursor) mismatch(expected string) {
	at := c.pos
	if c.Unset() {
		return
	}
	c.Skip()
	c.unread(at, expected)
}

// end checks that nothing follows the value. It returns the first error, nil if there was none.
func (c *Cursor) end() error {
	if c.peek() != 0 || c.pos < len(c.data) {
		c.fail(c.pos, "end of text expected")
	}
	if c.syntax != nil {
		return c.syntax
	}
	if c.other != nil {
		c.other.Property = path(c.data, c.other.Offset)
		return c.other
	}
	return nil
}

// at returns the byte at the cursor, 0 at the end. The methods that read a value expect no white space before it.
func (c *Cursor) at() byte {
	if c.pos < len(c.data) {
		return c.data[c.pos]
	}
	return 0
}

// peek skips white space and returns the byte after it, 0 at the end.
func (c *Cursor) peek() byte {
	if b := c.at(); b > ' ' {
		return b
	}
	return c.space()
}

// space is peek for white space and for the end. It is a function of its own so that peek can be inlined.
func (c *Cursor) space() byte {
	for ; c.pos < len(c.data); c.pos++ {
		if b := c.data[c.pos]; b != ' ' && b != '\n' && b != '\t' && b != '\r' {
			return b
		}
	}
	return 0
}

// ObjectStart enters an object and stops before its first value. It returns false when there is none.
func (c *Cursor) ObjectStart() bool {
	if c.at() != '{' {
		c.mismatch("an object")
		return false
	}
	if !c.enter() {
		return false
	}
	if c.peek() == '}' {
		c.leave()
		return false
	}
	return c.property()
}

// ObjectNext stops before the next value of the object. It returns false at the end of the object.
func (c *Cursor) ObjectNext() bool {
	switch c.peek() {
	case ',':
		c.pos++
		return c.property()
	case '}':
		c.leave()
	default:
		c.fail(c.pos, "comma or end of object expected")
	}
	return false
}

func (c *Cursor) property() bool {
	if c.peek() != '"' {
		c.fail(c.pos, "property name expected")
		return false
	}
	if !c.sameKey() {
		start := c.pos
		c.key = c.readText()
		if c.peek() != ':' {
			c.fail(c.pos, "colon expected")
			return false
		}
		c.pos++
		c.noteKey(start)
	}
	c.peek()
	return true
}

// arrayStart enters an array and stops before its first element. It returns false when there is none.
func (c *Cursor) arrayStart() bool {
	if c.at() != '[' {
		c.mismatch("an array")
		return false
	}
	if !c.enter() {
		return false
	}
	if c.peek() == ']' {
		c.leave()
		return false
	}
	return true
}

// arrayNext stops before the next element of the array. It returns false at the end of the array. n is the number of
// elements so far that count against maxElements. Elements beyond the limit are skipped.
func (c *Cursor) arrayNext(n int) bool {
	switch c.peek() {
	case ',':
		c.pos++
		c.peek()
		if n < maxElements {
			return true
		}
		c.refuse(CauseTooLarge, c.pos, "too many elements")
		c.Skip()
		for c.peek() == ',' {
			c.pos++
			c.Skip()
		}
		return c.arrayNext(n)
	case ']':
		c.leave()
	default:
		c.fail(c.pos, "comma or end of array expected")
	}
	return false
}

func (c *Cursor) enter() bool {
	c.depth++
	if c.depth > maxDepth {
		c.fail(c.pos, "nested too deeply")
		return false
	}
	c.pos++
	return true
}

func (c *Cursor) leave() {
	c.depth--
	c.pos++
}

// Unset reads a value that means "not set", null or "", and reports whether there was one. Otherwise it reads nothing.
func (c *Cursor) Unset() bool {
	switch c.at() {
	case 'n':
		c.literal("null")
		return true
	case '"':
		if c.pos+1 < len(c.data) && c.data[c.pos+1] == '"' {
			c.pos += 2
			return true
		}
	}
	return false
}

func (c *Cursor) literal(word string) {
	if end := c.pos + len(word); end <= len(c.data) && string(c.data[c.pos:end]) == word {
		c.pos = end
		return
	}
	c.fail(c.pos, word+" expected")
}

// Skip reads a value of any type and checks that it is JSON.
func (c *Cursor) Skip() {
	switch b := c.peek(); b {
	case '"':
		c.skipText()
	case '{':
		for more := c.objectSkipStart(); more; more = c.objectSkipNext() {
			c.Skip()
		}
	case '[':
		if !c.enter() {
			return
		}
		if c.peek() == ']' {
			c.leave()
			return
		}
		for {
			c.Skip()
			switch c.peek() {
			case ',':
				c.pos++
				continue
			case ']':
				c.leave()
			default:
				c.fail(c.pos, "comma or end of array expected")
			}
			return
		}
	case 't':
		c.literal("true")
	case 'f':
		c.literal("false")
	case 'n':
		c.literal("null")
	default:
		c.number()
	}
}

func (c *Cursor) objectSkipStart() bool {
	if !c.enter() {
		return false
	}
	if c.peek() == '}' {
		c.leave()
		return false
	}
	return c.skipProperty()
}

func (c *Cursor) objectSkipNext() bool {
	switch c.peek() {
	case ',':
		c.pos++
		return c.skipProperty()
	case '}':
		c.leave()
	default:
		c.fail(c.pos, "comma or end of object expected")
	}
	return false
}

// skipProperty is property for objects that nobody needs: it checks names and does not keep them.
func (c *Cursor) skipProperty() bool {
	if c.peek() != '"' {
		c.fail(c.pos, "property name expected")
		return false
	}
	c.skipText()
	if c.peek() != ':' {
		c.fail(c.pos, "colon expected")
		return false
	}
	c.pos++
	return true
}

// raw reads a value of any type and returns its text.
func (c *Cursor) raw() []byte {
	c.peek()
	start := c.pos
	c.Skip()
	return c.data[start:c.pos:c.pos]
}

// isNumber reports whether the whole text is a number.
func (c *Cursor) isNumber() bool {
	c.number()
	return c.syntax == nil && c.pos == len(c.data)
}

// number reads a number and returns its text.
func (c *Cursor) number() []byte {
	data, start := c.data, c.pos
	i := start
	if i < len(data) && data[i] == '-' {
		i++
	}
	switch {
	case i < len(data) && data[i] == '0':
		i++
	case i < len(data) && data[i] >= '1' && data[i] <= '9':
		i = digits(data, i)
	default:
		c.fail(i, "value expected")
		return nil
	}
	if i < len(data) && data[i] == '.' {
		first := i + 1
		if i = digits(data, first); i == first {
			c.fail(i, "digit expected")
			return nil
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		first := i
		if i = digits(data, first); i == first {
			c.fail(i, "digit expected")
			return nil
		}
	}
	c.pos = i
	return data[start:i]
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i] >= '0' && data[i] <= '9' {
		i++
	}
	return i
}
