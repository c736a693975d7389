package graph

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/m365backup/backupstorage/internal/buffers"
)

// A body is the same in memory of its own and in memory of the pool, which overwrites what goes back to it.
func TestBodiesInPooledMemory(t *testing.T) {
	defer buffers.Poison()()
	for _, size := range []int{0, 1, 5000, initialBody - 1, initialBody, initialBody + 1, 200_000, 1 << 20, 3 << 20} {
		content := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		for _, promised := range []int64{-1, int64(size)} {
			for _, pooled := range []bool{false, true} {
				grown := 0
				response := &http.Response{ContentLength: promised, Body: io.NopCloser(iotest.OneByteReader(bytes.NewReader(content)))}
				if size > 5000 {
					response.Body = io.NopCloser(bytes.NewReader(content))
				}
				body, err := readBody(response, maxBody, memory{pooled: pooled, grow: func(n int) bool { grown += n; return true }})
				if err != nil || !bytes.Equal(*body, content) {
					t.Errorf("%d bytes, %d promised, pooled %v: %d were read, %v", size, promised, pooled, len(*body), err)
					continue
				}
				if promised > initialBody && grown > size+1-initialBody {
					t.Errorf("%d bytes, pooled %v: %d were asked for", size, pooled, grown)
				}
				received := &Response{Body: *body}
				if pooled {
					received.buffer = body
				}
				received.Release()
				received.Release() // Twice is once.
				if aliased := size > 0 && (*body)[:1][0] == content[0]; pooled && aliased && cap(*body) <= 1<<20 || !pooled && size > 0 && !aliased {
					t.Errorf("%d bytes, pooled %v: after the release the body has %q", size, pooled, (*body)[:1])
				}
			}
		}
	}
}

func TestPooledMemoryGoesBackAfterAFailure(t *testing.T) {
	defer buffers.Poison()()
	// The buffer that comes next is the one that went back last.
	first := buffers.Get(initialBody)
	buffers.Put(first)
	response := &http.Response{ContentLength: -1, Body: io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader([]byte("text")))))}
	if _, err := readBody(response, maxBody, memory{pooled: true, grow: func(int) bool { return true }}); err == nil {
		t.Fatal("no error")
	}
	if again := buffers.Get(initialBody); again != first {
		t.Error("it did not go back")
	}
}
