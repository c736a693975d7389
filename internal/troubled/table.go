// Package troubled remembers which tenants have trouble, so that an operator finds the tenant behind an alert: metrics
// have no tenants.
package troubled

import (
	"container/heap"
	"math"
	"sync"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
)

const (
	// maxTenants is how many tenants are remembered: those with the most trouble.
	maxTenants = 1000
	// halfLife is how long it takes until an error counts half.
	halfLife = 10 * time.Minute
)

// Row is what is known of a tenant since it is in the table.
type Row struct {
	Tenant string
	// Calls are all calls that have ended, CallerErrors those that failed by a fault of the caller, Errors all others that
	// failed.
	Calls, Errors, CallerErrors uint64
	// LastOK and LastError are when a call was OK or failed last, zero for never. Calls that failed by a fault of the
	// caller do not count.
	LastOK, LastError time.Time
	// LastReason and LastCause are of the last error.
	LastReason, LastCause string
	// ConsentProblem is set while the tenant's administrator has to consent to the application.
	ConsentProblem bool
	// BlockedUntil is when requests are no longer blocked because Graph throttled some; zero when they are not.
	BlockedUntil time.Time
}

// Table has the most troubled tenants. It is an observer of the server, and safe for concurrent use.
type Table struct {
	blockedFor func(tenant string) time.Duration
	now        func() time.Time
	began      time.Time

	mu      sync.Mutex
	tenants map[string]*entry
	// order is a heap, the least troubled tenant first.
	order entries
}

var _ service.Observer = (*Table)(nil)

// New returns an empty table. blockedFor says how long Graph blocks a tenant's requests.
func New(blockedFor func(tenant string) time.Duration) *Table {
	return newTable(blockedFor, time.Now)
}

func newTable(blockedFor func(tenant string) time.Duration, now func() time.Time) *Table {
	return &Table{blockedFor: blockedFor, now: now, began: now(), tenants: make(map[string]*entry)}
}

// CallBegan does nothing.
func (*Table) CallBegan(string) {}

// CallEnded notes what a call of a tenant came to.
func (t *Table) CallEnded(c service.CallInfo) {
	if c.Tenant == "" {
		return
	}
	troubled := c.Reason != "" && c.Fault != "caller"
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	e := t.tenants[c.Tenant]
	if e == nil {
		if e = t.add(c.Tenant, troubled); e == nil {
			return
		}
	}
	e.Calls++
	switch {
	case c.Reason == "":
		e.LastOK, e.ConsentProblem = now, false
	case !troubled:
		e.CallerErrors++
	default:
		e.Errors++
		e.LastError, e.LastReason, e.LastCause = now, c.Reason, c.Cause
		e.ConsentProblem = c.Cause == string(graph.CauseConsentMissing) || c.Cause == string(graph.CauseApplicationUnknown)
		e.trouble = worse(e.trouble, float64(now.Sub(t.began))/float64(halfLife))
		heap.Fix(&t.order, e.index)
	}
}

// add adds a tenant. When there is no room, a troubled one replaces the least troubled, and any other gets nothing.
func (t *Table) add(tenant string, troubled bool) *entry {
	if len(t.order) >= maxTenants {
		if !troubled {
			return nil
		}
		delete(t.tenants, t.order[0].Tenant)
		heap.Pop(&t.order)
	}
	e := &entry{Row: Row{Tenant: tenant}, trouble: math.Inf(-1)}
	t.tenants[tenant] = e
	heap.Push(&t.order, e)
	return e
}

// Rows returns what is known of the tenants, in no order.
func (t *Table) Rows() []Row {
	t.mu.Lock()
	rows := make([]Row, len(t.order))
	for i, e := range t.order {
		rows[i] = e.Row
	}
	now := t.now()
	t.mu.Unlock()
	for i := range rows {
		if left := t.blockedFor(rows[i].Tenant); left > 0 {
			rows[i].BlockedUntil = now.Add(left)
		}
	}
	return rows
}

// entry is a tenant in the table.
type entry struct {
	Row
	index int
	// trouble is the binary logarithm of how many errors there were, each worth twice as much as one of a half-life
	// before. As a logarithm it need not be counted down while time passes.
	trouble float64
}

// worse adds an error at a time, in half-lives since the table began.
func worse(trouble, at float64) float64 { return at + math.Log2(1+math.Exp2(trouble-at)) }

// entries is a heap.Interface.
type entries []*entry

func (h entries) Len() int           { return len(h) }
func (h entries) Less(i, j int) bool { return h[i].trouble < h[j].trouble }
func (h entries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds an entry at the end.
func (h *entries) Push(x any) {
	e, ok := x.(*entry)
	if !ok {
		return
	}
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop takes the entry at the end.
func (h *entries) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
