package graph

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// speedInterval is how often the speed of a body is measured, minSpeed is the limit, in bytes a second.
	speedInterval = 10 * time.Second
	minSpeed      = 1 << 10
)

var errTooSlow = errors.New("response arrives too slowly")

// watchedBody cuts a body that is slower than minSpeed over a speedInterval.
type watchedBody struct {
	io.ReadCloser
	// cancel ends the request, and so a Read that waits.
	cancel func()
	read   atomic.Int64
	slow   atomic.Bool

	mu    sync.Mutex
	timer *time.Timer
	// measured is how much had been read when the speed was measured last.
	measured int64
}

// watch begins to measure the speed of a body. The body has to be closed.
func watch(body io.ReadCloser, cancel func()) *watchedBody {
	w := &watchedBody{ReadCloser: body, cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(speedInterval, w.measure)
	return w
}

func (w *watchedBody) measure() {
	w.mu.Lock()
	defer w.mu.Unlock()
	read := w.read.Load()
	if read-w.measured < int64(speedInterval.Seconds())*minSpeed {
		w.slow.Store(true)
		w.cancel()
		return
	}
	w.measured = read
	w.timer.Reset(speedInterval)
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

// Close stops the measurement and closes the body.
func (w *watchedBody) Close() error {
	w.mu.Lock()
	w.timer.Stop()
	w.mu.Unlock()
	return w.ReadCloser.Close()
}
