package emulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

// policyOf finds the policy that the path names. Only GUIDs are policy ids.
func (c *call) policyOf() (*policy, *graphError) {
	id := c.param(0)
	if !isGUID(id) {
		return nil, refuse(c.r.Method, "InvalidPolicyId", "The policy id is not a GUID.")
	}
	p := c.tenant.policy(strings.ToLower(id))
	if p == nil {
		return nil, refuse(c.r.Method, "PolicyNotFound", "This tenant has no protection policy %s.", id)
	}
	return p, nil
}

// policyOfWorkload is policyOf for a path below one workload's policies, where a
// policy of another workload does not exist.
func (c *call) policyOfWorkload(w Workload) (*policy, *graphError) {
	p, err := c.policyOf()
	if err == nil && p.workload != w {
		return nil, refuse(c.r.Method, "PolicyNotFound", "Policy %s is none of the %s.", p.id, w.info().policies)
	}
	return p, err
}

func listPolicies(c *call) (*answer, *graphError) {
	c.tenant.prepareStore(c.cause())
	return locatedListing(c, "/protectionPolicies", c.tenant.policies,
		func(p *policy) int { return p.order }, func(p *policy) any { return p.typedView() })
}

func getPolicy(c *call) (*answer, *graphError) {
	p, err := c.policyOf()
	if err != nil {
		return nil, err
	}
	v := p.typedView()
	v.Context = c.context("/protectionPolicies/$entity")
	return &answer{status: http.StatusOK, contentLocation: c.url("/protectionPolicies/" + p.id), body: v}, nil
}

func deletePolicy(c *call) (*answer, *graphError) {
	p, err := c.policyOf()
	if err != nil {
		return nil, err
	}
	if p.status() != policyInactive {
		return nil, refuse(c.r.Method, "PolicyActionNotAllowed", "The policy is %s; it must be inactive to be deleted.", p.status())
	}
	t := c.tenant
	why := c.cause()
	t.units[p.workload].members(p, func(u *unit) { t.release(u, why) })
	for i, other := range t.policies {
		if other == p {
			t.policies = append(t.policies[:i:i], t.policies[i+1:]...)
			break
		}
	}
	p.told = ""
	t.record(why, p.workload.info().policyType, p.id, policyInactive, "", 1)
	t.stir(why.at)
	return &answer{status: http.StatusNoContent}, nil
}

func activatePolicy(c *call) (*answer, *graphError) {
	p, err := c.policyOf()
	if err != nil {
		return nil, err
	}
	if s := p.status(); s != policyInactive && s != policyActiveWithErrors {
		return nil, refuse(c.r.Method, "PolicyActionNotAllowed", "The policy is %s; it must be inactive or activeWithErrors to be activated.", s)
	}
	if other := c.tenant.otherActive(p.workload, p); other != nil {
		return nil, refuse(c.r.Method, "PolicyActionNotAllowed", "Policy %s of the same workload is %s.", other.id, other.status())
	}
	c.tenant.turn(p, true, c.cause())
	return c.turned(p), nil
}

func deactivatePolicy(c *call) (*answer, *graphError) {
	p, err := c.policyOf()
	if err != nil {
		return nil, err
	}
	if s := p.status(); s != policyActive && s != policyActiveWithErrors {
		return nil, refuse(c.r.Method, "PolicyActionNotAllowed", "The policy is %s; it must be active to be deactivated.", s)
	}
	c.tenant.turn(p, false, c.cause())
	return c.turned(p), nil
}

func (c *call) turned(p *policy) *answer {
	v := p.typedView()
	v.Context = c.context("/protectionPolicies/$entity")
	return &answer{
		status: http.StatusAccepted, body: v,
		contentLocation: c.url("/protectionPolicies('" + p.id + "')"),
	}
}

