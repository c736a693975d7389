// Package graphjson reads and writes the JSON of Microsoft Graph without reflection and without structs in between.
//
// It is the source of the runtime that protoc-gen-graph writes beside the messages: the plugin copies these files
// into the generated package, so that generated code needs nothing but itself and protobuf. The tests are here.
package graphjson

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

const (
	// graphMaxDepth is how deeply objects and arrays may be nested. Graph nests about 8.
	graphMaxDepth = 100
	// graphMaxElements is how many strings one array may have, and how many objects all arrays of a text together. A
	// page of Graph's has at most 999 objects, a bulk job 50,000 strings.
	graphMaxElements = 100_000
)

// GraphJSONProblem is the kind of a GraphJSONError.
type GraphJSONProblem string

// The kinds of problems that a text can have.
const (
	// GraphJSONSyntax is a text that is not JSON in UTF-8, or nested deeper than 100 levels.
	GraphJSONSyntax GraphJSONProblem = "syntax"
	// GraphJSONType is a property of another type than the contract says.
	GraphJSONType GraphJSONProblem = "type"
	// GraphJSONSize is an array of more than 100,000 strings, or more than 100,000 objects in all arrays together.
	GraphJSONSize GraphJSONProblem = "size"
)

// GraphJSONError says why a text from Graph could not be read. It never quotes the text.
type GraphJSONError struct {
	// Problem is the kind of problem. A syntax problem hides all others.
	Problem GraphJSONProblem
	// Offset is the position of the problem in bytes.
	Offset int
	// Detail says what was expected.
	Detail string
}

// Error says what was wrong and where.
func (e *GraphJSONError) Error() string {
	return fmt.Sprintf("graph json: %s at byte %d: %s", e.Problem, e.Offset, e.Detail)
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

func (c *cursor) note(problem GraphJSONProblem, at int, detail string) {
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

// peek skips white space and returns the byte that it stands before, 0 at the end.
func (c *cursor) peek() byte {
	data, i := c.data, c.pos
	for i < len(data) {
		b := data[i]
		if b > ' ' || (b != ' ' && b != '\n' && b != '\t' && b != '\r') {
			c.pos = i
			return b
		}
		i++
	}
	c.pos = i
	return 0
}

// objectStart enters an object and stands before the first value; false when there is none.
func (c *cursor) objectStart() bool {
	if c.peek() != '{' {
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
	if c.peek() != '[' {
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
	switch c.peek() {
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

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the position of the first byte from i on that ends a run of printable ASCII within a string: a quote,
// a backslash, a control character or a byte beyond ASCII; the length of data when there is none.
func plain(data []byte, i int) int {
	for i+8 <= len(data) {
		w := binary.LittleEndian.Uint64(data[i:])
		// Each term marks the high bit of a byte that matches. Borrows can mark bytes above a match, never below,
		// so the lowest mark is exact.
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		mark := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash | w) & highs
		if mark != 0 {
			return i + bits.TrailingZeros64(mark)>>3
		}
		i += 8
	}
	for i < len(data) {
		if b := data[i]; b < 0x20 || b >= 0x80 || b == '"' || b == '\\' {
			return i
		}
		i++
	}
	return i
}

// text reads a string and returns its bytes, which alias the data. Escapes are resolved in place: the result is never
// longer than what it was written as.
func (c *cursor) text() []byte {
	data := c.data
	start := c.pos + 1
	ascii := true
	for i := start; ; {
		i = plain(data, i)
		if i >= len(data) {
			c.fail(i, "end of string expected")
			return nil
		}
		switch b := data[i]; {
		case b == '"':
			c.pos = i + 1
			if !ascii && !utf8.Valid(data[start:i]) {
				c.fail(start, "string is not UTF-8")
				return nil
			}
			return data[start:i:i]
		case b == '\\':
			return c.unescape(start, i)
		case b >= utf8.RuneSelf:
			ascii = false
			i++
		default:
			c.fail(i, "control character in string")
			return nil
		}
	}
}

// unescape finishes text from the first backslash on.
func (c *cursor) unescape(start, i int) []byte {
	data := c.data
	w := i
	for i < len(data) {
		b := data[i]
		switch {
		case b == '"':
			c.pos = i + 1
			// What an escape yields is whole characters, so the result is UTF-8 exactly when the bytes between are.
			if !utf8.Valid(data[start:w]) {
				c.fail(start, "string is not UTF-8")
				return nil
			}
			return data[start:w:w]
		case b == '\\':
			r, n := escape(data[i:])
			if n == 0 {
				c.fail(i, "escape expected")
				return nil
			}
			i += n
			if r < utf8.RuneSelf {
				data[w] = byte(r)
				w++
			} else {
				w += utf8.EncodeRune(data[w:], r)
			}
		case b < 0x20:
			c.fail(i, "control character in string")
			return nil
		default:
			data[w] = b
			w++
			i++
		}
	}
	c.fail(i, "end of string expected")
	return nil
}

// escape resolves the escape that data begins with and returns its length, 0 when it is none. A surrogate without
// its other half becomes U+FFFD.
func escape(data []byte) (r rune, n int) {
	if len(data) < 2 {
		return 0, 0
	}
	switch b := data[1]; b {
	case '"', '\\', '/':
		return rune(b), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(data)
		if !ok {
			return 0, 0
		}
		if r < 0xD800 || r > 0xDFFF {
			return r, 6
		}
		if r < 0xDC00 {
			if low, ok := hex4(data[6:]); ok && low >= 0xDC00 && low <= 0xDFFF {
				return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, 12
			}
		}
		return utf8.RuneError, 6
	}
	return 0, 0
}

// hex4 reads `\uXXXX`.
func hex4(data []byte) (r rune, ok bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	for _, b := range data[2:6] {
		r <<= 4
		switch {
		case b >= '0' && b <= '9':
			r |= rune(b - '0')
		case b >= 'a' && b <= 'f':
			r |= rune(b - 'a' + 10)
		case b >= 'A' && b <= 'F':
			r |= rune(b - 'A' + 10)
		default:
			return 0, false
		}
	}
	return r, true
}

// skipText is text for strings that nobody wants: it changes nothing.
func (c *cursor) skipText() {
	data := c.data
	start := c.pos + 1
	ascii := true
	for i := start; ; {
		i = plain(data, i)
		if i >= len(data) {
			c.fail(i, "end of string expected")
			return
		}
		switch b := data[i]; {
		case b == '"':
			c.pos = i + 1
			if !ascii && !utf8.Valid(data[start:i]) {
				c.fail(start, "string is not UTF-8")
			}
			return
		case b == '\\':
			_, n := escape(data[i:])
			if n == 0 {
				c.fail(i, "escape expected")
				return
			}
			i += n
		case b >= utf8.RuneSelf:
			ascii = false
			i++
		default:
			c.fail(i, "control character in string")
			return
		}
	}
}

// alias makes a string of bytes that nobody changes any more.
func alias(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
