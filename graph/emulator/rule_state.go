package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// States of an inclusion rule. Microsoft's draft is never used.
const (
	ruleActive          = "active"
	ruleCompleted       = "completed"
	ruleWithErrors      = "completedWithErrors"
	ruleUpdateRequested = "updateRequested"
	ruleDeleteRequested = "deleteRequested"
)

// inclusionRule adds units to its policy: a static one when it is created or
// run, a dynamic one whenever it is evaluated, and then it also removes.
type inclusionRule struct {
	order   int // of creation, from 1
	id      string
	policy  *policy
	dynamic bool
	text    string
	parsed  *ruleExpression
	status  string
	err     *detailedError
	round   int       // grows with every request, so that a late step knows that it is void
	anchor  time.Time // from where the intervals between evaluations count
	planned bool      // the next evaluation is among the tenant's steps

	created, modified     time.Time
	createdBy, modifiedBy identitySet
}

func (r *inclusionRule) atRest() bool { return r.status == ruleCompleted || r.status == ruleWithErrors }

// in tells whether the rule is still there.
func (r *inclusionRule) in(t *tenant) bool {
	return t.policy(r.policy.id) == r.policy && slices.Contains(r.policy.rules, r)
}

func (t *tenant) setRule(r *inclusionRule, to string, why cause) {
	if r.status != to {
		t.record(why, r.policy.workload.info().thing+"ProtectionRule", r.id, r.status, to, 1)
		r.status = to
	}
}

// ask notes a request on a rule; apply follows, unless another request or the
// rule's end comes first.
func (t *tenant) ask(r *inclusionRule, to string, why cause, apply func(cause)) {
	t.setRule(r, to, why)
	r.modified, r.modifiedBy = why.at, why.by
	r.err = nil
	r.round++
	round := r.round
	t.steps.schedule(why.at.Add(t.lengths.Rule), func(at time.Time) {
		if r.round == round && r.in(t) {
			r.anchor = at
			apply(cause{at: at})
		}
	})
}

// stir is called when something happened that may change what a dynamic rule
// leads to. The next evaluation of each is then due at the end of its interval.
// Evaluations in between would find what the last one found, so there are none:
// a year may pass at once.
func (t *tenant) stir(at time.Time) {
	for _, p := range t.policies {
		for _, r := range p.rules {
			if !r.dynamic || r.planned || !r.atRest() {
				continue
			}
			r.planned = true
			// The next whole interval since the anchor.
			next := at.Add(t.lengths.Reevaluate - at.Sub(r.anchor)%t.lengths.Reevaluate)
			t.steps.schedule(next, func(at time.Time) {
				r.planned = false
				if r.in(t) {
					t.reevaluate(r, cause{at: at})
				}
			})
		}
	}
}

// reevaluate applies a dynamic rule that is at rest. While protection may not
// change nothing happens; enabling the service stirs.
func (t *tenant) reevaluate(r *inclusionRule, why cause) {
	if r.dynamic && r.atRest() && t.service.status == serviceEnabled {
		t.evaluate(r, why)
	}
}

// evaluate makes the policy's units what the rule says.
func (t *tenant) evaluate(r *inclusionRule, why cause) {
	p, w := r.policy, r.policy.workload
	why.by = r.modifiedBy // what time alone does, it does for the one who asked
	from := sources{manual: !r.dynamic, dynamicRule: r.dynamic}
	objects, problems := t.resolve(r)
	wanted := map[string]bool{}
	for _, o := range objects {
		wanted[t.units[w].unitID(t, o)] = true
		if problem := t.include(p, o, from, why); problem != nil {
			problems = append(problems, *problem)
		}
	}
	if r.dynamic {
		for _, id := range t.held(p) {
			if !wanted[id] {
				t.letGo(p, id, true, why)
			}
		}
	}
	r.err = nil
	if len(problems) == 0 {
		t.setRule(r, ruleCompleted, why)
		return
	}
	r.err = &detailedError{
		Code: problems[0].Code, Message: "The rule was applied except for what the details name.",
		Details: problems, Inner: &innerCode{problems[0].Code},
	}
	t.setRule(r, ruleWithErrors, why)
}

// resolve lists what a rule selects, in an order that never changes, and what it
// cannot select.
func (t *tenant) resolve(r *inclusionRule) (objects []object, problems []publicError) {
	if r.policy.workload == SharePoint {
		for n := 1; n <= t.dir.sites; n++ {
			s := t.dir.site(n)
			// Site n was last changed n days before the tenant was seeded.
			modified := t.born.AddDate(0, 0, -n)
			if r.parsed.Matches(func(x *ruleComparison) bool { return x.fits(s, modified) }) {
				objects = append(objects, object{s.id, n})
			}
		}
		return objects, nil
	}
	numbers, problems := t.usersOf(r.parsed, !r.dynamic)
	numbers = slices.DeleteFunc(numbers, func(n int) bool { return !t.licensed(r.policy.workload, object{number: n}) })
	if r.dynamic && len(numbers) > maxDynamicUsers {
		problems = append(problems, publicError{Code: codeBadRule, Message: fmt.Sprintf(
			"The expression leads to %d users; the first %d are protected.", len(numbers), maxDynamicUsers)})
		numbers = numbers[:maxDynamicUsers]
	}
	for _, n := range numbers {
		objects = append(objects, object{t.dir.objectID(r.policy.workload, n), n})
	}
	return objects, problems
}

