package audit

import (
	"io"
	"os"
	"sync/atomic"
	"time"
)

// sink is where lines go. Each Write is one line.
type sink interface {
	io.WriteCloser
	// torn reports whether the sink ends within a line.
	torn() bool
	// sync makes what was written survive the loss of power, where that is wanted.
	sync() error
	// syncs reports whether sync does anything.
	syncs() bool
}

// writer writes the lines of one sink. It is the only one that waits for the sink: calls wait for the writer, and not
// for ever.
type writer struct {
	log  *Log
	sink sink
	// began is when it began to write the lines that it has, in nanoseconds of time.Since(epoch); 0 when it has none.
	began atomic.Int64
	epoch time.Time
	// woken has room for one, ended is closed when the writer has ended.
	woken chan struct{}
	ended chan struct{}
	// stopping ends the writer once the queue is empty; replaced ends it at once. Both are of Log.mu.
	stopping, replaced bool
}

// newWriter begins to write to a sink.
func (l *Log) newWriter(s sink) *writer {
	w := &writer{log: l, sink: s, epoch: time.Now().Add(-1), woken: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// stuck reports whether the sink has taken nothing for so long that the next line would be too late as well.
func (w *writer) stuck() bool {
	began := w.began.Load()
	return began != 0 && time.Since(w.epoch)-time.Duration(began) >= lineTime
}

// stop ends the writer when the queue is empty, and waits for it. After the time it returns: a sink that hangs keeps
// its lines, and the writer takes no more.
func (w *writer) stop(wait time.Duration) {
	w.log.mu.Lock()
	w.stopping = true
	w.log.mu.Unlock()
	w.wake()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.replaced = true
}

func (w *writer) run() {
	defer close(w.ended)
	defer w.sink.Close()
	torn := w.sink.torn()
	for range w.woken {
		for {
			batch, end := w.take()
			if end {
				return
			}
			if len(batch) == 0 {
				break
			}
			torn = w.write(batch, torn)
		}
	}
}

// take returns the next lines: one, or all where they are synced together. end says that the writer has to end.
func (w *writer) take() (batch []*entry, end bool) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.replaced {
		return nil, true
	}
	for len(l.queue) > 0 {
		e := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		// Nobody waits for it any more: its call was refused, or has gone on.
		if e.left {
			continue
		}
		e.begun = true
		batch = append(batch, e)
		if !w.sink.syncs() {
			break
		}
	}
	if len(batch) > 0 {
		w.began.Store(int64(time.Since(w.epoch)))
	}
	return batch, len(batch) == 0 && w.stopping
}

// write writes lines and tells their calls. It returns whether the sink ends within a line now.
func (w *writer) write(batch []*entry, torn bool) bool {
	defer w.began.Store(0)
	results := make([]error, len(batch))
	for i, e := range batch {
		e.Lost = w.lost(e.Seq)
		text := e.bytes()
		// What is left of a line that was cut off gets its end, in the same write.
		if torn {
			text = append([]byte("\n"), text...)
		}
		n, err := w.sink.Write(text)
		if err == nil && n < len(text) {
			err = io.ErrShortWrite
		}
		results[i] = err
		if err == nil {
			torn = false
			w.note(e.Seq)
		} else if n > 0 {
			torn = true
		}
	}
	if err := w.sink.sync(); err != nil {
		for i := range results {
			results[i] = err
		}
	}
	w.report(batch, results)
	return torn
}

// lost returns how many lines before one were not written.
func (w *writer) lost(seq uint64) uint64 {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	// A writer that was left behind comes late.
	if seq <= w.log.written {
		return 0
	}
	return seq - w.log.written - 1
}

func (w *writer) note(seq uint64) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.written = max(w.log.written, seq)
}

func (w *writer) report(batch []*entry, results []error) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range batch {
		switch {
		case results[i] == nil && !e.left:
			l.recover()
		case results[i] != nil && !e.left:
			l.fail(results[i])
		}
		e.done <- results[i]
	}
}

// stream is standard output.
type stream struct{ io.Writer }

func (stream) Close() error { return nil }
func (stream) torn() bool   { return false }
func (stream) sync() error  { return nil }
func (stream) syncs() bool  { return false }

// file is a file that is opened for appending.
type file struct {
	*os.File
	syncing, cut bool
}

func (f *file) torn() bool  { return f.cut }
func (f *file) syncs() bool { return f.syncing }

func (f *file) sync() error {
	if !f.syncing {
		return nil
	}
	return f.Sync()
}
