package graph

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner goes through JSON up to its end or its first mistake. Each of its methods that reads something reports
// whether it was there; after a mistake nothing more is to be read.
//
// It shares nothing with cmd/protoc-gen-graph/graphjson, which reads good answers: that one is strict, refuses a body
// for any mistake, and is copied into gen. This one reads broken bodies as far as they come, and keeps what it has read.
type scanner struct {
	data []byte
	pos  int
}

// peek returns the next byte that is no space; 0, which no JSON has there, at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take takes one byte, behind spaces.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// more goes to the next element of an object or array, or behind its end. first says that no element was read yet.
func (s *scanner) more(end byte, first bool) (more, ok bool) {
	switch {
	case s.take(end):
		return false, true
	case first:
		return true, true
	}
	return true, s.take(',')
}

// ordinary tells the bytes that stand for themselves in a string: printable ASCII without quote and backslash.
func ordinary(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// ordinaryEnd returns where the run of ordinary bytes ends that begins at i.
func ordinaryEnd(data []byte, i int) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		// Of a byte that is not ordinary one of the terms has the high bit; of one beyond ASCII most have. A borrow can
		// set it in bytes behind such a byte as well, but not in one before: the first is right.
		odd := ((w - each*' ') | (w ^ each*'"' - each) | (w ^ each*'\\' - each) | (w ^ each*0x7f - each)) & high
		if odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for i < len(data) && ordinary(data[i]) {
		i++
	}
	return i
}

// quoted reads a string and returns what stands between its quotes. plain says that all of it is ordinary.
func (s *scanner) quoted() (raw []byte, plain, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	data, start, i := s.data, s.pos, s.pos
	for plain = true; ; plain = false {
		i = ordinaryEnd(data, i)
		switch {
		case i == len(data) || data[i] < ' ':
			return nil, false, false
		case data[i] == '"':
			s.pos = i + 1
			return data[start:i], plain, true
		case data[i] == '\\':
			n := escapeLen(data[i:])
			if n == 0 {
				return nil, false, false
			}
			i += n
		default:
			i++
		}
	}
}

// escapeLen returns the length of the escape that a text begins with, 0 when it is none.
func escapeLen(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := codeUnit(text); ok {
			return 6
		}
	}
	return 0
}

// codeUnit reads an escape of the form `\u20AC`.
func codeUnit(text []byte) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		unit <<= 4
		switch {
		case '0' <= c && c <= '9':
			unit += rune(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			unit += rune(c|0x20-'a') + 10
		default:
			return 0, false
		}
	}
	return unit, true
}

// character resolves the first character of what stands in a string, and returns its length there. A byte that is not
// UTF-8 and half a surrogate pair are U+FFFD.
func character(raw []byte) (r rune, n int) {
	if raw[0] != '\\' {
		return utf8.DecodeRune(raw)
	}
	switch raw[1] {
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
		unit, _ := codeUnit(raw)
		if !utf16.IsSurrogate(unit) {
			return unit, 6
		}
		if low, ok := codeUnit(raw[6:]); ok {
			if r := utf16.DecodeRune(unit, low); r != unicode.ReplacementChar {
				return r, 12
			}
		}
		return unicode.ReplacementChar, 6
	}
	return rune(raw[1]), 2
}

// name reads the name of a property and the colon behind it, and appends the name to dst in small letters. What does
// not fit into dst no error has: it comes back as an empty name.
func (s *scanner) name(dst []byte) (name []byte, ok bool) {
	raw, plain, ok := s.quoted()
	if !ok || !s.take(':') {
		return nil, false
	}
	if plain {
		if len(raw) > cap(dst) {
			return nil, true
		}
		for _, c := range raw {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			dst = append(dst, c)
		}
		return dst, true
	}
	for len(raw) > 0 {
		r, n := character(raw)
		raw = raw[n:]
		if len(dst)+utf8.UTFMax > cap(dst) {
			return nil, true
		}
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
	}
	return dst, true
}

// number reads a number and returns it as it is written.
func (s *scanner) number() (raw []byte, ok bool) {
	data, i := s.data, s.pos
	digits := func() bool {
		start := i
		for i < len(data) && '0' <= data[i] && data[i] <= '9' {
			i++
		}
		return i > start
	}
	at := func(set string) bool { return i < len(data) && bytes.IndexByte([]byte(set), data[i]) >= 0 }
	if at("-") {
		i++
	}
	if at("0") {
		i++
	} else if !digits() {
		return nil, false
	}
	if at(".") {
		if i++; !digits() {
			return nil, false
		}
	}
	if at("eE") {
		if i++; at("+-") {
			i++
		}
		if !digits() {
			return nil, false
		}
	}
	raw = data[s.pos:i]
	s.pos = i
	return raw, true
}

// scalar reads a value that is neither object nor array.
func (s *scanner) scalar() bool {
	switch s.peek() {
	case '"':
		_, _, ok := s.quoted()
		return ok
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	_, ok := s.number()
	return ok
}

func (s *scanner) word(word string) bool {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return false
	}
	s.pos += len(word)
	return true
}

// skip reads a value that nobody wants.
func (s *scanner) skip() bool {
	switch s.peek() {
	case '{', '[':
		s.pos++
		return s.rest(s.data[s.pos-1] == '{', true)
	}
	return s.scalar()
}

// rest reads to the end of the object or array that was entered. first says that no element of it was read yet. It
// does not call itself: a body can be a million brackets.
func (s *scanner) rest(object, first bool) bool {
	var around nesting
	around.enter(object)
	for around.depth > 0 {
		end := byte(']')
		if object = around.object(); object {
			end = '}'
		}
		more, ok := s.more(end, first)
		switch {
		case !ok:
			return false
		case !more:
			around.leave()
			first = false
			continue
		}
		if object {
			if _, _, ok := s.quoted(); !ok || !s.take(':') {
				return false
			}
		}
		switch s.peek() {
		case '{', '[':
			around.enter(s.data[s.pos] == '{')
			s.pos++
			first = true
		default:
			if !s.scalar() {
				return false
			}
			first = false
		}
	}
	return true
}

// nesting remembers which of the brackets around are those of objects, a bit each.
type nesting struct {
	depth   int
	shallow [4]uint64
	deep    []uint64
}

// word is where the innermost bracket's bit stands.
func (n *nesting) word() *uint64 {
	i := (n.depth - 1) / 64
	if i < len(n.shallow) {
		return &n.shallow[i]
	}
	return &n.deep[i-len(n.shallow)]
}

func (n *nesting) enter(object bool) {
	n.depth++
	if (n.depth-1)/64 == len(n.shallow)+len(n.deep) {
		n.deep = append(n.deep, 0)
	}
	bit := uint64(1) << ((n.depth - 1) % 64)
	if object {
		*n.word() |= bit
	} else {
		*n.word() &^= bit
	}
}

func (n *nesting) leave() { n.depth-- }

func (n *nesting) object() bool { return *n.word()>>((n.depth-1)%64)&1 == 1 }
