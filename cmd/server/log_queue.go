package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// queuedLines is how many lines of the log wait to be written at most, with those that are being written.
	queuedLines = 1024
	// writtenAtOnce is how many bytes of lines are written at once, or one line if that is longer. A pipe takes so many as
	// a whole or not at all, so that no line is torn when the process ends before somebody reads it.
	writtenAtOnce = 4 << 10
	// keptBuffer is the capacity in bytes of the largest buffer that is kept for later lines.
	keptBuffer = 1 << 20
	// gatherTime is how long the next lines wait for others after lines were written: each write costs a system call, and
	// a thread that has to be woken.
	gatherTime = 5 * time.Millisecond
	// flushTime is how long the process waits at its end for the log to be written.
	flushTime = time.Second
)

// logQueue is a writer that no call waits for: it queues lines, and drops and counts them when the queue is full. A log
// that nobody reads, such as a full pipe, must not stop the service. A log whose reader is gone is written to in vain.
type logQueue struct {
	out  io.Writer
	done chan struct{}

	mu sync.Mutex
	// more is told of lines that wait, and of the end.
	more *sync.Cond
	// waiting are lines one behind the other, ends where each ends. count is how many there are, with those that are being
	// written.
	waiting []byte
	ends    []int
	count   int
	dropped int
	closed  bool
	// gathering says that lines wait for others.
	gathering bool
	// all is how many lines were dropped since the start.
	all uint64
}

func newLogQueue(out io.Writer) *logQueue {
	q := &logQueue{out: out, done: make(chan struct{})}
	q.more = sync.NewCond(&q.mu)
	go q.write()
	return q
}

// Write queues one line. It never fails and never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case q.count == queuedLines:
		q.dropped++
		q.all++
	default:
		q.waiting = append(q.waiting, line...)
		q.ends = append(q.ends, len(q.waiting))
		q.count++
		if !q.gathering || q.count >= queuedLines/2 {
			q.more.Signal()
		}
	}
	return len(line), nil
}

// close ends the queue after what is queued has been written, or after flushTime.
func (q *logQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.more.Signal()
	q.mu.Unlock()
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	}
}

func (q *logQueue) write() {
	defer close(q.done)
	var lines []byte
	var ends []int
	for {
		var ok bool
		if lines, ends, ok = q.take(lines, ends); !ok {
			break
		}
		for begin, first := 0, 0; first < len(ends); {
			next := first + 1
			for next < len(ends) && ends[next]-begin <= writtenAtOnce {
				next++
			}
			_, _ = q.out.Write(lines[begin:ends[next-1]])
			q.written(next - first)
			begin, first = ends[next-1], next
			q.reportDropped()
		}
		q.gather()
	}
	q.reportDropped()
}

// gather waits until lines have had their time to come together, or the queue is half full.
func (q *logQueue) gather() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gathering = true
	timer := time.AfterFunc(gatherTime, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.gathering = false
		q.more.Signal()
	})
	defer timer.Stop()
	for q.gathering && !q.closed && q.count < queuedLines/2 {
		q.more.Wait()
	}
	q.gathering = false
}

// take waits for lines and takes all of them. It leaves the given buffers for later ones. ok is false at the end.
func (q *logQueue) take(lines []byte, ends []int) (_ []byte, _ []int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ends) == 0 && !q.closed {
		q.more.Wait()
	}
	if cap(lines) > keptBuffer {
		lines = nil
	}
	taken, at := q.waiting, q.ends
	q.waiting, q.ends = lines[:0], ends[:0]
	return taken, at, len(at) > 0
}

// written makes room for others.
func (q *logQueue) written(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count -= n
}

// droppedLines returns how many lines were dropped since the start.
func (q *logQueue) droppedLines() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all
}

// reportDropped says how many lines were dropped since it said so last.
func (q *logQueue) reportDropped() {
	q.mu.Lock()
	n := q.dropped
	q.dropped = 0
	q.mu.Unlock()
	if n == 0 {
		return
	}
	// Not through the queue, which may be full.
	slog.New(slog.NewJSONHandler(q.out, nil)).Warn("log lines were dropped because nobody read them", slog.Int("count", n))
}

// printError writes the error that ends the process.
func (q *logQueue) printError(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(q, "server:", strings.TrimSuffix(line, "\n"))
	}
}