// usersOf evaluates an expression over groups.
func (t *tenant) usersOf(x *ruleExpression, nested bool) (numbers []int, problems []publicError) {
	if x.Comparison != nil {
		w := groupWalk{t: t, nested: nested, groups: map[string]bool{}, users: map[int]bool{}}
		for _, id := range x.Comparison.groups {
			w.enter(id)
		}
		return w.numbers, w.problems
	}
	for i, part := range x.Parts {
		more, failed := t.usersOf(part, nested)
		problems = append(problems, failed...)
		in := map[int]bool{}
		switch {
		case i == 0:
			numbers = more
		case x.Or:
			for _, n := range numbers {
				in[n] = true
			}
			numbers = append(numbers, slices.DeleteFunc(more, func(n int) bool { return in[n] })...)
		default:
			for _, n := range more {
				in[n] = true
			}
			numbers = slices.DeleteFunc(numbers, func(n int) bool { return !in[n] })
		}
	}
	return numbers, problems
}

// include adds an object to a policy, or one more source to a unit that is in it
// already. It tells why that cannot be.
func (t *tenant) include(p *policy, o object, from sources, why cause) *publicError {
	set := t.units[p.workload]
	u := set.find(t, set.unitID(t, o))
	switch {
	case u.offboarding():
		return &publicError{Code: "ProtectionUnitActionNotAllowed", Message: "The unit is being offboarded.", Target: o.id}
	case u == nil || u.policy == nil:
		t.join(set.takeOrAdd(t, o, why), p, from, why)
		return nil
	case u.policy != p:
		return &publicError{Code: "ProtectionUnitAlreadyExists", Message: "It already belongs to policy " + u.policy.id + ".", Target: o.id}
	case u.status == unitRemoveRequested:
		if from.dynamicRule {
			return nil // it comes back with the evaluation after its removal
		}
		return &publicError{Code: "ProtectionUnitAlreadyExists", Message: "It is on its way out of the policy.", Target: o.id}
	}
	from.manual, from.dynamicRule = from.manual || u.sources.manual, from.dynamicRule || u.sources.dynamicRule
	if from != u.sources {
		t.setSources(set.take(t, u.id), from, why)
	}
	return nil
}

// setSources changes what keeps a unit in its policy.
func (t *tenant) setSources(u *unit, to sources, why cause) {
	t.record(why, "protectionSources", u.id, u.sources.String(), to.String(), 1)
	u.sources = to
	why.sign(&u.modified, &u.modifiedBy)
}

// held lists the ids of the units that the policy's dynamic rule holds.
func (t *tenant) held(p *policy) (ids []string) {
	set := t.units[p.workload]
	note := func(u *unit) {
		if u.policy == p && u.sources.dynamicRule {
			ids = append(ids, u.id)
		}
	}
	for position := 1; position <= set.size && position <= set.dynamic; position++ {
		note(set.at(t, position))
	}
	for _, position := range set.movedInOrder() {
		if position > set.dynamic {
			note(set.moved[position])
		}
	}
	for _, u := range set.extra {
		note(u)
	}
	return ids
}

// letGo ends a dynamic rule's hold on a unit. A unit that nothing else holds is
// removed, or stays as one that was added by hand.
func (t *tenant) letGo(p *policy, id string, remove bool, why cause) {
	u := t.units[p.workload].take(t, id)
	if remove && !u.sources.manual {
		u.sources = sources{}
		t.remove(u, why)
		return
	}
	t.setSources(u, sources{manual: true}, why)
}

// plantRule makes the dynamic rule that holds units of a seeded policy.
func (t *tenant) plantRule(p *policy, set *unitSet, why cause) {
	set.planted = set.dynamic
	if set.dynamic == 0 || p.workload == SharePoint {
		// Rules for sites are static: a site can be seeded as held, for the
		// refusal to remove it, and no rule holds it.
		return
	}
	text := "(memberOf -any (group.id -in ['" + SeededGroupID(t.id, p.workload) + "']))"
	parsed, err := parseRule(text, p.workload, true)
	if err != nil {
		panic("emulator: own expression cannot be read: " + err.message)
	}
	r := t.newRule(p, SeededRuleID(t.id, p.workload), text, parsed, true, why)
	r.status = ruleCompleted
}

// SeededRuleID returns the id of the dynamic rule that a tenant's seeded policy
// has when it has [PolicySeed.DynamicRuleUnits].
func SeededRuleID(tenant string, w Workload) string {
	return hashedID(strings.ToLower(tenant), "seeded rule", w)
}
