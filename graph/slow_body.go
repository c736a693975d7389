package graph

import (
	"errors"
	"io"
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
	trip *trip
	read atomic.Int64
	slow atomic.Bool
	// measured is how much had been read when the speed was measured last, over says that the body is closed. The lock of
	// the trip guards both.
	measured int64
	over     bool
}

// watch begins to measure the speed of a body. The body has to be closed.
func (t *trip) watch(body io.ReadCloser) *watchedBody {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.body = &watchedBody{ReadCloser: body, trip: t}
	t.arm(speedInterval)
	return t.body
}

func (w *watchedBody) measure() {
	if w.isSlow() {
		w.slow.Store(true)
		w.trip.close()
	}
}

// isSlow reports whether too little was read since the last measurement. If not, it begins the next one.
func (w *watchedBody) isSlow() bool {
	w.trip.mu.Lock()
	defer w.trip.mu.Unlock()
	read := w.read.Load()
	switch {
	case w.over:
		return false
	case read-w.measured < int64(speedInterval.Seconds())*minSpeed:
		return true
	}
	w.measured = read
	w.trip.arm(speedInterval)
	return false
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
	w.trip.mu.Lock()
	w.over = true
	w.trip.timer.Stop()
	w.trip.mu.Unlock()
	return w.ReadCloser.Close()
}
