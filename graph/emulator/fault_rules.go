package emulator

import (
	"bytes"
	"fmt"
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
	named int
}

func (fs *faults) add(f Fault, known *router) (string, error) {
	if err := f.check(known); err != nil {
		return "", err
	}
	f.respell(known)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.ID == "" {
		fs.named++
		f.ID = fmt.Sprintf("fault-%d", fs.named)
	}
	if slices.ContainsFunc(fs.rules, func(r *rule) bool { return r.ID == f.ID }) {
		return "", fmt.Errorf("there is a rule %q already", f.ID)
	}
	r := &rule{Fault: f, clients: map[string]*throttled{}}
	r.Tenant = strings.ToLower(r.Tenant)
	if _, template, found := strings.Cut(f.Operation, " "); found && template != "*" {
		r.segments = splitTemplate(template)
	}
	fs.rules = append(fs.rules, r)
	return f.ID, nil
}

// clear removes one rule, or all when id is empty, and reports how many.
func (fs *faults) clear(id string) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	before := len(fs.rules)
	fs.rules = slices.DeleteFunc(fs.rules, func(r *rule) bool { return id == "" || r.ID == id })
	return before - len(fs.rules)
}

// FaultState is a rule and how far it got.
type FaultState struct {
	Fault
	Matched int `json:"matched"` // requests (or items) that fitted
	Applied int `json:"applied"` // how often it acted
}

func (fs *faults) states() []FaultState {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := make([]FaultState, len(fs.rules))
	for i, r := range fs.rules {
		list[i] = FaultState{Fault: r.Fault, Matched: r.matched, Applied: r.applied}
	}
	return list
}

// fits compares a rule with a request, counters aside.
func (r *rule) fits(c *call) bool {
	if r.Tenant != "" && r.Tenant != c.caller.tenant {
		return false
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

// consume counts one match and tells whether the rule acts on it.
func (r *rule) consume() bool {
	if r.Times > 0 && r.applied >= r.Times {
		return false
	}
	r.matched++
	if r.matched <= r.After {
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
		case r.consume():
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
			in.asked, in.applies = true, in.rule.consume()
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
