package graph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
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
)

// ErrorBody reads an error object that stands inside a resource. The text is valid JSON; an array counts as its first
// element.
func ErrorBody(text []byte) *Error {
	e := &Error{Kind: KindAnswer}
	e.readBody(text)
	return e
}

// readBody reads what an error's body says. Bodies lie: they are empty, HTML, cut off, not UTF-8, without `error`
// around them, with a text or a number where an object or a text belongs. Whatever can be read is kept, and nothing
// fails.
func (e *Error) readBody(text []byte) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	r := errorReader{error: e, decoder: json.NewDecoder(bytes.NewReader(text))}
	r.decoder.UseNumber()
	r.value(place{})
	for _, level := range r.levels {
		if level.code != "" {
			e.Codes = append(e.Codes, level.code)
		}
		e.Message = cmp.Or(e.Message, level.message)
		e.Target = cmp.Or(e.Target, level.target)
	}
}

// errorReader reads tokens, so that a body that is cut off still tells what came before.
type errorReader struct {
	error   *Error
	decoder *json.Decoder
	// levels are the error, the error inside it and so on. They are put together at the end, since the properties of
	// an error can stand behind its inner error. Of equal keys the first counts.
	levels [1 + maxInner]struct{ code, message, target string }
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
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch t := token.(type) {
	case json.Delim:
		switch {
		case t == '{':
			return r.object(at)
		case at.listed:
			return r.rest()
		}
		at.listed = true
		return r.first(at)
	case string:
		keep(&r.levels[at.level].message, clean(t, maxMessage))
	}
	return true
}

// first reads the first element of an array as the error and skips the others.
func (r *errorReader) first(at place) bool {
	if r.decoder.More() && !r.value(at) {
		return false
	}
	return r.rest()
}

func (r *errorReader) object(at place) bool {
	for r.decoder.More() {
		key, ok := r.name()
		if !ok {
			return false
		}
		if !r.property(strings.ToLower(key), at) {
			return false
		}
	}
	return r.end()
}

func (r *errorReader) property(key string, at place) bool {
	level := &r.levels[at.level]
	switch key {
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
	var text string
	ok := r.text(&text, maxCode)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02T15-04-05Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil && r.error.Date.IsZero() {
			r.error.Date = at
		}
	}
	return ok
}

func (r *errorReader) details() bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch token {
	case json.Delim('['):
	case json.Delim('{'):
		// One detail that should have been in a list.
		detail, ok := r.detail()
		r.keepDetail(detail)
		return ok
	default:
		return true
	}
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'):
			detail, ok := r.detail()
			r.keepDetail(detail)
			if !ok {
				return false
			}
		case json.Delim('['):
			if !r.rest() {
				return false
			}
		}
	}
	return r.end()
}

func (r *errorReader) keepDetail(d Detail) {
	if d != (Detail{}) && len(r.error.Details) < maxDetails {
		r.error.Details = append(r.error.Details, d)
	}
}

// detail reads a detail whose opening brace was read.
func (r *errorReader) detail() (d Detail, ok bool) {
	for r.decoder.More() {
		key, ok := r.name()
		if !ok {
			return d, false
		}
		switch strings.ToLower(key) {
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
			return d, false
		}
	}
	return d, r.end()
}

func (r *errorReader) name() (string, bool) {
	token, err := r.decoder.Token()
	name, ok := token.(string)
	return name, err == nil && ok
}

// text reads a value that should be a text. Numbers become texts, anything else nothing.
func (r *errorReader) text(into *string, limit int) bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch t := token.(type) {
	case string:
		keep(into, clean(t, limit))
	case json.Number:
		keep(into, clean(t.String(), limit))
	case json.Delim:
		return r.rest()
	}
	return true
}

// id reads an id that the headers may have told already.
func (r *errorReader) id(into *string) bool {
	var id string
	ok := r.text(&id, maxCode)
	keep(into, headerID(id))
	return ok
}

// keep keeps what was read first.
func keep(into *string, text string) {
	if *into == "" {
		*into = text
	}
}

func (r *errorReader) skip() bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	if _, ok := token.(json.Delim); ok {
		return r.rest()
	}
	return true
}

// rest skips to the end of the object or array that was entered.
func (r *errorReader) rest() bool {
	for depth := 1; depth > 0; {
		token, err := r.decoder.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return true
}

func (r *errorReader) end() bool {
	_, err := r.decoder.Token()
	return err == nil
}

// clean cuts a text to a number of bytes, at a character, and takes control characters out of it.
func clean(s string, limit int) string {
	if len(s) > limit {
		// The rest of a long text is not held on to.
		s = strings.Clone(s[:limit])
		for len(s) > 0 {
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
