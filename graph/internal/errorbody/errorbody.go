// Package errorbody reads the error bodies of Microsoft Graph, whatever their shape.
//
// Bodies lie: they are empty, HTML, cut off or not UTF-8, they have no `error` around them, a text or a number where an
// object belongs, or a megabyte of message. Whatever can be read is kept, and nothing fails.
package errorbody

import (
	"bytes"
	"cmp"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// maxInner is how many levels of inner errors are followed.
	maxInner = 8
	// maxDetails is how many details are kept. Bulk jobs have one per resource, up to 50,000.
	maxDetails = 50_000
	// maxCode, maxTarget and maxMessage bound each text, in bytes.
	maxCode    = 256
	maxTarget  = 2048
	maxMessage = 4096
	// initialBody is how much memory a body gets before any of it was read, maxPooledBody how much stays for the next one.
	initialBody   = 4 << 10
	maxPooledBody = 64 << 10
	// maxName is more than the longest name of a property that is looked for.
	maxName = 32
	// usualDetails is for how many details memory is set aside at once: a request names no more resources.
	usualDetails = 50
	// shortDetail is the size of a short detail in a body, in bytes.
	shortDetail = 64
	// textChunk is how much memory is set aside at once for texts, in bytes.
	textChunk = 2 << 10
)

// Head is what the headers of a response can say as well as its body.
type Head struct {
	// RequestID is Graph's id of the request, ClientRequestID the one that the client sent. Each is as CleanID returns it.
	RequestID, ClientRequestID string
	// Date is the time of the error by Graph's clock; zero when the body does not say.
	Date time.Time
}

// Body is what an error body says.
type Body struct {
	Head
	// Codes are the codes from the outermost error to the deepest inner one, in Graph's spelling; at most nine, of at most
	// 256 bytes each.
	Codes []string
	// Message and Target are those of the outermost error that has one, cut to 4,096 and 2,048 bytes. Target has every
	// character that Graph sent.
	Message, Target string
	// Details are the separate errors of a request about several things, the first 50,000 of them.
	Details []Detail
}

// Detail is one of the separate errors. Code is cut to 256 bytes, Message to 4,096, Target to 2,048. Target has every
// character that Graph sent.
type Detail struct {
	Code, Message, Target string
}

// Parse reads an error body: an error object, an object that has one in `error` or `info`, or an array, whose first
// element counts. Of a text that is no JSON it keeps what comes before the mistake. What known holds wins over the
// body.
func Parse(text []byte, known Head) Body {
	r, _ := readers.Get().(*reader)
	body := r.read(text, known)
	readers.Put(r)
	return body
}

// Read reads an error body from a response, up to its end or its first error, but at most limit bytes, and parses it.
func Read(response io.Reader, limit int64, known Head) Body {
	r, _ := readers.Get().(*reader)
	r.limited = io.LimitedReader{R: response, N: limit}
	// An error cuts the body off: what came before it still counts.
	_, _ = r.received.ReadFrom(&r.limited)
	body := r.read(r.received.Bytes(), known)
	r.limited.R = nil
	r.received.Reset()
	if r.received.Cap() > maxPooledBody {
		r.received = *bytes.NewBuffer(make([]byte, 0, initialBody))
	}
	readers.Put(r)
	return body
}

// CleanID returns an id that fits into a header and a log line, and an empty text for anything else. Graph's ids are
// GUIDs; those of other gateways have letters, digits and any of `-_.:|`. An address or a URL is no id.
func CleanID(id string) string {
	if len(id) > 128 {
		return ""
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c == '-', c == '_', c == '.', c == ':', c == '|':
		default:
			return ""
		}
	}
	return id
}

// reader reads one property after the other, so that a body that is cut off still says what came before. Nothing that
// it returns refers to the body.
type reader struct {
	scanner
	body Body
	// levels are the error, its inner error and so on. They are combined at the end, since the properties of an error can
	// come after its inner error. Of equal keys the first counts.
	levels [1 + maxInner]struct{ code, message, target string }
	// texts holds what is kept, many texts in one piece of memory.
	texts strings.Builder
	// unescaped is where texts with escapes and the like are resolved.
	unescaped []byte
	// key is where names of properties are.
	key [maxName]byte
	// received is what bodies are read into, from limited.
	received bytes.Buffer
	limited  io.LimitedReader
}

// readers are pooled with their memory, of which no Body refers to any.
var readers = sync.Pool{New: func() any {
	return &reader{received: *bytes.NewBuffer(make([]byte, 0, initialBody))}
}}

func (r *reader) read(text []byte, known Head) Body {
	r.body = Body{Head: known}
	r.scanner = scanner{data: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))}
	r.value(position{})
	for i := range r.levels {
		level := &r.levels[i]
		if level.code != "" {
			r.body.Codes = append(r.body.Codes, level.code)
		}
		r.body.Message = cmp.Or(r.body.Message, level.message)
		r.body.Target = cmp.Or(r.body.Target, level.target)
	}
	body := r.body
	r.body, r.scanner, r.texts = Body{}, scanner{}, strings.Builder{}
	clear(r.levels[:])
	return body
}

// position is where in a body the reader is.
type position struct {
	// level counts the inner errors around.
	level int
	// wrapped is set inside the wrapper of the error, listed inside an array. There can be one of each around an
	// error, not a million.
	wrapped, listed bool
}

