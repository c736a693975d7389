package emulator

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// MaxBody is the largest request body that is read, in bytes, also after it was
// unpacked.
const MaxBody = 4 << 20

// maxDrain is how much of a body beyond that is thrown away before the answer.
const maxDrain = 64 << 20

// requestBody is what a client sent, unpacked.
type requestBody struct {
	bytes    []byte
	tooLarge bool
	coding   string // a Content-Encoding that nobody here reads; then there are no bytes
	broken   error  // why it could not be unpacked
}

// readBody reads the whole body, or up to the limit and marks it too large. It
// fails when the client went away.
func readBody(r *http.Request) (b requestBody, err error) {
	if r.Body == nil {
		return b, nil
	}
	b.bytes, b.tooLarge, err = readUpTo(r.Body)
	if err != nil {
		return b, err
	}
	switch coding := strings.TrimSpace(strings.Join(r.Header.Values("Content-Encoding"), ",")); strings.ToLower(coding) {
	case "", "identity":
	case "gzip", "x-gzip":
		if len(b.bytes) > 0 { // not even a head is needed to pack nothing
			b.unpack()
		}
	default:
		b = requestBody{coding: coding}
	}
	return b, nil
}

func readUpTo(r io.Reader) (body []byte, tooLarge bool, err error) {
	body, err = io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return nil, false, err
	}
	if len(body) > MaxBody {
		// Read on for a while: a client that is still sending when the
		// connection closes would never see the answer.
		_, err = io.Copy(io.Discard, io.LimitReader(r, maxDrain))
		return nil, true, err
	}
	return body, false, nil
}

// unpack replaces the bytes with what they unpack to. It stops at the limit, so
// that a few bytes cannot become many.
func (b *requestBody) unpack() {
	packed := bytes.NewReader(b.bytes)
	b.bytes = nil
	z, err := gzip.NewReader(packed)
	if err != nil {
		b.broken = err
		return
	}
	body, err := io.ReadAll(io.LimitReader(z, MaxBody+1))
	switch {
	case err != nil:
		b.broken = err
	case len(body) > MaxBody:
		b.tooLarge = true
	default:
		b.bytes = body
	}
}

// check tells why a body cannot be worked on, or nil. A request that has none is
// not asked how it packs it.
func (b *requestBody) check(method string) *graphError {
	switch {
	case b.coding != "" && method != http.MethodGet && method != http.MethodHead:
		err := refuse(method, codeUnsupportedMedia, "The Content-Encoding %.60q is not one that the API reads: gzip or none.", b.coding)
		err.header = http.Header{"Accept-Encoding": {"gzip"}}
		return err.about("Content-Encoding")
	case b.broken != nil:
		return refuse(method, codeBadRequest, "The request body is not what its Content-Encoding says: %v.", b.broken).about("Content-Encoding")
	}
	return nil
}

// controlProblem is check for a control call, which has no error codes.
func (b *requestBody) controlProblem() (status int, _ error) {
	switch {
	case b.tooLarge:
		return http.StatusRequestEntityTooLarge, errors.New("the body is larger than 4 MiB")
	case b.coding != "":
		return http.StatusUnsupportedMediaType, errors.New("the body has a Content-Encoding that is not gzip")
	case b.broken != nil:
		return http.StatusBadRequest, b.broken
	}
	return 0, nil
}
