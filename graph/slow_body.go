package graph

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slowAfter is how often the speed of a body is looked at, leastSpeed what it must have, in bytes a second.
	slowAfter  = 10 * time.Second
	leastSpeed = 1 << 10
)

var errTooSlow = errors.New("answer comes too slowly")

// watchedBody cuts a body of which less than leastSpeed comes over a stretch of slowAfter.
type watchedBody struct {
	io.ReadCloser
	// cancel ends the request, and with it a Read that waits.
	cancel func()
	read   atomic.Int64
	slow   atomic.Bool

	mu    sync.Mutex
	timer *time.Timer
	// seen is how much had been read when the speed was looked at last.
	seen int64
}

// watch begins to measure. The body has to be closed.
func watch(body io.ReadCloser, cancel func()) *watchedBody {
	w := &watchedBody{ReadCloser: body, cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(slowAfter, w.look)
	return w
}

func (w *watchedBody) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	read := w.read.Load()
	if read-w.seen < int64(slowAfter.Seconds())*leastSpeed {
		w.slow.Store(true)
		w.cancel()
		return
	}
	w.seen = read
	w.timer.Reset(slowAfter)
}

// Read fails with errTooSlow when the body was cut.
func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.read.Add(int64(n))
	if err != nil && err != io.EOF && w.slow.Load() {
		err = errTooSlow
	}
	return n, err
}

// Close ends the measuring and the body.
func (w *watchedBody) Close() error {
	w.mu.Lock()
	w.timer.Stop()
	w.mu.Unlock()
	return w.ReadCloser.Close()
}
