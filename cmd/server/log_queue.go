package main

import (
	"bytes"
	"fmt"
	"strings"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// queuedLines is how many lines of the log wait to be written at most.
	queuedLines = 1024
	// flushTime is how long the process waits at its end for the log to be written.
	flushTime = time.Second
)

// logQueue is a writer that no call waits for: it queues lines, and drops and counts them when the queue is full. A log
// that nobody reads, such as a full pipe, must not stop the service. A log whose reader is gone is written to in vain.
type logQueue struct {
	out  io.Writer
	done chan struct{}

	mu      sync.Mutex
	lines   chan []byte
	dropped int
	closed  bool
	// all is how many lines were dropped since the start.
	all uint64
}

func newLogQueue(out io.Writer) *logQueue {
	q := &logQueue{out: out, lines: make(chan []byte, queuedLines), done: make(chan struct{})}
	go q.write()
	return q
}

// Write queues one line. It never fails and never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return len(line), nil
	}
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.dropped++
		q.all++
	}
	return len(line), nil
}

// close ends the queue after what is queued has been written, or after flushTime.
func (q *logQueue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
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
	for line := range q.lines {
		_, _ = q.out.Write(line)
		q.reportDropped()
	}
	q.reportDropped()
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