// value reads an error object, something that holds one, or a text in its place. It reports whether the text goes on.
func (r *reader) value(at position) bool {
	switch r.peek() {
	case '{':
		r.pos++
		return r.object(at)
	case '[':
		r.pos++
		if at.listed {
			return r.rest(false, true)
		}
		at.listed = true
		return r.first(at)
	case '"':
		return r.text(&r.levels[at.level].message, maxMessage)
	}
	return r.scalar()
}

// first reads the first element of an array as the error and skips the others.
func (r *reader) first(at position) bool {
	more, ok := r.more(']', true)
	if !ok || !more {
		return ok
	}
	return r.value(at) && r.rest(false, false)
}

func (r *reader) object(at position) bool {
	for first := true; ; first = false {
		more, ok := r.more('}', first)
		if !ok || !more {
			return ok
		}
		key, ok := r.name(r.key[:0])
		if !ok || !r.property(key, at) {
			return false
		}
	}
}

func (r *reader) property(key []byte, at position) bool {
	level := &r.levels[at.level]
	switch string(key) {
	case "error", "info":
		// The wrapper of a body, and of an item of a delta.
		if at.level == 0 && !at.wrapped {
			return r.value(position{wrapped: true})
		}
	case "innererror":
		if at.level < maxInner {
			return r.value(position{level: at.level + 1})
		}
	case "code":
		return r.text(&level.code, maxCode)
	case "message":
		return r.text(&level.message, maxMessage)
	case "target":
		return r.exact(&level.target, maxTarget)
	case "request-id", "requestid":
		return r.id(&r.body.RequestID)
	case "client-request-id":
		return r.id(&r.body.ClientRequestID)
	case "date":
		return r.date()
	case "details":
		return r.details()
	}
	return r.skip()
}

// date reads the time of the error, unless it is known. It has no zone and is UTC. Graph has been seen to write dashes
// in the time.
func (r *reader) date() bool {
	if !r.body.Date.IsZero() {
		return r.skip()
	}
	var text string
	ok := r.text(&text, maxCode)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02T15-04-05Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			r.body.Date = at
			break
		}
	}
	return ok
}

func (r *reader) details() bool {
	switch r.peek() {
	case '[':
		r.pos++
	case '{':
		// One detail that should have been in a list.
		return r.detail()
	default:
		return r.scalar()
	}
	for first := true; ; first = false {
		more, ok := r.more(']', first)
		if !ok || !more {
			return ok
		}
		if r.peek() == '{' && len(r.body.Details) < maxDetails {
			ok = r.detail()
		} else {
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
}

// detail reads a detail and keeps what it says, even if it breaks off.
func (r *reader) detail() bool {
	var d Detail
	ok := r.take('{') && r.detailProperties(&d)
	if d == (Detail{}) || len(r.body.Details) == maxDetails {
		return ok
	}
	if r.body.Details == nil {
		// As many as the rest of the body has room for, if they are short.
		r.body.Details = make([]Detail, 0, min(usualDetails, 1+(len(r.data)-r.pos)/shortDetail))
	}
	r.body.Details = append(r.body.Details, d)
	return ok
}

func (r *reader) detailProperties(d *Detail) bool {
	for first := true; ; first = false {
		more, ok := r.more('}', first)
		if !ok || !more {
			return ok
		}
		key, ok := r.name(r.key[:0])
		if !ok {
			return false
		}
		switch string(key) {
		case "code":
			ok = r.text(&d.Code, maxCode)
		case "message":
			ok = r.text(&d.Message, maxMessage)
		case "target":
			ok = r.exact(&d.Target, maxTarget)
		default:
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
}

// text reads a value that should be a text, and keeps at most limit bytes of it unless into holds one already: cleaned,
// and without the spaces around it. Numbers become texts, anything else nothing.
func (r *reader) text(into *string, limit int) bool { return r.keep(into, limit, false) }

// exact reads like text, but keeps every character: a target is compared with what the request named.
func (r *reader) exact(into *string, limit int) bool { return r.keep(into, limit, true) }

func (r *reader) keep(into *string, limit int, exact bool) bool {
	var raw []byte
	var ok bool
	plain := true
	switch c := r.peek(); {
	case *into != "":
		return r.skip()
	case c == '"':
		raw, plain, ok = r.quoted()
	case c == '-' || '0' <= c && c <= '9':
		raw, ok = r.number()
	default:
		return r.skip()
	}
	if plain {
		raw = raw[:min(len(raw), limit)]
	} else {
		r.unescaped = unescape(r.unescaped[:0], raw, limit, !exact)
		raw = r.unescaped
	}
	if !exact {
		raw = bytes.TrimSpace(raw)
	}
	*into = r.store(raw)
	return ok
}

// store makes a string of bytes that will change.
func (r *reader) store(text []byte) string {
	if details := r.body.Details; len(details) > 0 && details[len(details)-1].Code == string(text) {
		// Usually all details have one code.
		return details[len(details)-1].Code
	}
	if len(text) == 0 {
		return ""
	}
	if r.texts.Cap()-r.texts.Len() < len(text) {
		// The texts so far stay where they are.
		r.texts = strings.Builder{}
		r.texts.Grow(max(len(text), min(textChunk, len(r.data)-r.pos)))
	}
	start := r.texts.Len()
	r.texts.Write(text)
	return r.texts.String()[start:]
}

// id reads an id, unless it is known.
func (r *reader) id(into *string) bool {
	if *into != "" {
		return r.skip()
	}
	var id string
	ok := r.text(&id, maxCode)
	*into = CleanID(id)
	return ok
}
