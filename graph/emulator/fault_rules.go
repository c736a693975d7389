package emulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// rule is a fault with its counters.
type rule struct {
	Fault
	segments []string // of the template; nil for "*"
	matched  int
	applied  int
	clients  map[string]*throttled // by tenant
	drawn    map[string]int        // how many requests of a tenant fitted a rule with a probability
}

// throttled is what a throttle knows of one tenant.
type throttled struct {
	windowFrom time.Time
	count      int
	closedTill time.Time
	wait       time.Duration
}

// faults are the rules in force.
type faults struct {
	mu    sync.Mutex
	rules []*rule
	named map[string]int // rules without an id of their own, by tenant
}

// add puts rules in force, after those that there are: all of them or none.
func (fs *faults) add(list []Fault, known *router) (ids []string, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	rules, ids := slices.Clone(fs.rules), []string{}
	named := maps.Clone(fs.named)
	if named == nil {
		named = map[string]int{}
	}
	for i, f := range list {
		err := f.check(known)
		if err == nil {
			f.respell(known)
			f.Tenant = strings.ToLower(f.Tenant)
			f.ID, err = nameRule(f, rules, named)
		}
		if err != nil && len(list) > 1 {
			return nil, fmt.Errorf("fault rule %d: %w", i+1, err)
		}
		if err != nil {
			return nil, fmt.Errorf("fault rule: %w", err)
		}
		r := &rule{Fault: f, clients: map[string]*throttled{}, drawn: map[string]int{}}
		if _, template, found := strings.Cut(f.Operation, " "); found && template != "*" {
			r.segments = splitTemplate(template)
		}
		rules, ids = append(rules, r), append(ids, f.ID)
	}
	fs.rules, fs.named = rules, named
	return ids, nil
}

// nameRule returns the id of a rule, which no other rule of its tenant may have.
func nameRule(f Fault, rules []*rule, named map[string]int) (string, error) {
	taken := func(id string) bool {
		return slices.ContainsFunc(rules, func(r *rule) bool { return r.ID == id && r.Tenant == f.Tenant })
	}
	if f.ID != "" {
		if taken(f.ID) {
			return "", fmt.Errorf("there is a rule %q already", f.ID)
		}
		return f.ID, nil
	}
	for {
		named[f.Tenant]++
		if id := fmt.Sprintf("fault-%d", named[f.Tenant]); !taken(id) {
			return id, nil
		}
	}
}

// clear removes the rules of a tenant, or all without one; with an id only those that have it. It reports how many, and
// refuses an id that several tenants' rules have.
func (fs *faults) clear(tenant, id string) (removed int, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	goes := func(r *rule) bool { return (tenant == "" || r.Tenant == tenant) && (id == "" || r.ID == id) }
	for _, r := range fs.rules {
		if goes(r) {
			removed++
		}
	}
	if id != "" && removed > 1 {
		return 0, fmt.Errorf("%d tenants have a fault rule %q: say which with tenant=", removed, id)
	}
	fs.rules = slices.DeleteFunc(fs.rules, goes)
	return removed, nil
}

// forget removes the rules of a tenant, and what others know of the tenant.
func (fs *faults) forget(tenant string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.rules = slices.DeleteFunc(fs.rules, func(r *rule) bool { return r.Tenant == tenant })
	delete(fs.named, tenant)
	for _, r := range fs.rules {
		delete(r.clients, tenant)
		delete(r.drawn, tenant)
	}
}

// FaultState is a rule and how far it got.
type FaultState struct {
	Fault
	Matched int `json:"matched"` // requests (or items) that fitted
	Applied int `json:"applied"` // how often it acted
}

// states are those of a tenant's rules, or of all.
func (fs *faults) states(tenant string) []FaultState {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := []FaultState{}
	for _, r := range fs.rules {
		if tenant == "" || r.Tenant == tenant {
			list = append(list, FaultState{Fault: r.Fault, Matched: r.matched, Applied: r.applied})
		}
	}
	return list
}

