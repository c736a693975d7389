package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	// ExternalURL is the scheme and host under which clients reach the emulator, such as "https://graph.test:8443", for
	// next links and the token authority. Empty is what a request was made to, and what X-Forwarded-Proto says.
	ExternalURL string
	// RequireToken refuses requests to Graph without a token of the emulator's own token authority.
	RequireToken bool
	// TokenLifetime is how long its tokens are good, in real time; 0 is [DefaultTokenLifetime].
	TokenLifetime time.Duration
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
	ledger *ledger
	faults *faults

	router    *router // of the Backup Storage API
	directory *router
	outside   *router // of the token authority
	known     *router // all of them

	authority tokenAuthority
	clocks    clocks

	requests atomic.Uint64 // numbers requests of no tenant
	issued   atomic.Uint64 // numbers tokens

	mu      sync.Mutex
	tenants map[string]*tenant
}

// New is [Open] for options that are part of the program: it panics where Open fails, since nothing but a mistake in
// the program can cause that.
func New(opts Options) *Emulator {
	e, err := Open(opts)
	if err != nil {
		panic("emulator: " + err.Error())
	}
	return e
}

// Open makes an emulator with tenants A, B and C. It refuses a length or a ledger size that is negative, a speed out of
// range, a default tenant that is no GUID, an external URL that is more than a scheme and a host, and a seed that
// [Emulator.Seed] refuses.
func Open(opts Options) (*Emulator, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Emulator{
		opts:   opts,
		clock:  newClock(opts.Base, opts.Start, opts.Speed),
		router: newRouter(allRoutes()), directory: newRouter(directoryRoutes()), outside: newRouter(authorityRoutes()),
		ledger: newLedger(opts.LedgerSize),
		faults: &faults{},
	}
	e.known = newRouter(slices.Concat(e.router.routes, e.directory.routes, e.outside.routes))
	return e, e.start()
}

func (opts Options) withDefaults() (Options, error) {
	if opts.Base == nil {
		opts.Base = time.Now
	}
	if opts.Lengths.negative() {
		return opts, errors.New("a length is negative")
	}
	opts.Speed = cmp.Or(opts.Speed, DefaultSpeed)
	if opts.Stopped {
		opts.Speed = 0
	}
	opts.TokenLifetime = cmp.Or(opts.TokenLifetime, DefaultTokenLifetime)
	opts.ExternalURL = strings.TrimSuffix(opts.ExternalURL, "/")
	opts.LedgerSize = cmp.Or(opts.LedgerSize, DefaultLedgerSize)
	opts.DefaultTenant = strings.ToLower(cmp.Or(opts.DefaultTenant, TenantA))
	opts.Lengths = opts.Lengths.withDefaults()
	switch {
	case opts.LedgerSize < 0:
		return opts, errors.New("the size of the ledger is negative")
	case opts.TokenLifetime < 0:
		return opts, errors.New("the lifetime of tokens is negative")
	case !isGUID(opts.DefaultTenant):
		return opts, fmt.Errorf("the default tenant %q is not a GUID", opts.DefaultTenant)
	}
	if err := checkSpeed(opts.Speed); err != nil {
		return opts, err
	}
	return opts, checkExternalURL(opts.ExternalURL)
}

// start makes the tenants of the beginning.
func (e *Emulator) start() error {
	fresh := map[string]*tenant{}
	for _, s := range append(initialSeeds(), e.opts.Seeds...) {
		t, err := e.grow(s)
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		fresh[t.id] = t
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
// start, no fault rules, an empty ledger. The clock is left alone; those that
// tenants have of their own are given up.
func (e *Emulator) Reset() {
	e.ClearFaults()
	e.ledger.reset()
	e.requests.Store(0)
	e.clocks.mu.Lock()
	e.clocks.own = nil
	e.clocks.mu.Unlock()
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
func (e *Emulator) AddFault(f Fault) (id string, err error) {
	ids, err := e.faults.add([]Fault{f}, e.known)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// RemoveFault removes one rule and reports whether there was one. It removes none when rules of several tenants have
// the id: see [Emulator.ResetTenant].
func (e *Emulator) RemoveFault(id string) bool {
	removed, err := e.faults.clear("", id)
	return id != "" && err == nil && removed > 0
}

// ClearFaults removes all rules.
func (e *Emulator) ClearFaults() { _, _ = e.faults.clear("", "") }

// Faults returns the rules in force and how often each has acted.
func (e *Emulator) Faults() []FaultState { return e.faults.states("") }

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
	return e.loadFaults(data, "")
}

// loadFaults adds rules, all of them of the tenant if one is given.
func (e *Emulator) loadFaults(data []byte, tenant string) ([]string, error) {
	list, err := decodeFaults(data)
	if err != nil {
		return nil, fmt.Errorf("reading fault rules: %w", err)
	}
	for i := range list {
		if tenant != "" && list[i].Tenant != "" && !strings.EqualFold(list[i].Tenant, tenant) {
			return nil, fmt.Errorf("fault rule %d: its tenant is not the one of tenant=", i+1)
		}
		list[i].Tenant = cmp.Or(list[i].Tenant, tenant)
	}
	return e.faults.add(list, e.known)
}

// Ledger returns the entries after the given one (0 for all) that are still
// kept. What is due by now has happened and is among them.
func (e *Emulator) Ledger(since uint64) LedgerPage { return e.FindLedger(LedgerQuery{Since: since}) }

// FindLedger returns the entries that a query asks for.
func (e *Emulator) FindLedger(q LedgerQuery) LedgerPage {
	e.settle()
	return e.ledger.find(q)
}

func (e *Emulator) settle() {
	e.mu.Lock()
	tenants := make([]*tenant, 0, len(e.tenants))
	for _, t := range e.tenants {
		tenants = append(tenants, t)
	}
	e.mu.Unlock()
	slices.SortFunc(tenants, func(a, b *tenant) int { return strings.Compare(a.id, b.id) })
	for _, t := range tenants {
		t.mu.Lock()
		t.settle(t.now())
		t.mu.Unlock()
	}
}

// checkExternalURL refuses what is no scheme and host.
func checkExternalURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return errors.New("the external URL must be a scheme and a host, such as https://graph.test:8443")
	}
	return nil
}

// tenant returns a tenant, which comes to life on first use.
func (e *Emulator) tenant(id string) *tenant {
	e.mu.Lock()
	t, there := e.tenants[id]
	e.mu.Unlock()
	if there {
		return t
	}
	fresh, err := e.grow(e.firstSeed(id))
	if err != nil {
		panic("emulator: " + err.Error()) // the seed was accepted before, or is the emulator's own
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if t, there := e.tenants[id]; there {
		return t // of another request at the same time
	}
	e.tenants[id] = fresh
	return fresh
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
	now := t.now()
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
