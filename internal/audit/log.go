package audit

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lineTime is how long a call waits for a line.
	lineTime = 100 * time.Millisecond
	// closeTime is how long the process waits at its end for the lines that are queued.
	closeTime = time.Second
	// maxQueued is how many lines wait to be written.
	maxQueued = 1024
	// alertPause is the time between two warnings of lines that could not be written.
	alertPause = 10 * time.Second
)

// Options configures a Log.
type Options struct {
	// Mode says what happens when a line cannot be written.
	Mode Mode
	// Path is the file, `-` for Stdout. Required needs a file.
	Path string
	// Stdout is where `-` writes. It is os.Stdout by default.
	Stdout io.Writer
	// Sync makes each line survive the loss of power. It needs a file, and takes a few milliseconds a line.
	Sync bool
	// Now is the clock of the lines and of the limit of denied calls. It is time.Now by default.
	Now func() time.Time
	// Logger gets a warning when lines cannot be written, and a line when they can again. They are dropped by default.
	Logger *slog.Logger
}

// Log writes audit lines. It is safe for concurrent use. A nil Log, which is that of the mode off, writes nothing.
type Log struct {
	options  Options
	instance string
	open     func() (sink, error)

	failures, suppressed atomic.Uint64
	denials              denials

	mu sync.Mutex
	// seq is that of the last line, whether or not it was written; written is that of the last one that was.
	seq, written uint64
	queue        []*entry
	writer       *writer
	closed       bool
	// failing is set from the first line that could not be written until the next one that could.
	failing   bool
	lastAlert time.Time
}

// entry is a line on its way into the file.
type entry struct {
	*line
	// done gets the result. It has room for it, so that the writer waits for nobody.
	done chan error
	// begun is set when the writer has taken it, left when its call has given up. Both are of Log.mu.
	begun, left bool
}

// Open opens the file and writes the first line. The mode off needs no file: the Log is nil. An error says what to do.
func Open(o Options) (*Log, error) {
	switch {
	case o.Mode == Off:
		return nil, nil
	case o.Path == "":
		return nil, errors.New("an audit file is needed: name one with --audit-file, or - for standard output")
	case o.Path == "-" && o.Mode == Required:
		return nil, errors.New("audit lines that are required need a file: nobody knows who reads standard output")
	case o.Path == "-" && o.Sync:
		return nil, errors.New("--audit-sync needs a file: standard output cannot be synced")
	}
	open := func() (sink, error) { return openFile(o.Path, o.Sync) }
	if o.Path == "-" {
		if o.Stdout == nil {
			o.Stdout = os.Stdout
		}
		open = func() (sink, error) { return stream{o.Stdout}, nil }
	}
	return start(o, open)
}

func start(o Options, open func() (sink, error)) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var random [8]byte
	// It never fails.
	_, _ = rand.Read(random[:])
	l := &Log{options: o, instance: hex.EncodeToString(random[:]), open: open}
	s, err := open()
	if err != nil {
		return nil, err
	}
	l.writer = l.newWriter(s)
	if err := l.write(&line{Kind: kindStart}); err != nil && o.Mode == Required {
		l.Close()
		return nil, fmt.Errorf("the first audit line could not be written: %w", err)
	}
	return l, nil
}

// Attempt is a write that is under way.
type Attempt struct {
	log  *Log
	call Call
	seq  uint64
}

// Attempt writes that a write is about to go to Graph. It returns when the line is written, after 100 ms at most. The
// error is ErrUnavailable: then nothing may go to Graph. Only a Log that requires lines returns one.
func (l *Log) Attempt(c Call) (*Attempt, error) {
	if l == nil {
		return nil, nil
	}
	a := &Attempt{log: l, call: c}
	attempt := lineOf(kindAttempt, c, Result{})
	if err := l.write(attempt); err != nil && l.options.Mode == Required {
		return nil, ErrUnavailable
	}
	a.seq = attempt.Seq
	return a, nil
}

// Outcome writes how the write ended. The call is over whether or not that succeeds, in every mode. A nil Attempt
// writes nothing.
func (a *Attempt) Outcome(r Result) {
	if a == nil {
		return
	}
	outcome := lineOf(kindOutcome, a.call, r)
	outcome.Attempt = a.seq
	_ = a.log.write(outcome)
}

