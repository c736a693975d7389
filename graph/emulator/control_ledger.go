package emulator

import (
	"fmt"
	"strconv"
	"strings"
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

	// Of a request, when the ledger keeps headers and bodies: see [Emulator.Record].
	RequestHeaders  map[string][]string `json:"requestHeaders,omitempty"`
	RequestBody     string              `json:"requestBody,omitempty"`
	ResponseHeaders map[string][]string `json:"responseHeaders,omitempty"`
	ResponseBody    string              `json:"responseBody,omitempty"`

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

	begins     map[string]uint64    // the last entry before a tenant's reset
	recordings map[string]Recording // of tenants; that of the empty one is for those without
}

func newLedger(size int) *ledger { return &ledger{size: size} }

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.last, l.begins = nil, 0, nil
	for tenant := range l.recordings {
		if tenant != "" {
			delete(l.recordings, tenant)
		}
	}
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

// LedgerQuery says which entries are wanted: those that all of it fits.
type LedgerQuery struct {
	Since  uint64 // only entries after this one
	Limit  int    // at most so many; 0 is all
	Tenant string // only those of this tenant since its last [Emulator.ResetTenant]
	// Operation is that of requests, spelt as in the ledger, whatever path variables are called; "GET *" is a method.
	Operation string
	Kind      string    // [EntryRequest] or [EntryChange]
	From, To  time.Time // emulated, both included; zero is open
}

// fits compares an entry with a query.
func (q *LedgerQuery) fits(e *Entry, begins map[string]uint64) bool {
	if q.Tenant != "" && (!strings.EqualFold(q.Tenant, e.Tenant) || e.Seq <= begins[e.Tenant]) {
		return false
	}
	if q.Kind != "" && q.Kind != e.Kind || !q.From.IsZero() && e.Time.Before(q.From) || !q.To.IsZero() && e.Time.After(q.To) {
		return false
	}
	if q.Operation == "" || q.Operation == "*" && e.Kind == EntryRequest {
		return true
	}
	method, template, _ := strings.Cut(q.Operation, " ")
	itsMethod, itsTemplate, found := strings.Cut(e.Operation, " ")
	return e.Kind == EntryRequest && method == e.Method &&
		(template == "*" || found && itsMethod == method && sameTemplate(splitTemplate(template), splitTemplate(itsTemplate)))
}

// find returns the entries that a query fits.
func (l *ledger) find(q LedgerQuery) LedgerPage {
	l.mu.Lock()
	defer l.mu.Unlock()
	page := LedgerPage{Last: l.last, Entries: []Entry{}}
	oldest := uint64(1)
	if l.last > uint64(len(l.ring)) {
		oldest = l.last - uint64(len(l.ring)) + 1
	}
	from := max(q.Since, l.begins[strings.ToLower(q.Tenant)]) + 1
	if from < oldest {
		page.Dropped = oldest - from
		from = oldest
	}
	for seq := from; seq <= l.last; seq++ {
		e := &l.ring[(seq-1)%uint64(l.size)]
		if !q.fits(e, l.begins) {
			continue
		}
		if q.Limit > 0 && len(page.Entries) == q.Limit {
			page.Last = seq - 1
			break
		}
		page.Entries = append(page.Entries, *e)
	}
	return page
}

// forget lets the ledger of a tenant begin now.
func (l *ledger) forget(tenant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begins == nil {
		l.begins = map[string]uint64{}
	}
	l.begins[tenant] = l.last
	delete(l.recordings, tenant)
}

func ledgerParameters() []string {
	return []string{"since", "limit", "tenant", "operation", "kind", "from", "to"}
}

func (e *Emulator) controlLedger(in controlRequest) (any, error) {
	q := LedgerQuery{Tenant: in.tenant(), Operation: in.query.Get("operation"), Kind: in.query.Get("kind")}
	var err error
	if since := in.query.Get("since"); since != "" {
		if q.Since, err = strconv.ParseUint(since, 10, 64); err != nil {
			return nil, fmt.Errorf("since %q is no number of an entry", since)
		}
	}
	if limit := in.query.Get("limit"); limit != "" {
		if q.Limit, err = strconv.Atoi(limit); err != nil || q.Limit < 1 {
			return nil, fmt.Errorf("limit %q is not a positive number", limit)
		}
	}
	for name, to := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if text := in.query.Get(name); text != "" {
			if *to, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, fmt.Errorf("%s %q is no time such as 2030-01-02T03:04:05Z", name, text)
			}
		}
	}
	if q.Kind != "" && q.Kind != EntryRequest && q.Kind != EntryChange {
		return nil, fmt.Errorf("kind %q is neither %s nor %s", q.Kind, EntryRequest, EntryChange)
	}
	if q.Operation != "" {
		if err := checkOperation(q.Operation, e.known); err != nil {
			return nil, err
		}
	}
	return e.FindLedger(q), nil
}
