package emulator

import (
	"sync"
	"time"
)

// DefaultLedgerSize is how many entries a ledger keeps.
const DefaultLedgerSize = 100_000

// Kinds of ledger entries.
const (
	EntryRequest = "request" // a request that was read to its end
	EntryChange  = "change"  // a change of state
)

// Entry is one line of the ledger. A request takes its place when it has been
// read; the changes that it makes follow it, and those that happen by
// themselves precede the next request of their tenant.
type Entry struct {
	Seq    uint64    `json:"seq"` // from 1, without gaps
	Kind   string    `json:"kind"`
	Time   time.Time `json:"time"` // emulated; of a change that happened by itself: when it was due
	Tenant string    `json:"tenant,omitempty"`

	// Of a request.
	Method          string `json:"method,omitempty"`
	Path            string `json:"path,omitempty"`      // with its query
	Operation       string `json:"operation,omitempty"` // method and template; empty when nothing matched
	RequestID       string `json:"requestId,omitempty"`
	ClientRequestID string `json:"clientRequestId,omitempty"`
	Status          int    `json:"status,omitempty"` // 0 while under way, and when the connection was cut before an answer
	Fault           string `json:"fault,omitempty"`  // id of the fault rule that made or altered the answer
	Cut             string `json:"cut,omitempty"`    // before, after or within: where the fault rule cut

	// Of a change.
	Cause    uint64 `json:"cause,omitempty"` // seq of the request; 0 for what happened by itself
	Resource string `json:"resource,omitempty"`
	ID       string `json:"id,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Count    int    `json:"count,omitempty"` // how many seeded units changed at once, when more than one
}

// LedgerPage is what a look at the ledger returns.
type LedgerPage struct {
	Entries []Entry `json:"entries"`
	Last    uint64  `json:"last"`    // seq of the newest entry; the next since
	Dropped uint64  `json:"dropped"` // how many entries after since were lost for want of room
}

// ledger keeps the newest entries in a ring.
type ledger struct {
	mu   sync.Mutex
	size int
	ring []Entry // entry seq stands at (seq-1) % size
	last uint64
}

func newLedger(size int) *ledger { return &ledger{size: size} }

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.last = nil, 0
}

func (l *ledger) add(e Entry) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq = l.last
	if len(l.ring) < l.size {
		l.ring = append(l.ring, e)
	} else {
		l.ring[(l.last-1)%uint64(l.size)] = e
	}
	return e.Seq
}

// update changes entry seq unless it has been dropped meanwhile.
func (l *ledger) update(seq uint64, change func(*Entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq == 0 || seq > l.last || l.last-seq >= uint64(l.size) {
		return
	}
	if e := &l.ring[(seq-1)%uint64(l.size)]; e.Seq == seq {
		change(e)
	}
}

// since returns at most limit entries (all when limit is 0) after the given one.
func (l *ledger) since(after uint64, limit int) LedgerPage {
	l.mu.Lock()
	defer l.mu.Unlock()
	page := LedgerPage{Last: l.last, Entries: []Entry{}}
	oldest := uint64(1)
	if l.last > uint64(len(l.ring)) {
		oldest = l.last - uint64(len(l.ring)) + 1
	}
	from := after + 1
	if from < oldest {
		page.Dropped = oldest - from
		from = oldest
	}
	for seq := from; seq <= l.last; seq++ {
		if limit > 0 && len(page.Entries) == limit {
			page.Last = seq - 1
			break
		}
		page.Entries = append(page.Entries, l.ring[(seq-1)%uint64(l.size)])
	}
	return page
}
