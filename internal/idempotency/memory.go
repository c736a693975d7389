package idempotency

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// maxMemory is how many records a Memory keeps.
const maxMemory = 100_000

// Memory is a store in the memory of one process. A restart forgets all records, so it is for a desk, and for tests.
type Memory struct {
	mu      sync.Mutex
	records map[ID]*kept
	claims  map[ID]ID
}

type kept struct {
	record []byte
	// lease and end are when the lease is over, and when the record is forgotten.
	lease, end time.Time
	claim      ID
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{records: make(map[ID]*kept), claims: make(map[ID]ID)}
}

// Read returns the record of a key.
func (m *Memory) Read(_ context.Context, key ID) (Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored(key, time.Now()), nil
}

func (m *Memory) stored(key ID, now time.Time) Stored {
	k := m.records[key]
	if k == nil {
		return Stored{}
	}
	if !now.Before(k.end) {
		m.forget(key)
		return Stored{}
	}
	return Stored{Record: k.record, Lease: k.lease.Sub(now)}
}

func (m *Memory) forget(key ID) {
	if k := m.records[key]; k != nil && m.claims[k.claim] == key {
		delete(m.claims, k.claim)
	}
	delete(m.records, key)
}

// Swap puts a record in the place of another one.
func (m *Memory) Swap(_ context.Context, s Swap) (Swapped, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if is := m.stored(s.Key, now); !bytes.Equal(is.Record, s.Old) {
		return Swapped{Stored: is}, nil
	}
	if s.New == nil {
		m.forget(s.Key)
		return Swapped{OK: true}, nil
	}
	if s.Claim != (ID{}) {
		if other, ok := m.claims[s.Claim]; ok && other != s.Key && !s.Sure {
			return Swapped{Claimed: true}, nil
		}
		m.claims[s.Claim] = s.Key
	}
	k := m.records[s.Key]
	if k == nil {
		if err := m.makeRoom(now); err != nil {
			return Swapped{}, err
		}
		k = &kept{end: now.Add(Kept)}
		m.records[s.Key] = k
	}
	k.record, k.lease = s.New, now.Add(s.Lease)
	if s.Claim != (ID{}) {
		k.claim = s.Claim
	}
	return Swapped{OK: true}, nil
}

// makeRoom forgets what is over when there is no room. A record that is not over is never forgotten: its write could be
// sent again.
func (m *Memory) makeRoom(now time.Time) error {
	if len(m.records) < maxMemory {
		return nil
	}
	for key, k := range m.records {
		if !now.Before(k.end) {
			m.forget(key)
		}
	}
	if len(m.records) < maxMemory {
		return nil
	}
	return fmt.Errorf("%w: it keeps %d records", ErrUnavailable, len(m.records))
}
