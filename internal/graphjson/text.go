package graphjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the position of the first byte from i on that ends a run of printable ASCII within a string: a quote,
// a backslash, a control character or a byte beyond ASCII. It returns the length of data when there is none.
func plain(data []byte, i int) int {
	// In this form the compiler sees that no bounds check is necessary.
	for last := len(data) - 8; i >= 0 && i <= last; i += 8 {
		w := binary.LittleEndian.Uint64(data[i : i+8])
		// Each term sets the high bit of a byte that matches. Bytes beyond ASCII have it set already, and they match. A
		// borrow can set the bit of a byte above a match, never below it, so the lowest set bit is exact.
		mark := (w | (w - ones*0x20) | (w ^ (ones * '"') - ones) | (w ^ (ones * '\\') - ones)) & highs
		if mark != 0 {
			return i + bits.TrailingZeros64(mark)>>3
		}
	}
	for i < len(data) {
		if b := data[i]; b < 0x20 || b >= 0x80 || b == '"' || b == '\\' {
			return i
		}
		i++
	}
	return i
}

// readText reads a string and returns its bytes, which alias the data. It resolves escapes in place: the result is
// never longer than the text.
func (c *Cursor) readText() []byte {
	data, start := c.data, c.pos+1
	i := plain(data, start)
	if i < len(data) && data[i] == '"' {
		c.pos = i + 1
		return data[start:i:i]
	}
	return c.oddText(start, i)
}

// oddText finishes readText from i on, the first byte that is not printable ASCII.
func (c *Cursor) oddText(start, i int) []byte {
	data := c.data
	for ; i < len(data); i = plain(data, i) {
		switch b := data[i]; {
		case b == '"':
			c.pos = i + 1
			if !utf8.Valid(data[start:i]) {
				c.fail(start, "string is not UTF-8")
				return nil
			}
			return data[start:i:i]
		case b == '\\':
			return c.unescape(start, i)
		case b >= utf8.RuneSelf:
			i++
		default:
			c.fail(i, "control character in string")
			return nil
		}
	}
	c.fail(i, "end of string expected")
	return nil
}

// unescape finishes readText from i on, the first backslash.
func (c *Cursor) unescape(start, i int) []byte {
	data := c.data
	w := i
	for i < len(data) {
		b := data[i]
		switch {
		case b == '"':
			c.pos = i + 1
			// An escape yields whole characters, so the result is UTF-8 exactly when the bytes between escapes are.
			if !utf8.Valid(data[start:w]) {
				c.fail(start, "string is not UTF-8")
				return nil
			}
			markUnescaped(data, start, w, i)
			c.unescaped++
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

// escape resolves the escape at the start of data and returns its length, 0 when there is none. A surrogate without its
// other half becomes U+FFFD.
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

// skipText is readText for strings that nobody needs. It does not change the data.
func (c *Cursor) skipText() {
	data, start, ascii := c.data, c.pos+1, true
	for i := plain(data, start); i < len(data); i = plain(data, i) {
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
	c.fail(len(data), "end of string expected")
}

// alias returns b as a string without a copy. b must not change afterwards.
func alias(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
