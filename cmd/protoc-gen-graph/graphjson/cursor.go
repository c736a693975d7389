// Package graphjson reads and writes the JSON of Microsoft Graph without reflection and without structs in between.
//
// It is the source of the runtime that protoc-gen-graph writes beside the messages: the plugin copies these files, all
// but contract.go, into the generated package, so that generated code needs nothing but itself and protobuf. The tests
// are here.
//
// It is strict, and made for good answers: what is not JSON or not of the type that the contract says is refused. The
// bodies of errors come from whatever stood in the way and lie in many forms; package graph reads them with a scanner of
// its own, which takes what it can get of a broken one.
package graphjson

import "fmt"

const (
	// graphMaxDepth is how deeply objects and arrays may be nested. Graph nests about 8.
	graphMaxDepth = 100
	// graphMaxElements is how many strings one array may have, and how many objects all arrays of a text together. A
	// page of Graph's has at most 999 objects, a bulk job 50,000 strings.
	graphMaxElements = 100_000
)

// GraphJSONCause is the kind of a GraphJSONError.
type GraphJSONCause string

// The kinds of problems that a text can have.
const (
	// GraphJSONSyntax is a text that is not JSON in UTF-8, or nested deeper than 100 levels.
	GraphJSONSyntax GraphJSONCause = "syntax"
	// GraphJSONType is a property of another type than the contract says.
	GraphJSONType GraphJSONCause = "wrong-type"
	// GraphJSONSize is an array of more than 100,000 strings, or more than 100,000 objects in all arrays together.
	GraphJSONSize GraphJSONCause = "too-large"
)

// GraphJSONError says why a text from Graph could not be read. It never quotes the text.
type GraphJSONError struct {
	// Cause is the kind of problem. A syntax error hides all others.
	Cause GraphJSONCause
	// Offset is the position of the problem in bytes.
	Offset int
	// Detail says what was expected.
	Detail string
}

// Error says what was wrong and where.
func (e *GraphJSONError) Error() string {
	return fmt.Sprintf("graph json: %s at byte %d: %s", e.Cause, e.Offset, e.Detail)
}

// cursor walks over one JSON text. Errors stick: after a syntax error it stands at the end and every read yields
// nothing, so that callers check once, at the end. After a property of the wrong type it goes on, because whether the
// whole is JSON must not depend on what was expected.
type cursor struct {
	data  []byte
	pos   int
	depth int
	// key is the name of the property that the cursor stands before.
	key []byte
	// syntax is the first syntax error, other the first of the other problems.
	syntax, other *GraphJSONError
	lists
}

func (c *cursor) fail(at int, detail string) {
	if c.syntax == nil {
		c.syntax = &GraphJSONError{GraphJSONSyntax, at, detail}
	}
	c.pos = len(c.data)
}

func (c *cursor) note(problem GraphJSONCause, at int, detail string) {
	if c.other == nil {
		c.other = &GraphJSONError{problem, at, detail}
	}
}

// mismatch skips a value that is not of the expected type. null and "" are how Graph says "not set" of anything.
func (c *cursor) mismatch(expected string) {
	at := c.pos
	if c.unset() {
		return
	}
	c.skip()
	c.note(GraphJSONType, at, expected+" expected")
}

// end checks that nothing follows the value and returns the first problem, nil if there was none.
func (c *cursor) end() error {
	if c.peek() != 0 || c.pos < len(c.data) {
		c.fail(c.pos, "end of text expected")
	}
	if c.syntax != nil {
		return c.syntax
	}
	if c.other != nil {
		return c.other
	}
	return nil
}

// at returns the byte that the cursor stands at, 0 at the end. What reads a value expects that white space was skipped.
func (c *cursor) at() byte {
	if c.pos < len(c.data) {
		return c.data[c.pos]
	}
	return 0
}

// peek skips white space and returns the byte that it stands before, 0 at the end.
func (c *cursor) peek() byte {
	if b := c.at(); b > ' ' {
		return b
	}
	return c.space()
}

// space is peek where there is white space, or the end.
func (c *cursor) space() byte {
	for ; c.pos < len(c.data); c.pos++ {
		if b := c.data[c.pos]; b != ' ' && b != '\n' && b != '\t' && b != '\r' {
			return b
		}
	}
	return 0
}

// objectStart enters an object and stands before the first value; false when there is none.
func (c *cursor) objectStart() bool {
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

// objectNext stands before the next value of the object; false at its end.
func (c *cursor) objectNext() bool {
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

func (c *cursor) property() bool {
	if c.peek() != '"' {
		c.fail(c.pos, "property name expected")
		return false
	}
	c.key = c.text()
	if c.peek() != ':' {
		c.fail(c.pos, "colon expected")
		return false
	}
	c.pos++
	c.peek()
	return true
}

// arrayStart enters an array and stands before the first element; false when there is none.
func (c *cursor) arrayStart() bool {
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

// arrayNext stands before the next element of the array; false at its end. n of the elements that count against the
// limit were read.
func (c *cursor) arrayNext(n int) bool {
	switch c.peek() {
	case ',':
		c.pos++
		c.peek()
		if n < graphMaxElements {
			return true
		}
		c.note(GraphJSONSize, c.pos, "too many elements")
		c.skip()
		for c.peek() == ',' {
			c.pos++
			c.skip()
		}
		return c.arrayNext(n)
	case ']':
		c.leave()
	default:
		c.fail(c.pos, "comma or end of array expected")
	}
	return false
}

func (c *cursor) enter() bool {
	c.depth++
	if c.depth > graphMaxDepth {
		c.fail(c.pos, "nested too deeply")
		return false
	}
	c.pos++
	return true
}

func (c *cursor) leave() {
	c.depth--
	c.pos++
}

// unset reads a value that stands for "not set", null or "", and tells whether it was one. Otherwise it reads nothing.
func (c *cursor) unset() bool {
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

func (c *cursor) literal(word string) {
	if end := c.pos + len(word); end <= len(c.data) && string(c.data[c.pos:end]) == word {
		c.pos = end
		return
	}
	c.fail(c.pos, word+" expected")
}

// skip reads a value of any kind and checks that it is JSON.
func (c *cursor) skip() {
	switch b := c.peek(); b {
	case '"':
		c.skipText()
	case '{':
		for more := c.objectSkipStart(); more; more = c.objectSkipNext() {
			c.skip()
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
			c.skip()
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

func (c *cursor) objectSkipStart() bool {
	if !c.enter() {
		return false
	}
	if c.peek() == '}' {
		c.leave()
		return false
	}
	return c.skipProperty()
}

func (c *cursor) objectSkipNext() bool {
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

// skipProperty is property for objects that nobody wants: names are checked and not kept.
func (c *cursor) skipProperty() bool {
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

// raw reads a value of any kind and returns its text.
func (c *cursor) raw() []byte {
	c.peek()
	start := c.pos
	c.skip()
	return c.data[start:c.pos:c.pos]
}

// isNumber tells whether the whole text is a number.
func (c *cursor) isNumber() bool {
	c.number()
	return c.syntax == nil && c.pos == len(c.data)
}

// number reads a number and returns its text.
func (c *cursor) number() []byte {
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
