package errorbody

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/m365backup/backupstorage/internal/plaintext"
)

// scanner goes through JSON up to its end or its first mistake. Each of its methods that reads something reports
// whether it was there; after a mistake nothing more is to be read.
//
// It shares nothing with the codecs of package gen, which read the bodies of successful responses: they are strict and
// refuse a body for any mistake. A scanner reads broken bodies up to the mistake, and keeps what it has read.
type scanner struct {
	data []byte
	pos  int
}

// peek returns the next byte that is no space. At the end it returns 0, which JSON never has there.
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

// take takes one byte, after any spaces.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// more goes to the next element of an object or array, or past its end. first says that no element was read yet.
func (s *scanner) more(end byte, first bool) (more, ok bool) {
	switch {
	case s.take(end):
		return false, true
	case first:
		return true, true
	}
	return true, s.take(',')
}

// quoted reads a string and returns the text between its quotes. plain says that all of it stands for itself.
func (s *scanner) quoted() (raw []byte, plain, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	data, start, i := s.data, s.pos, s.pos
	for plain = true; ; plain = false {
		i = plaintext.End(data, i)
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

// character resolves the first character of a string's text, and returns its length in that text. A byte that is not
// UTF-8 and half a surrogate pair become U+FFFD.
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

// name reads the name of a property and the colon after it, and appends the name to dst in lower case. A name that does
// not fit into dst is none that an error has: it comes back empty.
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
	at := func(set string) bool { return i < len(data) && strings.IndexByte(set, data[i]) >= 0 }
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

// skip reads a value and keeps nothing of it.
func (s *scanner) skip() bool {
	switch s.peek() {
	case '{', '[':
		s.pos++
		return s.rest(s.data[s.pos-1] == '{', true)
	}
	return s.scalar()
}

// rest reads to the end of the object or array that was entered. first says that no element of it was read yet. It
// is not recursive: a body can be a million brackets.
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

// nesting remembers which of the open brackets are those of objects, one bit each.
type nesting struct {
	depth   int
	shallow [4]uint64
	deep    []uint64
}

// word is the word that holds the innermost bracket's bit.
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
