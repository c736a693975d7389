package graphjson

import (
	"bytes"
	"strconv"
)

// maxNotes is how many notes of each kind a reader keeps. It counts the others.
const maxNotes = 8

// Notes is what a reader noticed in a body that it could read.
type Notes struct {
	// Unread are the first values that could not be read. Their fields are unset.
	Unread []Unread
	// UnknownMembers are the first members of enums that the contract does not have.
	UnknownMembers []UnknownMember
	// UnreadCount and UnknownMemberCount count those that are not listed too.
	UnreadCount, UnknownMemberCount int
}

// Unread is a value that could not be read.
type Unread struct {
	// Property is its path, such as `value[3].createdDateTime`. It has only names that the contract has.
	Property string
	// Expected says what was expected, such as "a string".
	Expected string
}

// UnknownMember is a member of an enum that the contract does not have.
type UnknownMember struct {
	// Property is the path of the value, such as `value[3].status`.
	Property string
	// Name is Graph's spelling of the member. It can be any text, and aliases the body.
	Name string
}

// note is something noticed whose path is not known yet. path finds it from the position.
type note struct {
	at   int
	text string
}

type notes struct {
	unreads, unknowns         []note
	unreadCount, unknownCount int
}

func (n *notes) noted() bool { return n.unreadCount+n.unknownCount > 0 }

// unread notes that the value at a position could not be read.
func (n *notes) unread(at int, expected string) {
	n.unreadCount++
	if len(n.unreads) < maxNotes {
		n.unreads = append(n.unreads, note{at, expected})
	}
}

// UnknownMember notes a member of an enum that the contract does not have, in the value at a position.
func (n *notes) UnknownMember(at int, name []byte) {
	// Graph itself writes this one for a member that it does not show.
	if bytes.EqualFold(name, []byte("unknownFutureValue")) {
		return
	}
	n.unknownCount++
	if len(n.unknowns) < maxNotes {
		n.unknowns = append(n.unknowns, note{at, alias(name)})
	}
}

// resolve finds the paths of the notes in a body that was read.
func (n *notes) resolve(body []byte) Notes {
	result := Notes{UnreadCount: n.unreadCount, UnknownMemberCount: n.unknownCount}
	for _, one := range n.unreads {
		result.Unread = append(result.Unread, Unread{path(body, one.at), one.text})
	}
	for _, one := range n.unknowns {
		result.UnknownMembers = append(result.UnknownMembers, UnknownMember{path(body, one.at), one.text})
	}
	return result
}

const (
	// unescapedStart takes the place of the quote before a string whose escapes were resolved in place, unescapedEnd that
	// of the bytes behind its text, which became free. No text in UTF-8 has such a byte.
	unescapedStart, unescapedEnd = 0x01, 0xff
)

// markUnescaped marks a string whose escapes were resolved, so that path finds its end: the text may hold quotes now.
// It stands from start to end, its closing quote is at quote.
func markUnescaped(data []byte, start, end, quote int) {
	data[start-1] = unescapedStart
	for i := end; i <= quote; i++ {
		data[i] = unescapedEnd
	}
}

// path returns the path of the value at a position of a body that was read without a syntax error, empty for the body
// itself. Walking over the body once more costs good responses nothing.
func path(body []byte, at int) string {
	var w pathWalk
	w.body, w.at = body, at
	w.value()
	if !w.found {
		return ""
	}
	return string(bytes.TrimPrefix(w.path, []byte{'.'}))
}

// pathWalk walks over a body up to a position. path is the path of the value that it is in.
type pathWalk struct {
	body    []byte
	pos, at int
	path    []byte
	found   bool
}

// next skips what stands between values and returns the byte behind it.
func (w *pathWalk) next() byte {
	for ; w.pos < len(w.body); w.pos++ {
		switch b := w.body[w.pos]; b {
		case ' ', '\n', '\t', '\r', ',', ':':
		default:
			return b
		}
	}
	return 0
}

func (w *pathWalk) value() {
	b := w.next()
	if w.pos >= w.at {
		w.found = w.pos == w.at
		w.pos = len(w.body)
		return
	}
	around := len(w.path)
	switch b {
	case '{':
		w.pos++
		for b := w.next(); (b == '"' || b == unescapedStart) && !w.found; b = w.next() {
			w.path = append(append(w.path[:around], '.'), w.text()...)
			w.value()
		}
	case '[':
		w.pos++
		for i := 0; w.next() != ']' && w.pos < len(w.body); i++ {
			w.path = append(strconv.AppendInt(append(w.path[:around], '['), int64(i), 10), ']')
			w.value()
		}
	case '"', unescapedStart:
		w.text()
		return
	default:
		if n := bytes.IndexAny(w.body[w.pos:], ",]} \t\r\n"); n >= 0 {
			w.pos += n
		} else {
			w.pos = len(w.body)
		}
		return
	}
	if !w.found {
		w.path = w.path[:around]
		w.pos++
	}
}

// text walks over a string and returns its text.
func (w *pathWalk) text() []byte {
	start := w.pos + 1
	if w.body[w.pos] == unescapedStart {
		end := start + bytes.IndexByte(w.body[start:], unescapedEnd)
		for w.pos = end; w.pos < len(w.body) && w.body[w.pos] == unescapedEnd; w.pos++ {
		}
		return w.body[start:end]
	}
	for i := start; i < len(w.body); i++ {
		switch w.body[i] {
		case '\\':
			// A string that nobody needed still has its escapes.
			i++
		case '"':
			w.pos = i + 1
			return w.body[start:i]
		}
	}
	w.pos = len(w.body)
	return nil
}
