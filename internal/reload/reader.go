package reload

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// DefaultInterval is how often a Reader looks at its files.
const DefaultInterval = 10 * time.Second

// Reader looks at the files of all sets. It is safe for concurrent use.
type Reader struct {
	interval time.Duration
	report   report

	mu   sync.Mutex
	sets []set
}

// set is a Set of any type.
type set interface {
	name() string
	look()
	Failures() uint64
}

// NewReader returns a reader that looks every interval; 0 means DefaultInterval. The logger takes a line when files
// were read again, and when they cannot be used; nil logs nothing.
func NewReader(interval time.Duration, logger *slog.Logger) *Reader {
	if interval == 0 {
		interval = DefaultInterval
	}
	return &Reader{interval: interval, report: report{logger}}
}

func (r *Reader) add(s set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sets = append(r.sets, s)
}

// Run looks at the files until the context ends.
func (r *Reader) Run(ctx context.Context) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.mu.Lock()
		sets := r.sets
		r.mu.Unlock()
		for _, s := range sets {
			s.look()
		}
	}
}

// Failures returns how many reads found files that cannot be used, by the name of their set. A name has the sum of all
// sets that bear it.
func (r *Reader) Failures() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	failures := make(map[string]uint64)
	for _, s := range r.sets {
		failures[s.name()] += s.Failures()
	}
	return failures
}

// report writes to the log; the zero report does not.
type report struct{ logger *slog.Logger }

func (r report) good(what string) {
	if r.logger != nil {
		r.logger.Info("files were read again, and are in use", slog.String("what", what))
	}
}

func (r report) failed(what string, err error) {
	if r.logger != nil {
		r.logger.Warn("files cannot be used: what was read before stays in use", slog.String("what", what), slog.String("error", err.Error()))
	}
}
