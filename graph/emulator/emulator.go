package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of an [Emulator]. The zero value works.
type Options struct {
	// Start is the emulated time at the start; zero is the base clock's now.
	Start time.Time
	// Speed is how many emulated seconds pass in a real one, up to [MaxSpeed];
	// 0 is [DefaultSpeed].
	Speed float64
	// Stopped starts with a clock that stands still, whatever Speed is.
	Stopped bool
	// Base is the clock that the emulated time derives from and that throttle
	// rules count in; nil is [time.Now].
	Base func() time.Time
	// Lengths of asynchronous steps; a zero one gets its default.
	Lengths Lengths
	// LedgerSize is how many entries the ledger keeps; 0 is
	// [DefaultLedgerSize].
	LedgerSize int
	// DefaultTenant is whose requests those without a tid claim are; empty is
	// [TenantA].
	DefaultTenant string
	// Seeds replace the content of tenants at the start, and after each Reset.
	Seeds []Seed
	// OnReset is called after each Reset, also one over HTTP, before that is
	// answered; nil for nothing. A client in the same process can then forget
	// what it has learned from fault rules.
	OnReset func()
}

// Lengths are how long asynchronous steps take, in emulated time.
type Lengths struct {
	Restore RestoreLengths // of everything about restores

	Protect   time.Duration // protectRequested until protected; default 5 min
	Unprotect time.Duration // unprotectRequested until unprotected; default 2 min
	Remove    time.Duration // removeRequested until out of the policy; default 2 min

	Rule           time.Duration // a rule's active, updateRequested and deleteRequested; default 1 min
	Reevaluate     time.Duration // between two evaluations of a dynamic rule; default 1 h
	Job            time.Duration // a bulk addition job's active; default 2 min
	CancelOffboard time.Duration // cancelOffboardRequested until unprotected; default 2 min

	DataStore time.Duration // first list of policies until enable works; default 5 min
}

func (l Lengths) withDefaults() Lengths {
	return Lengths{
		Restore:   l.Restore.withDefaults(),
		Protect:   cmp.Or(l.Protect, 5*time.Minute),
		Unprotect: cmp.Or(l.Unprotect, 2*time.Minute),
		Remove:    cmp.Or(l.Remove, 2*time.Minute),

		Rule:           cmp.Or(l.Rule, time.Minute),
		Reevaluate:     cmp.Or(l.Reevaluate, time.Hour),
		Job:            cmp.Or(l.Job, 2*time.Minute),
		CancelOffboard: cmp.Or(l.CancelOffboard, 2*time.Minute),

		DataStore: cmp.Or(l.DataStore, 5*time.Minute),
	}
}

// Emulator is an in-memory Backup Storage API. It is an [http.Handler], safe for
// concurrent use; make one with [New].
type Emulator struct {
	opts   Options
	clock  *Clock
	router *router
	ledger *ledger
	faults *faults

	requests atomic.Uint64 // numbers request ids

	mu      sync.Mutex
	tenants map[string]*tenant
}

// New makes an emulator with tenants A, B and C. It panics when the options make
// no sense, since nothing but a mistake in the program can cause that: a
// negative length or ledger size, a speed out of range, a default tenant that is
// no GUID, a seed that [Emulator.Seed] refuses.
func New(opts Options) *Emulator {
	if opts.Base == nil {
		opts.Base = time.Now
	}
	if opts.Lengths.Restore.negative() {
		panic(fmt.Sprintf("emulator: negative length: %+v", opts.Lengths.Restore))
	}
	opts.Speed = cmp.Or(opts.Speed, DefaultSpeed)
	if opts.Stopped {
		opts.Speed = 0
	}
	opts.LedgerSize = cmp.Or(opts.LedgerSize, DefaultLedgerSize)
	opts.DefaultTenant = cmp.Or(opts.DefaultTenant, TenantA)
	opts.DefaultTenant = strings.ToLower(opts.DefaultTenant)
	opts.Lengths = opts.Lengths.withDefaults()
	l := opts.Lengths
	if opts.LedgerSize < 0 || !isGUID(opts.DefaultTenant) || checkSpeed(opts.Speed) != nil ||
		min(l.Protect, l.Unprotect, l.Remove, l.DataStore) < 0 ||
		min(l.Rule, l.Reevaluate, l.Job, l.CancelOffboard) < 0 {
		panic(fmt.Sprintf("emulator: options out of range: %+v", opts))
	}
	e := &Emulator{
		opts:   opts,
		clock:  newClock(opts.Base, opts.Start, opts.Speed),
		router: newRouter(allRoutes()),
		ledger: newLedger(opts.LedgerSize),
		faults: &faults{},
	}
	if err := e.start(); err != nil {
		panic("emulator: " + err.Error())
	}
	return e
}

