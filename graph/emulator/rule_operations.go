package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// ruleOf finds the rule that the path names.
func (c *call) ruleOf(w Workload) (*inclusionRule, *graphError) {
	p, err := c.policyOfWorkload(w)
	if err != nil {
		return nil, err
	}
	id := c.param(1)
	if !isGUID(id) {
		return nil, refuse(c.r.Method, "InvalidInclusionRuleId", "The rule id is not a GUID.")
	}
	for _, r := range p.rules {
		if strings.EqualFold(r.id, id) {
			return r, nil
		}
	}
	return nil, refuse(c.r.Method, "ProtectionRuleNotFound", "The policy has no inclusion rule %s.", id)
}

// inclusionRuleView is a rule on the wire.
type inclusionRuleView struct {
	Context     string         `json:"@odata.context,omitempty"`
	Type        string         `json:"@odata.type"`
	ID          string         `json:"id"`
	Status      string         `json:"status"`
	CreatedBy   identitySet    `json:"createdBy"`
	CreatedAt   string         `json:"createdDateTime"`
	ModifiedBy  identitySet    `json:"lastModifiedBy"`
	ModifiedAt  string         `json:"lastModifiedDateTime"`
	Dynamic     bool           `json:"isAutoApplyEnabled"`
	MailboxText *string        `json:"mailboxExpression,omitempty"`
	DriveText   *string        `json:"driveExpression,omitempty"`
	SiteText    *string        `json:"siteExpression,omitempty"`
	Error       *detailedError `json:"error,omitempty"`
}

func (c *call) ruleView(r *inclusionRule) inclusionRuleView {
	text := r.text
	v := inclusionRuleView{
		Type: odataType(r.policy.workload.info().thing + "ProtectionRule"), ID: r.id, Status: r.status,
		CreatedBy: r.createdBy, CreatedAt: graphTime(r.created),
		ModifiedBy: r.modifiedBy, ModifiedAt: graphTime(r.modified),
		Dynamic: r.dynamic, Error: r.err,
	}
	switch r.policy.workload {
	case Exchange:
		v.MailboxText = &text
	case OneDrive:
		v.DriveText = &text
	case SharePoint:
		v.SiteText = &text
	}
	if in := c.itemFault(r.id); in != nil {
		v.Error = in.detailed()
	}
	return v
}

// rulesPath is where a policy's rules stand below the API's root.
func rulesPath(p *policy) string {
	in := p.workload.info()
	return "/" + in.policies + "/" + p.id + "/" + in.thing + "InclusionRules"
}

func (c *call) answerRule(r *inclusionRule, status int) *answer {
	v := c.ruleView(r)
	v.Context = c.context(rulesPath(r.policy) + "/$entity")
	return &answer{status: status, body: v, contentLocation: c.url(rulesPath(r.policy) + "('" + r.id + "')")}
}

func listRules(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		return locatedListing(c, rulesPath(p), p.rules,
			func(r *inclusionRule) int { return r.order }, func(r *inclusionRule) any { return c.ruleView(r) })
	}
}

func getRule(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		r, err := c.ruleOf(w)
		if err != nil {
			return nil, err
		}
		return c.answerRule(r, http.StatusOK), nil
	}
}

// createRule makes the handler that creates a rule, which is applied once its
// time is over.
func createRule(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		bad := func(format string, args ...any) (*answer, *graphError) {
			return nil, refuse(c.r.Method, "InvalidInclusionRuleCreateRequest", format, args...)
		}
		property := w.info().thing + "Expression"
		fields, ok := readObject(c.body)
		if !ok {
			return bad("The body is not a JSON object.")
		}
		if unknown := unknownField(fields, property, "isAutoApplyEnabled"); unknown != "" {
			return bad("A %s rule has no property %q that can be set.", w.info().thing, unknown)
		}
		dynamic := false
		if !readField(fields, "isAutoApplyEnabled", &dynamic) {
			return bad("isAutoApplyEnabled is neither true nor false.")
		}
		if dynamic && w == SharePoint {
			return bad("There are no dynamic rules for sites.")
		}
		text, parsed, err := readExpression(w, fields[property], dynamic)
		if err != nil {
			return nil, err
		}
		if dynamic && slices.ContainsFunc(p.rules, func(r *inclusionRule) bool { return r.dynamic }) {
			return bad("The policy has a dynamic rule already.")
		}
		why := c.cause()
		r := c.tenant.newRule(p, c.tenant.newID("rule"), text, parsed, dynamic, why)
		c.tenant.ask(r, ruleActive, why, func(why cause) { c.tenant.evaluate(r, why) })
		return c.answerRule(r, http.StatusCreated), nil
	}
}