// Read writes that a call showed people or content.
func (l *Log) Read(c Call, r Result) {
	if l != nil {
		_ = l.write(lineOf(kindRead, c, r))
	}
}

// Denied writes that a call was denied. It does not wait. A caller gets one line a second, after a burst of ten, and
// all together 20; the next line says how many calls got none.
func (l *Log) Denied(c Call, r Result) {
	if l == nil {
		return
	}
	before, ok := l.denials.take(c.Principal, l.options.Now())
	if !ok {
		l.suppressed.Add(1)
		return
	}
	denied := lineOf(kindDenied, c, r)
	denied.Suppressed = before
	l.queueLine(denied)
}

// Failures returns how many lines were not written, or not in time.
func (l *Log) Failures() uint64 {
	if l == nil {
		return 0
	}
	return l.failures.Load()
}

// Suppressed returns how many denied calls got no line of their own.
func (l *Log) Suppressed() uint64 {
	if l == nil {
		return 0
	}
	return l.suppressed.Load()
}

// Failing reports whether the last line could not be written.
func (l *Log) Failing() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failing
}

// write queues a line and waits until it is written.
func (l *Log) write(text *line) error {
	e := l.queueLine(text)
	if e == nil {
		return ErrUnavailable
	}
	timer := time.NewTimer(lineTime)
	defer timer.Stop()
	select {
	case err := <-e.done:
		return err
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case err := <-e.done:
		return err
	default:
	}
	e.left = true
	l.fail(errors.New("it took too long"))
	return ErrUnavailable
}

// queueLine gives a line its seq and queues it. It returns nil when there is no way to write it soon.
func (l *Log) queueLine(text *line) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	text.Time, text.Instance, text.Seq = l.options.Now().UTC(), l.instance, l.seq
	switch {
	case l.closed:
		l.fail(errors.New("the log is closed"))
		return nil
	case len(l.queue) >= maxQueued:
		l.fail(errors.New("too many lines wait"))
		return nil
	case l.writer.stuck() && text.Kind != kindEnd:
		// Each further call would wait for nothing. Only the end of the process waits longer.
		l.fail(errors.New("it took too long"))
		return nil
	}
	l.closed = text.Kind == kindEnd
	e := &entry{line: text, done: make(chan error, 1)}
	l.queue = append(l.queue, e)
	l.writer.wake()
	return e
}

// fail counts a line that was not written. l.mu is held.
func (l *Log) fail(err error) {
	l.failures.Add(1)
	l.failing = true
	if now := time.Now(); l.lastAlert.IsZero() || now.Sub(l.lastAlert) >= alertPause {
		l.lastAlert = now
		l.options.Logger.Error("audit lines could not be written", slog.Any("error", err), slog.Uint64("count", l.failures.Load()))
	}
}

// recover notes that lines are written again. l.mu is held.
func (l *Log) recover() {
	if l.failing {
		l.failing = false
		l.options.Logger.Info("audit lines are written again", slog.Uint64("count", l.failures.Load()))
	}
}

// Reopen opens the file anew, after it has been moved away. Lines go to the old one until the new one is open, and for
// good when it cannot be opened. A write that hangs in the old one is left behind.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	s, err := l.open()
	if err != nil {
		return fmt.Errorf("the audit file could not be reopened, the old one stays in use: %w", err)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return s.Close()
	}
	old := l.writer
	l.mu.Unlock()
	// The order of the lines stays, unless the old file hangs.
	old.stop(lineTime)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer = l.newWriter(s)
	l.writer.wake()
	return nil
}

// Close writes the lines that are queued and the last one, for at most 1 s, and closes the file.
func (l *Log) Close() {
	if l == nil || l.isClosed() {
		return
	}
	if rest := l.denials.rest(); rest > 0 {
		l.queueLine(&line{Kind: kindDenied, Suppressed: rest})
	}
	l.queueLine(&line{Kind: kindEnd})
	l.mu.Lock()
	l.closed = true
	w := l.writer
	l.mu.Unlock()
	w.stop(closeTime)
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
