package trial

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// entry is what is read of a line of the emulator's ledger.
type entry struct {
	Seq             uint64 `json:"seq"`
	Kind            string `json:"kind"`
	Method          string `json:"method"`
	ClientRequestID string `json:"clientRequestId"`
	Status          int    `json:"status"`
	Fault           string `json:"fault"`
	Cause           uint64 `json:"cause"`
	ID              string `json:"id"`
	From            string `json:"from"`
	To              string `json:"to"`
}

// Ledger is what the emulator has done, by the request id of the call that caused it.
type Ledger struct {
	mu       sync.Mutex
	last     uint64
	open     map[uint64]bool   // Requests that were under way when they were read, and are read again.
	requests map[uint64]string // Seq of a POST or DELETE, to the request id of its call.
	// Created has the ids that came into being, by the request id of their call.
	Created map[string][]string
	// Removed has the ids that were deleted, by the request id of their call.
	Removed map[string][]string
	// Faults has the fault rules that met a POST or DELETE, by the request id of its call. A rule that still holds a
	// request up at the last read is not there.
	Faults map[string][]string
}

// NewLedger returns one that has read nothing yet.
func NewLedger() *Ledger {
	return &Ledger{
		open: map[uint64]bool{}, requests: map[uint64]string{},
		Created: map[string][]string{}, Removed: map[string][]string{}, Faults: map[string][]string{},
	}
}

// Writes is how many requests it has that change things.
func (l *Ledger) Writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.requests)
}

// Read reads on where the last read ended, and once more what was under way then.
func (l *Ledger) Read(ctx context.Context, e Emulator) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := l.last
	for seq := range l.open {
		since = min(since, seq-1)
	}
	for {
		var page struct {
			Entries []entry `json:"entries"`
			Last    uint64  `json:"last"`
			Dropped uint64  `json:"dropped"`
		}
		if err := e.Control(ctx, http.MethodGet, fmt.Sprintf("ledger?since=%d&limit=20000", since), nil, &page); err != nil {
			return err
		}
		if page.Dropped > 0 {
			return fmt.Errorf("the ledger has lost %d lines: read it more often", page.Dropped)
		}
		if len(page.Entries) == 0 {
			return nil
		}
		l.add(page.Entries)
		since = page.Last
	}
}

func (l *Ledger) add(entries []entry) {
	for _, e := range entries {
		if e.Seq <= l.last && !l.open[e.Seq] {
			continue
		}
		l.last = max(l.last, e.Seq)
		delete(l.open, e.Seq)
		id := l.requests[e.Cause]
		switch {
		case e.Kind == "request" && (e.Method == http.MethodPost || e.Method == http.MethodDelete):
			l.requests[e.Seq] = e.ClientRequestID
			if e.Fault != "" {
				l.Faults[e.ClientRequestID] = append(l.Faults[e.ClientRequestID], e.Fault)
			} else if e.Status == 0 {
				l.open[e.Seq] = true
			}
		case e.Kind != "change" || id == "":
		case e.From == "":
			l.Created[id] = append(l.Created[id], e.ID)
		case e.To == "":
			l.Removed[id] = append(l.Removed[id], e.ID)
		}
	}
}

// Follow reads until the context ends, so that the ledger has no time to drop lines.
func (l *Ledger) Follow(ctx context.Context, e Emulator, every time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		if err := l.Read(ctx, e); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