// fits compares a rule with a request, counters aside.
func (r *rule) fits(c *call) bool {
	if r.Tenant != "" && r.Tenant != c.caller.tenant {
		return false
	}
	if !r.Match.fits(c) {
		return false
	}
	if r.segments == nil && c.route != nil && c.route.area == areaAuthority {
		return false // the authority is no part of Graph: only a rule that names it acts on it
	}
	if c.route != nil && c.route.outside && r.segments == nil {
		return false // a rule for all operations meets the parts of a batch, not the batch as well
	}
	if r.Operation == "*" {
		return r.InBand != nil || r.touches(c)
	}
	if c.route == nil || r.method() != c.route.method {
		return false
	}
	if r.segments == nil && !strings.HasSuffix(r.Operation, "*") && len(c.route.segments) > 0 {
		return false
	}
	if r.segments != nil && !sameTemplate(r.segments, c.route.segments) {
		return false
	}
	return r.InBand != nil || r.touches(c)
}

// touches tells whether a request has to do with the rule's item.
func (r *rule) touches(c *call) bool {
	if r.Item == "" || slices.ContainsFunc(c.params, func(p string) bool { return strings.EqualFold(p, r.Item) }) {
		return true
	}
	return bytes.Contains(bytes.ToLower(c.body), []byte(strings.ToLower(r.Item)))
}

// draws tells whether chance lets the rule act on a request of a tenant.
func (r *rule) draws(tenant string) bool {
	if r.Probability == 0 {
		return true
	}
	r.drawn[tenant]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", r.ProbabilitySeed, tenant, r.drawn[tenant]))
	return float64(binary.BigEndian.Uint64(sum[:])>>11)/(1<<53) < r.Probability
}

// consume counts one match of a tenant and tells whether the rule acts on it.
func (r *rule) consume(tenant string) bool {
	if r.Times > 0 && r.applied >= r.Times {
		return false
	}
	r.matched++
	if r.matched <= r.After || !r.draws(tenant) {
		return false
	}
	r.applied++
	return true
}

// itemFault is an in-band rule that fits a call's operation. Whether it acts is
// decided once per call, when an item that it names comes up.
type itemFault struct {
	rule    *rule
	asked   bool
	applies bool
}

// act finds the rule that acts on a call. A throttle that lets the call pass is
// no obstacle to the rules after it; in-band rules are kept for later.
func (fs *faults) act(c *call, base time.Time) (act *Fault, wait time.Duration) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, r := range fs.rules {
		switch {
		case !r.fits(c):
		case r.InBand != nil:
			c.items = append(c.items, &itemFault{rule: r})
		case act != nil:
		case r.Throttle != nil:
			if wait := r.throttle(c.caller.tenant, base); wait > 0 {
				f := r.Fault
				return &f, wait
			}
		case r.consume(c.caller.tenant):
			f := r.Fault
			act = &f
		}
	}
	return act, 0
}

// throttle counts one request of a tenant and returns how long it must wait, in
// whole seconds; 0 lets it pass.
func (r *rule) throttle(tenant string, now time.Time) time.Duration {
	if r.Times > 0 && r.applied >= r.Times {
		return 0
	}
	r.matched++
	if r.matched <= r.After {
		return 0
	}
	st := r.clients[tenant]
	if st == nil {
		st = &throttled{windowFrom: now}
		r.clients[tenant] = st
	}
	step := time.Duration(math.Ceil(max(time.Duration(r.Throttle.RetryAfter).Seconds(), 1))) * time.Second
	if now.Before(st.closedTill) {
		st.wait += step // back too early: longer than the last time
	} else {
		st.wait = step
		if now.Sub(st.windowFrom) >= time.Duration(r.Throttle.Window) || !st.closedTill.IsZero() {
			*st = throttled{windowFrom: now, wait: step}
		}
		if st.count++; st.count <= r.Throttle.Requests {
			return 0
		}
	}
	st.closedTill = now.Add(st.wait)
	r.applied++
	return st.wait
}

// itemFault returns the error that a rule has for an item with any of the ids,
// or nil.
func (c *call) itemFault(ids ...string) *InBandError {
	for _, in := range c.items {
		named := in.rule.Item == "" || slices.ContainsFunc(ids, func(id string) bool {
			return id != "" && strings.EqualFold(id, in.rule.Item)
		})
		if !named {
			continue
		}
		if !in.asked {
			c.e.faults.mu.Lock()
			in.asked, in.applies = true, in.rule.consume(c.caller.tenant)
			c.e.faults.mu.Unlock()
		}
		if in.applies {
			c.fault = in.rule.ID
			e := *in.rule.InBand
			if e.Message == "" {
				e.Message = "A fault rule of the emulator put this error here."
			}
			return &e
		}
	}
	return nil
}