func (t *tenant) newRule(p *policy, id, text string, parsed *ruleExpression, dynamic bool, why cause) *inclusionRule {
	p.numbered++
	r := &inclusionRule{
		order: p.numbered, id: id, policy: p, dynamic: dynamic, text: text, parsed: parsed, anchor: why.at,
		created: why.at, modified: why.at, createdBy: why.by, modifiedBy: why.by,
	}
	p.rules = append(p.rules, r)
	return r
}

func readExpression(w Workload, raw json.RawMessage, dynamic bool) (string, *ruleExpression, *graphError) {
	var text string
	_ = json.Unmarshal(raw, &text) // what is no string stays empty, and empty is invalid
	parsed, err := parseRule(text, w, dynamic)
	return text, parsed, err
}

// updateRule makes the handler that gives a dynamic rule another expression.
func updateRule(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		r, err := c.ruleOf(w)
		if err != nil {
			return nil, err
		}
		property := w.info().thing + "Expression"
		fields, ok := readObject(c.body)
		if !ok {
			return nil, refuse(c.r.Method, "InvalidProtectionRulePatchRequest", "The body is not a JSON object.")
		}
		if unknown := unknownField(fields, property); unknown != "" {
			return nil, refuse(c.r.Method, "InvalidProtectionRulePatchRequest", "A %s rule has no property %q that can be changed.", w.info().thing, unknown)
		}
		text, parsed, err := readExpression(w, fields[property], true)
		switch {
		case err != nil:
			return nil, err
		case !r.dynamic:
			return nil, refuse(c.r.Method, "PatchNotAllowedForStaticRule", "The rule is static; make another one instead.")
		case r.status == ruleDeleteRequested:
			return nil, refuse(c.r.Method, "InvalidProtectionRuleStatusForDynamicRuleEdit", "The rule is being deleted.")
		case !r.atRest():
			return nil, refuse(c.r.Method, "InvalidProtectionRuleStatusForUpdation", "The rule is %s; it must be completed or completedWithErrors.", r.status)
		}
		r.text, r.parsed = text, parsed
		c.tenant.ask(r, ruleUpdateRequested, c.cause(), func(why cause) { c.tenant.evaluate(r, why) })
		return c.answerRule(r, http.StatusOK), nil
	}
}

// runRule makes the handler that applies a static rule once more.
func runRule(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		r, err := c.ruleOf(w)
		switch {
		case err != nil:
			return nil, err
		case r.dynamic:
			return nil, refuse(c.r.Method, "RunNotAllowedForDynamicRule", "The rule is dynamic and applied by itself.")
		case !r.atRest():
			return nil, refuse(c.r.Method, "ProtectionRuleActionNotAllowed", "The rule is %s; it must be completed or completedWithErrors.", r.status)
		}
		c.tenant.ask(r, ruleActive, c.cause(), func(why cause) { c.tenant.evaluate(r, why) })
		return c.answerRule(r, http.StatusOK), nil
	}
}

// deleteRule makes the handler that ends a rule. Its units stay in the policy; a
// dynamic rule's hold on them ends, so they become units added by hand.
func deleteRule(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		r, err := c.ruleOf(w)
		switch {
		case err != nil:
			return nil, err
		case r.atRest():
		case r.dynamic:
			return nil, refuse(c.r.Method, "InvalidProtectionRuleStatusForDynamicRuleDeletion", "The dynamic rule is %s; it must be completed or completedWithErrors.", r.status)
		default:
			return nil, refuse(c.r.Method, "InvalidProtectionRuleStatusForDeletion", "The rule is %s; it must be completed or completedWithErrors.", r.status)
		}
		c.tenant.dropRule(r, false, c.cause())
		return &answer{status: http.StatusNoContent}, nil
	}
}

// deleteAndUnprotect makes the handler that ends a dynamic rule and what only it
// protects.
func deleteAndUnprotect(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		r, err := c.ruleOf(w)
		if err != nil {
			return nil, err
		}
		if !r.dynamic || !r.atRest() {
			return nil, refuse(c.r.Method, "InvalidProtectionRuleStatusForDynamicRuleDeleteAndUnprotectAll",
				"The rule is %s; it must be dynamic, and completed or completedWithErrors.", r.status)
		}
		c.tenant.ask(r, ruleDeleteRequested, c.cause(), func(why cause) { c.tenant.dropRule(r, true, why) })
		a := c.answerRule(r, http.StatusAccepted)
		v, _ := a.body.(inclusionRuleView)
		v.CreatedBy, v.ModifiedBy = v.CreatedBy.twice(), v.ModifiedBy.twice()
		a.body = v
		return a, nil
	}
}

// dropRule takes a rule away, with or without the units that only it holds.
func (t *tenant) dropRule(r *inclusionRule, unprotect bool, why cause) {
	if r.dynamic {
		for _, id := range t.held(r.policy) {
			t.letGo(r.policy, id, unprotect, why)
		}
	}
	t.setRule(r, "", why)
	r.policy.rules = slices.DeleteFunc(r.policy.rules, func(other *inclusionRule) bool { return other == r })
}
