package graph

import (
	"bytes"
	"encoding/json"
	"strings"
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
	r.value(0)
}

// errorReader reads tokens, so that a body that is cut off still tells what came before.
type errorReader struct {
	error   *Error
	decoder *json.Decoder
}

// value reads an error object, something that holds one, or a text in its place. It reports whether the text goes on.
func (r *errorReader) value(depth int) bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return r.first(depth)
		}
		return r.object(depth)
	case string:
		if depth > 0 && r.error.Message == "" {
			r.error.Message = clean(t, maxMessage)
		}
	}
	return true
}

// first reads the first element of an array as the error and skips the others.
func (r *errorReader) first(depth int) bool {
	for read := false; r.decoder.More(); read = true {
		if read {
			if !r.skip() {
				return false
			}
		} else if !r.value(depth) {
			return false
		}
	}
	return r.end()
}

func (r *errorReader) object(depth int) bool {
	for r.decoder.More() {
		key, ok := r.name()
		if !ok {
			return false
		}
		if !r.property(strings.ToLower(key), depth) {
			return false
		}
	}
	return r.end()
}

func (r *errorReader) property(key string, depth int) bool {
	e := r.error
	switch key {
	case "error", "info":
		// The wrapper of a body, and of an item of a delta.
		if depth == 0 {
			return r.value(1)
		}
	case "innererror":
		if depth <= maxInner {
			return r.inner(depth)
		}
	case "code":
		code, ok := r.text(maxCode)
		if code != "" {
			e.Codes = append(e.Codes, code)
		}
		return ok
	case "message":
		message, ok := r.text(maxMessage)
		if message != "" && e.Message == "" {
			e.Message = message
		}
		return ok
	case "target":
		target, ok := r.text(maxTarget)
		if target != "" && e.Target == "" {
			e.Target = target
		}
		return ok
	case "request-id", "requestid":
		id, ok := r.text(maxCode)
		if e.RequestID == "" {
			e.RequestID = headerID(id)
		}
		return ok
	case "client-request-id":
		id, ok := r.text(maxCode)
		if e.ClientRequestID == "" {
			e.ClientRequestID = headerID(id)
		}
		return ok
	case "details":
		return r.details()
	}
	return r.skip()
}

// inner reads an inner error behind the codes of the outer one, even if it stands in front of them.
func (r *errorReader) inner(depth int) bool {
	e := r.error
	outer := e.Codes
	e.Codes = nil
	ok := r.value(depth + 1)
	inner := e.Codes
	e.Codes = outer
	if ok && len(outer) == 0 {
		// The code of this level may still come: read the rest of the object first.
		for r.decoder.More() {
			key, named := r.name()
			if !named || !r.property(strings.ToLower(key), maxInner+1) {
				ok = false
				break
			}
		}
	}
	e.Codes = append(e.Codes, inner...)
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
		r.keep(detail)
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
			r.keep(detail)
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

func (r *errorReader) keep(d Detail) {
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
			d.Code, ok = r.text(maxCode)
		case "message":
			d.Message, ok = r.text(maxMessage)
		case "target":
			d.Target, ok = r.text(maxTarget)
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

// text reads a value that should be a text. Numbers and booleans become texts, anything else nothing.
func (r *errorReader) text(limit int) (value string, ok bool) {
	token, err := r.decoder.Token()
	if err != nil {
		return "", false
	}
	switch t := token.(type) {
	case string:
		return clean(t, limit), true
	case json.Number:
		return clean(t.String(), limit), true
	case json.Delim:
		return "", r.rest()
	}
	return "", true
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
		s = s[:limit]
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
