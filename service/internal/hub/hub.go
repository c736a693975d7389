package hub

import (
	"context"
	"sync"
	"time"
)

const (
	// minInterval is the time between two reads after a change, and the least time between two reads of a resource.
	minInterval = time.Second
	// maxInterval is the most time between two reads, maxShort that in a state that Graph leaves within seconds.
	maxInterval = time.Minute
	maxShort    = 5 * time.Second
	// keepFor is how long a state is kept that nobody waits for.
	keepFor = time.Minute
	// readTime is what one read may take.
	readTime = 30 * time.Second
	// maxApart is how many resources of a collection are read one by one.
	maxApart = 5
	// apartFor is how long a collection is read one by one whose list is too long, or cannot be read.
	apartFor = 10 * time.Minute
)

// Key names a resource as one identity sees it.
type Key struct {
	// Tenant is the tenant's GUID.
	Tenant string
	// Identity is as whom Graph is asked; empty for the application. Two users can see other data.
	Identity string
	// Resource names the resource in the tenant, such as by its path.
	Resource string
}

// Collection names the list that a resource is in, with the same tenant and identity.
type Collection struct{ Tenant, Identity, List string }

// State is what a read saw.
type State struct {
	// Value is the resource. Nobody may change it.
	Value any
	// Revision names the content of the resource.
	Revision string
	// Terminal says that the resource stays so until somebody acts on it, Short that it does not for long.
	Terminal, Short bool
	// Held is what the state holds of the server's memory; nil for nothing. The hub releases it once, when it has a newer
	// state or forgets the resource.
	Held Held
}

// Held is a part of the server's memory, such as a *wire.Holding.
type Held interface{ Release() }

// release releases what the state holds. It does something but once.
func (s *State) release() {
	if s.Held != nil {
		s.Held.Release()
		s.Held = nil
	}
}

// Outcome is what came of a read: a state, or an error.
type Outcome struct {
	State State
	Err   error
	// Again is set with an error that passes: how long to leave the resource alone.
	Again time.Duration
}

// Listing is what came of a read of a list.
type Listing struct {
	// Marks has a text for each resource of the list, by id. It is another one after each change.
	Marks map[string]string
	// TooLong says that the list has more pages than were asked for.
	TooLong bool
	Err     error
	// Again is as in Outcome.
	Again time.Duration
}

// Source reads a resource as one who waits for it may.
type Source struct {
	// Read reads the resource. held is what the last state holds, nil for nothing: the next state may take it over.
	Read func(ctx context.Context, held Held) Outcome
	// List reads the collection with the resource in it, at most so many pages; nil when there is none. ID is the id of
	// the resource in it.
	List       func(ctx context.Context, pages int) Listing
	Collection Collection
	ID         string
}

// Hub has all pollers of a process. It is safe for concurrent use.
type Hub struct {
	ctx    context.Context
	cancel context.CancelFunc
	// spread returns a factor close to 1, so that pollers that began together do not stay together.
	spread func() float64

	mu      sync.Mutex
	watched map[Key]*watched
	groups  map[Collection]*group
	reads   reads
	// moments counts the beginnings of reads and the arrivals of readers, to tell which was first.
	moments uint64
	readers int
	active  int
	polls   uint64
}

// New returns a hub. spread returns factors close to 1.
func New(spread func() float64) *Hub {
	h := &Hub{spread: spread, watched: make(map[Key]*watched), groups: make(map[Collection]*group)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Close ends all reads. Readers get no more states, and no errors.
func (h *Hub) Close() {
	h.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.watched {
		w.timer.Stop()
		// The states stay, for Reader.Latest.
		w.state.release()
	}
	for _, g := range h.groups {
		g.timer.Stop()
	}
}

// Counts is what the hub does now, and has done.
type Counts struct {
	// Readers are those who wait, Watched the resources that they wait for.
	Readers, Watched int
	// Polls is how many reads there were, those of lists too.
	Polls uint64
}

// Counts returns the counts of this moment.
func (h *Hub) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Counts{Readers: h.readers, Watched: h.active, Polls: h.polls}
}

// moment returns a number that is larger than all before.
func (h *Hub) moment() uint64 {
	h.moments++
	return h.moments
}
