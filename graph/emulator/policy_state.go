package emulator

import (
	"time"
	"unicode/utf8"
)

// States of a protection policy.
const (
	policyInactive         = "inactive"
	policyUpdating         = "updating"
	policyActive           = "active"
	policyActiveWithErrors = "activeWithErrors"
)

const (
	maxUnitsPerRequest = 50
	maxDisplayName     = 1024 // Unicode code points
)

// policy is a protection policy. Its status is not stored: it follows from the
// units, of which tally keeps the count by status.
type policy struct {
	workload Workload
	order    int // of creation, from 1
	id       string
	name     string
	on       bool // activated and not deactivated since; decides what an added unit becomes
	tally    map[string]int
	turning  int // activations and deactivations of a policy without units that are under way
	rules    []*inclusionRule
	jobs     []*additionJob
	numbered int    // how many rules and jobs there ever were
	told     string // the status that the ledger has; empty once the policy is deleted

	created, modified     time.Time
	createdBy, modifiedBy identitySet
}

func (p *policy) status() string {
	total := 0
	for _, n := range p.tally {
		total += n
	}
	waiting := p.tally[unitProtectRequested] + p.tally[unitUnprotectRequested] + p.tally[unitRemoveRequested]
	switch {
	case waiting > 0 || p.turning > 0:
		return policyUpdating
	case total == 0 && p.on:
		return policyActive
	case p.tally[unitProtected] == 0:
		return policyInactive
	case p.tally[unitProtected] == total:
		return policyActive
	}
	return policyActiveWithErrors
}

// rest is called when a unit came to rest. A policy none of whose units is
// protected is inactive by definition, and then what is added stays unprotected.
func (p *policy) rest() {
	if p != nil && p.status() == policyInactive {
		p.on = false
	}
}

func (t *tenant) newPolicy(w Workload, id, name string, why cause) *policy {
	order := 1
	if n := len(t.policies); n > 0 {
		order = t.policies[n-1].order + 1
	}
	p := &policy{
		workload: w, order: order, id: id, name: name, tally: map[string]int{},
		told: policyInactive, created: why.at, modified: why.at, createdBy: why.by, modifiedBy: why.by,
	}
	t.policies = append(t.policies, p)
	return p
}

// join ties a unit to a policy and, if the policy is on, begins to protect it.
func (t *tenant) join(u *unit, p *policy, from sources, why cause) {
	if u.policy == nil {
		t.revive(u, why)
		u.policy = p
		p.tally[u.status] += u.weight
		t.touch(p, why)
	}
	u.sources = from
	if p.on {
		t.protect(u, why)
	}
}

// turn activates or deactivates a policy.
func (t *tenant) turn(p *policy, on bool, why cause) {
	p.on = on
	p.modified, p.modifiedBy = why.at, why.by
	empty := true
	t.units[p.workload].members(p, func(u *unit) {
		empty = false
		switch {
		case on && u.status == unitUnprotected:
			t.protect(u, why)
		case !on && u.status == unitProtected:
			t.unprotect(u, why)
		}
	})
	if empty {
		length := t.lengths.Protect
		if !on {
			length = t.lengths.Unprotect
		}
		p.turning++
		t.steps.schedule(why.at.Add(length), func(at time.Time) {
			p.turning--
			t.touch(p, cause{at: at})
		})
	}
	t.touch(p, why)
}

// touchedPolicy is a policy whose status may have changed, and why.
type touchedPolicy struct {
	policy *policy
	why    cause
}

// touch notes that a policy's status may have changed. It is told when all that
// changes together has changed, so that the ledger has no state in between.
func (t *tenant) touch(p *policy, why cause) {
	if p == nil {
		return
	}
	for _, other := range t.touched {
		if other.policy == p {
			return
		}
	}
	t.touched = append(t.touched, touchedPolicy{p, why})
}

// tellPolicies puts into the ledger which policies have another status.
func (t *tenant) tellPolicies() {
	for _, touched := range t.touched {
		p := touched.policy
		if status := p.status(); p.told != "" && p.told != status {
			t.record(touched.why, p.workload.info().policyType, p.id, p.told, status, 1)
			p.told = status
		}
	}
	t.touched = t.touched[:0]
}

// otherActive returns a policy of the workload, other than p, that is not
// inactive; nil when there is none.
func (t *tenant) otherActive(w Workload, p *policy) *policy {
	for _, other := range t.policies {
		if other != p && other.workload == w && other.status() != policyInactive {
			return other
		}
	}
	return nil
}

type retention struct {
	Interval string `json:"interval"`
	Period   string `json:"period"`
}

type policyView struct {
	Context    string      `json:"@odata.context,omitempty"`
	Type       string      `json:"@odata.type,omitempty"`
	ID         string      `json:"id"`
	Name       string      `json:"displayName"`
	Status     string      `json:"status"`
	CreatedBy  identitySet `json:"createdBy"`
	CreatedAt  string      `json:"createdDateTime"`
	ModifiedBy identitySet `json:"lastModifiedBy"`
	ModifiedAt string      `json:"lastModifiedDateTime"`
	Retention  []retention `json:"retentionSettings"`
}

func (p *policy) view() policyView {
	return policyView{
		ID: p.id, Name: p.name, Status: p.status(),
		CreatedBy: p.createdBy, CreatedAt: graphTime(p.created),
		ModifiedBy: p.modifiedBy, ModifiedAt: graphTime(p.modified),
		Retention: []retention{{"R/PT10M", "P2W"}, {"R/P1W", "P1Y"}},
	}
}

// typedView is the view where the collection or operation is polymorphic.
func (p *policy) typedView() policyView {
	v := p.view()
	v.Type = odataType(p.workload.info().policyType)
	return v
}

func validDisplayName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= maxDisplayName
}
