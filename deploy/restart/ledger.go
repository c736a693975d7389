package main

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
	Cause           uint64 `json:"cause"`
	ID              string `json:"id"`
	From            string `json:"from"`
}

// ledger is what the emulator has done, by the request id of the call that caused it.
type ledger struct {
	mu       sync.Mutex
	last     uint64
	requests map[uint64]string   // Seq of a POST, to the request id of its call.
	created  map[string][]string // Request id, to the policies that were created under it.
	total    int
}

func newLedger() *ledger {
	return &ledger{requests: map[uint64]string{}, created: map[string][]string{}}
}

// read reads on where the last read ended.
func (l *ledger) read(ctx context.Context, f *fleet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		var page struct {
			Entries []entry `json:"entries"`
			Last    uint64  `json:"last"`
			Dropped uint64  `json:"dropped"`
		}
		if err := f.control(ctx, http.MethodGet, fmt.Sprintf("ledger?since=%d&limit=20000", l.last), nil, &page); err != nil {
			return err
		}
		if page.Dropped > 0 {
			return fmt.Errorf("the ledger has lost %d lines: read it more often", page.Dropped)
		}
		if len(page.Entries) == 0 {
			return nil
		}
		l.add(page.Entries)
		l.last = page.Last
	}
}

func (l *ledger) add(entries []entry) {
	for _, e := range entries {
		l.total++
		switch {
		case e.Kind == "request" && e.Method == http.MethodPost:
			l.requests[e.Seq] = e.ClientRequestID
		case e.Kind == "change" && e.From == "" && l.requests[e.Cause] != "":
			id := l.requests[e.Cause]
			l.created[id] = append(l.created[id], e.ID)
		}
	}
}

// follow reads until the context ends, so that the ledger has no time to drop lines.
func (l *ledger) follow(ctx context.Context, f *fleet) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
		if err := l.read(ctx, f); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