// createPolicy makes the handler that creates a policy of one workload. The
// request is checked first, the tenant's state after it, and nothing is made
// unless both are fine.
func createPolicy(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		name, objects, err := readCreate(c, w)
		if err != nil {
			return nil, err
		}
		t := c.tenant
		if other := t.otherActive(w, nil); other != nil {
			return nil, refuse(c.r.Method, "PolicyCreationNotAllowed", "Policy %s of this workload is %s.", other.id, other.status())
		}
		set := t.units[w]
		for _, o := range objects {
			if u := set.find(t, set.unitID(t, o)); u != nil && u.policy != nil {
				return nil, refuse(c.r.Method, "ProtectionUnitAlreadyExists", "%s already belongs to policy %s.", o.id, u.policy.id)
			} else if u.offboarding() {
				return nil, refuse(c.r.Method, "ProtectionUnitActionNotAllowed", "%s is being offboarded.", o.id)
			}
		}
		why := c.cause()
		p := t.newPolicy(w, t.newID("policy"), name, why)
		t.record(why, w.info().policyType, p.id, "", policyInactive, 1)
		for _, o := range objects {
			t.join(set.takeOrAdd(t, o, why), p, sources{manual: true}, why)
		}
		v := p.view()
		v.Context = c.context("/" + w.info().policies + "/$entity")
		return &answer{
			status: http.StatusCreated, body: v,
			contentLocation: c.url("/protectionPolicies/" + p.id),
		}, nil
	}
}

func readCreate(c *call, w Workload) (name string, objects []object, _ *graphError) {
	bad := func(format string, args ...any) (string, []object, *graphError) {
		return "", nil, refuse(c.r.Method, "InvalidCreateRequest", format, args...)
	}
	in := w.info()
	fields, ok := readObject(c.body)
	if !ok {
		return bad("The body is not a JSON object.")
	}
	if unknown := unknownField(fields, "displayName", in.units); unknown != "" {
		return bad("An %s has no property %q that can be set.", in.policyType, unknown)
	}
	if !readField(fields, "displayName", &name) {
		return bad("displayName is not a string.")
	}
	if !validDisplayName(name) {
		return "", nil, refuse(c.r.Method, "InvalidDisplayName", "displayName must have 1 to %d characters.", maxDisplayName).about("displayName")
	}
	var items []json.RawMessage
	if !readField(fields, in.units, &items) {
		return bad("%s is not a list.", in.units)
	}
	if len(items) > maxUnitsPerRequest {
		return "", nil, tooManyUnits(c, in.units, len(items))
	}
	seen := map[string]bool{}
	for i, raw := range items {
		item, ok := readObject(raw)
		if !ok {
			return bad("An item of %s is not an object.", in.units)
		}
		if unknown := unknownField(item, in.idProperties()...); unknown != "" {
			return bad("A %s has no property %q that can be set.", in.unitType, unknown)
		}
		o, err := c.readObjectID(w, in.protectedThing(item))
		if err != nil {
			return "", nil, err.about(element(in.units, i, err.target))
		}
		if seen[o.id] {
			return "", nil, refuse(c.r.Method, "DuplicateProtectionUnitInList", "%s stands in the list twice.", o.id).about(element(in.units, i, ""))
		}
		seen[o.id] = true
		objects = append(objects, o)
	}
	return name, objects, nil
}

func tooManyUnits(c *call, list string, n int) *graphError {
	return refuse(c.r.Method, "ProtectionUnitsLimitBreached", "The request has %d protection units; at most %d are allowed.", n, maxUnitsPerRequest).about(list)
}

// readObjectID reads the property that names what to protect.
func (c *call) readObjectID(w Workload, raw json.RawMessage) (object, *graphError) {
	var id string
	_ = json.Unmarshal(raw, &id) // what is no string stays empty, and empty is invalid
	valid := isGUID(id)
	if w == SharePoint {
		valid = isSiteID(id)
	}
	if !valid {
		return object{}, refuse(c.r.Method, "InvalidProtectionUnitId", "A %s is missing or malformed.", w.info().idProperty).about(id)
	}
	return c.tenant.objectByID(w, id), nil
}
