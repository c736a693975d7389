package graph

import (
	"bytes"
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxInner is how many inner errors are followed.
	maxInner = 8
	// maxDetails is how many details are kept. Bulk jobs have one per resource, up to 50,000.
	maxDetails = 50_000
	// maxCode, maxTarget and maxMessage bound what is kept of each text, in bytes.
	maxCode    = 256
	maxTarget  = 2048
	maxMessage = 4096
	// firstErrorRead is how much memory an error body gets before any of it was read, keptErrorRead how much is kept
	// for the next one.
	firstErrorRead = 4 << 10
	keptErrorRead  = 64 << 10
	// maxName is more than the longest name of a property that is looked for.
	maxName = 32
	// usualDetails is for how many details memory is set aside at once: a request names no more resources.
	usualDetails = 50
	// shortDetail is the size of a short detail in a body, in bytes.
	shortDetail = 64
	// textChunk is how much memory is set aside at once for texts, in bytes.
	textChunk = 2 << 10
)

// ErrorBody reads an error that came in an answer with a good status: an error object that stands inside a resource, or
// a whole body that has one in `error`. An array counts as its first element. Of a text that is no JSON it keeps what
// comes before the mistake.
func ErrorBody(text []byte) *Error {
	e := &Error{Kind: KindResponse}
	e.readBody(text)
	return e
}

// readResponse reads the body of an answer that tells an error, as far as it comes.
func (e *Error) readResponse(response *http.Response) {
	r, _ := errorReaders.Get().(*errorReader)
	body, _ := readInto(r.body[:0], response, maxErrorBody)
	if cap(body) <= keptErrorRead {
		r.body = body
	}
	r.read(e, body)
	errorReaders.Put(r)
}

// readBody reads what an error's body says. Bodies lie: they are empty, HTML, cut off, not UTF-8, without `error`
// around them, with a text or a number where an object or a text belongs. Whatever can be read is kept, and nothing
// fails. Nothing that is kept holds on to the body.
func (e *Error) readBody(text []byte) {
	r, _ := errorReaders.Get().(*errorReader)
	r.read(e, text)
	errorReaders.Put(r)
}

// errorReader reads one property after the other, so that a body that is cut off still tells what came before.
type errorReader struct {
	scanner
	error *Error
	// levels are the error, the error inside it and so on. They are put together at the end, since the properties of
	// an error can stand behind its inner error. Of equal keys the first counts.
	levels [1 + maxInner]struct{ code, message, target string }
	// texts takes what is kept, many texts in one piece of memory.
	texts strings.Builder
	// odd is where texts with escapes and the like are resolved.
	odd []byte
	// key is where names of properties are.
	key [maxName]byte
	// body is what bodies are read into.
	body []byte
}

// errorReaders are readers with their memory. Nothing of an Error is in it, so that it does for the next one.
var errorReaders = sync.Pool{New: func() any { return &errorReader{body: make([]byte, 0, firstErrorRead)} }}

func (r *errorReader) read(e *Error, text []byte) {
	r.error, r.scanner = e, scanner{data: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))}
	r.value(place{})
	for i := range r.levels {
		level := &r.levels[i]
		if level.code != "" {
			e.Codes = append(e.Codes, level.code)
		}
		e.Message = cmp.Or(e.Message, level.message)
		e.Target = cmp.Or(e.Target, level.target)
	}
	r.error, r.scanner, r.texts = nil, scanner{}, strings.Builder{}
	clear(r.levels[:])
}

// place is where in a body the reader is.
type place struct {
	// level counts the inner errors around.
	level int
	// wrapped is set inside the wrapper of the error, listed inside an array. There can be one of each around an
	// error, not a million.
	wrapped, listed bool
}

// value reads an error object, something that holds one, or a text in its place. It reports whether the text goes on.
func (r *errorReader) value(at place) bool {
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
func (r *errorReader) first(at place) bool {
	more, ok := r.more(']', true)
	if !ok || !more {
		return ok
	}
	return r.value(at) && r.rest(false, false)
}

func (r *errorReader) object(at place) bool {
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

func (r *errorReader) property(key []byte, at place) bool {
	level := &r.levels[at.level]
	switch string(key) {
	case "error", "info":
		// The wrapper of a body, and of an item of a delta.
		if at.level == 0 && !at.wrapped {
			return r.value(place{wrapped: true})
		}
	case "innererror":
		if at.level < maxInner {
			return r.value(place{level: at.level + 1})
		}
	case "code":
		return r.text(&level.code, maxCode)
	case "message":
		return r.text(&level.message, maxMessage)
	case "target":
		return r.text(&level.target, maxTarget)
	case "request-id", "requestid":
		return r.id(&r.error.RequestID)
	case "client-request-id":
		return r.id(&r.error.ClientRequestID)
	case "date":
		return r.date()
	case "details":
		return r.details()
	}
	return r.skip()
}

// date reads the time of the error by Graph's clock, which has no zone and is UTC, unless a header told it. Graph has been
// seen to write dashes in the time.
func (r *errorReader) date() bool {
	if !r.error.Date.IsZero() {
		return r.skip()
	}
	var text string
	ok := r.text(&text, maxCode)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02T15-04-05Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			r.error.Date = at
			break
		}
	}
	return ok
}

func (r *errorReader) details() bool {
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
		if r.peek() == '{' && len(r.error.Details) < maxDetails {
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
func (r *errorReader) detail() bool {
	var d Detail
	ok := r.take('{') && r.detailProperties(&d)
	if d == (Detail{}) || len(r.error.Details) == maxDetails {
		return ok
	}
	if r.error.Details == nil {
		// As many as the rest of the body has room for, if they are short.
		r.error.Details = make([]Detail, 0, min(usualDetails, 1+(len(r.data)-r.pos)/shortDetail))
	}
	r.error.Details = append(r.error.Details, d)
	return ok
}

func (r *errorReader) detailProperties(d *Detail) bool {
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
			ok = r.text(&d.Target, maxTarget)
		default:
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
}

// text reads a value that should be a text, and keeps at most limit bytes of it unless into holds one already. Numbers
// become texts, anything else nothing.
func (r *errorReader) text(into *string, limit int) bool {
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
		r.odd = clean(r.odd[:0], raw, limit)
		raw = r.odd
	}
	*into = r.store(bytes.TrimSpace(raw))
	return ok
}

// store makes a string of bytes that will change.
func (r *errorReader) store(text []byte) string {
	if details := r.error.Details; len(details) > 0 && details[len(details)-1].Code == string(text) {
		// Most often all details have one code.
		return details[len(details)-1].Code
	}
	if len(text) == 0 {
		return ""
	}
	if r.texts.Cap()-r.texts.Len() < len(text) {
		// What was kept stays where it is.
		r.texts = strings.Builder{}
		r.texts.Grow(max(len(text), min(textChunk, len(r.data)-r.pos)))
	}
	start := r.texts.Len()
	r.texts.Write(text)
	return r.texts.String()[start:]
}

// id reads an id that the headers may have told already.
func (r *errorReader) id(into *string) bool {
	if *into != "" {
		return r.skip()
	}
	var id string
	ok := r.text(&id, maxCode)
	*into = headerID(id)
	return ok
}
