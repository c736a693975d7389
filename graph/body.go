package graph

import (
	"errors"
	"io"
	"net/http"

	"github.com/m365backup/backupstorage/internal/buffers"
)

var (
	errTooLarge = errors.New("response is larger than the limit")
	errNoMemory = errors.New("there is no memory for the response")
)

// growing reads a body into the memory of somebody else, who doubles it whenever it is full. It asks for that memory
// first, and ends the body when there is none.
type growing struct {
	io.Reader
	has, read int
	grow      func(n int) bool
}

func (g *growing) Read(p []byte) (int, error) {
	if g.read == g.has {
		if !g.grow(g.has) {
			return 0, errNoMemory
		}
		g.has *= 2
	}
	n, err := g.Reader.Read(p[:min(len(p), g.has-g.read)])
	g.read += n
	return n, err
}

// memory is where a body is read into.
type memory struct {
	// grow is asked before more is set aside than initialBody.
	grow func(n int) bool
	// pooled takes it from the pool.
	pooled bool
}

func (m memory) take(size int) *[]byte {
	if m.pooled {
		return buffers.Get(size)
	}
	b := make([]byte, 0, size)
	return &b
}

// move moves what was read to a larger buffer.
func (m memory) move(b *[]byte, size int) *[]byte {
	if m.pooled {
		return buffers.Grow(b, size)
	}
	larger := append(make([]byte, 0, size), *b...)
	return &larger
}

// giveUp gives back the memory of a body that nobody reads.
func (m memory) giveUp(b *[]byte) {
	if m.pooled {
		buffers.Put(b)
	}
}

// readBody reads a body up to its end, which HTTP/2 needs to free the stream, but at most limit bytes. It returns nil
// with an error.
func readBody(response *http.Response, limit int, m memory) (*[]byte, error) {
	// Content-Length is only a promise: memory for more than a usual page is allocated as bytes arrive.
	size, most := initialBody, limit+1
	if promised := response.ContentLength; promised >= 0 {
		// The byte more is where the end of the body shows.
		most = int(promised) + 1
		size = min(most, initialBody+1)
	}
	body := m.take(size)
	for {
		b := *body
		n, err := response.Body.Read(b[len(b):cap(b)])
		*body = b[:len(b)+n]
		switch {
		case len(*body) > limit:
			err = errTooLarge
		case err == io.EOF:
			return body, nil
		case err == nil && len(*body) == cap(b):
			larger := min(2*cap(b), limit+1)
			if most > cap(b) {
				larger = min(larger, most)
			}
			if m.grow(larger - cap(b)) {
				body = m.move(body, larger)
			} else {
				err = errNoMemory
			}
		}
		if err != nil {
			m.giveUp(body)
			return nil, err
		}
	}
}