// start makes the tenants of the beginning.
func (e *Emulator) start() error {
	fresh := map[string]*tenant{}
	for _, s := range append(initialSeeds(), e.opts.Seeds...) {
		s = s.withDefaults()
		if err := s.check(); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		fresh[s.Tenant] = e.build(s)
	}
	// All at once, so that nobody meets a tenant that is half reset.
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tenants = fresh
	return nil
}

// Clock returns the emulated time.
func (e *Emulator) Clock() *Clock { return e.clock }

// Reset goes back to the beginning: the tenants as they were seeded at the
// start, no fault rules, an empty ledger. The clock is left alone.
func (e *Emulator) Reset() {
	e.faults.clear("")
	e.ledger.reset()
	e.requests.Store(0)
	if err := e.start(); err != nil {
		panic("emulator: " + err.Error()) // the same seeds were accepted by New
	}
	if e.opts.OnReset != nil {
		e.opts.OnReset()
	}
}

// AddFault puts a rule in force, after those that there are, and returns its id.
// It refuses a rule that is contradictory, does nothing, names an unknown
// operation, or takes an id that is in use.
func (e *Emulator) AddFault(f Fault) (id string, err error) { return e.faults.add(f, e.router) }

// RemoveFault removes one rule and reports whether there was one.
func (e *Emulator) RemoveFault(id string) bool { return id != "" && e.faults.clear(id) > 0 }

// ClearFaults removes all rules.
func (e *Emulator) ClearFaults() { e.faults.clear("") }

// Faults returns the rules in force and how often each has acted.
func (e *Emulator) Faults() []FaultState { return e.faults.states() }

// LoadFaults adds the rules of a JSON document, a list of [Fault] or a single
// one, at most [MaxBody] bytes. It refuses unknown properties, and adds nothing
// if any rule is refused.
func (e *Emulator) LoadFaults(r io.Reader) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading fault rules: %w", err)
	}
	if len(data) > MaxBody {
		return nil, errors.New("fault rules are too large")
	}
	list, err := decodeFaults(data)
	if err != nil {
		return nil, fmt.Errorf("reading fault rules: %w", err)
	}
	var ids []string
	for i, f := range list {
		id, err := e.AddFault(f)
		if err != nil {
			for _, added := range ids {
				e.RemoveFault(added)
			}
			return nil, fmt.Errorf("fault rule %d: %w", i+1, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Ledger returns the entries after the given one (0 for all) that are still
// kept. What is due by now has happened and is among them.
func (e *Emulator) Ledger(since uint64) LedgerPage {
	e.settle()
	return e.ledger.since(since, 0)
}

func (e *Emulator) settle() {
	e.mu.Lock()
	tenants := make([]*tenant, 0, len(e.tenants))
	for _, t := range e.tenants {
		tenants = append(tenants, t)
	}
	e.mu.Unlock()
	slices.SortFunc(tenants, func(a, b *tenant) int { return strings.Compare(a.id, b.id) })
	now := e.clock.Now()
	for _, t := range tenants {
		t.mu.Lock()
		t.settle(now)
		t.mu.Unlock()
	}
}

// tenant returns a tenant, which comes to life on first use.
func (e *Emulator) tenant(id string) *tenant {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t, ok := e.tenants[id]; ok {
		return t
	}
	t := e.build(Seed{Tenant: id}.withDefaults())
	e.tenants[id] = t
	return t
}

// inTenant does something in a locked tenant in which all has happened that is
// due. It refuses an id that is no GUID.
func (e *Emulator) inTenant(id string, do func(*tenant, time.Time) error) error {
	if !isGUID(id) {
		return fmt.Errorf("tenant %q is not a GUID", id)
	}
	t := e.tenant(strings.ToLower(id))
	t.mu.Lock()
	defer t.mu.Unlock()
	now := e.clock.Now()
	t.settle(now)
	defer t.tellPolicies()
	return do(t, now)
}

func (e *Emulator) knowsTenant(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.tenants[id]
	return ok
}

// ServeHTTP answers one request.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, control := controlPath(r.URL.Path); control {
		e.serveControl(w, r, rest)
		return
	}
	e.serveRequest(w, r)
}

// serveRequest answers a request to Graph, which may be a part of a batch.
func (e *Emulator) serveRequest(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		// Not read to its end, so it was never asked.
		panic(http.ErrAbortHandler)
	}
	c := &call{e: e, r: r, body: body.bytes, sent: body}
	c.serve(w)
}
