package emulator

import (
	"encoding/json"
	"net/http"
)

// change is one item of a delta.
type change struct {
	remove    bool
	unitID    string // of what to remove
	object    object // of what to add
	contentID string // as the client sent it
}

// patchPolicy makes the handler that updates a policy of one workload. What is
// wrong with the request, and a unit that a dynamic rule holds, fails the whole
// request; what is wrong with one item fails that item alone.
func patchPolicy(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		name, changes, hasDelta, err := readPatch(c, w)
		if err != nil {
			return nil, err
		}
		set := c.tenant.units[w]
		for _, ch := range changes {
			if !ch.remove {
				continue
			}
			if u := set.find(c.tenant, ch.unitID); u != nil && u.policy == p && u.sources.dynamicRule {
				return nil, refuse(c.r.Method, "ProtectionUnitActionNotAllowed", "Unit %s is held by a dynamic rule.", u.id).about(u.id)
			}
		}
		why := c.cause()
		if name != nil && *name != p.name {
			// A name is no state, and the ledger does not mix them.
			c.tenant.record(why, "displayName", p.id, p.name, *name, 1)
			p.name = *name
		}
		p.modified, p.modifiedBy = why.at, why.by
		body := map[string]any{"displayName": p.name}
		if hasDelta {
			items := make([]any, len(changes))
			for i, ch := range changes {
				items[i] = c.apply(p, ch, why)
			}
			body[w.info().units+"@delta"] = items
		}
		return &answer{status: http.StatusOK, body: body}, nil
	}
}

// apply does one item and shows what became of it: a unitView or a failedChange.
func (c *call) apply(p *policy, ch change, why cause) any {
	t, set := c.tenant, c.tenant.units[p.workload]
	if ch.remove {
		if in := c.itemFault(ch.unitID); in != nil {
			return c.failed(p, ch, in.Code, in.Message)
		}
		u := set.find(t, ch.unitID)
		if u == nil || u.policy != p || u.status == unitRemoveRequested {
			return c.failed(p, ch, "ProtectionUnitNotFound", "The policy has no such protection unit.")
		}
		u = set.take(t, ch.unitID)
		t.remove(u, why)
		return t.view(u, c.caller.seesNames())
	}
	id := set.unitID(t, ch.object)
	if in := c.itemFault(id, ch.object.id); in != nil {
		return c.failed(p, ch, in.Code, in.Message)
	}
	u := set.find(t, id)
	if u != nil && u.policy != nil {
		// Adding a unit again retries one that could not be protected.
		retry := u.policy == p && p.on && u.status == unitUnprotected
		if u.policy == p && u.sources == (sources{dynamicRule: true}) {
			u = set.take(t, id)
			t.setSources(u, sources{manual: true, dynamicRule: true}, why)
			return t.view(u, c.caller.seesNames())
		}
		if !retry {
			return c.failed(p, ch, "ProtectionUnitAlreadyExists", ch.object.id+" already belongs to policy "+u.policy.id+".")
		}
	}
	if u.offboarding() {
		return c.failed(p, ch, "ProtectionUnitActionNotAllowed", ch.object.id+" is being offboarded.")
	}
	u = set.takeOrAdd(t, ch.object, why)
	t.join(u, p, sources{manual: true, dynamicRule: u.sources.dynamicRule}, why)
	return t.view(u, c.caller.seesNames())
}

// failedChange is an item of a delta that was not done.
type failedChange struct {
	ContentID string          `json:"@contentId"`
	Exception changeException `json:"@Core.DataModificationException"`
	ID        string          `json:"id,omitempty"` // of the unit to remove
	protectedID
}

// changeException says what went wrong with an item.
type changeException struct {
	Info         publicError `json:"info"`
	Operation    string      `json:"failedOperation"` // add or remove
	ResponseCode int         `json:"responseCode"`
}

func (c *call) failed(p *policy, ch change, code, message string) failedChange {
	v := failedChange{
		ContentID: ch.contentID,
		Exception: changeException{
			Info: publicError{Code: code, Message: message}, Operation: "add", ResponseCode: http.StatusConflict,
		},
	}
	if ch.remove {
		v.Exception.Operation, v.ID = "remove", ch.unitID
	} else {
		v.protectedID = p.workload.protectedID(ch.object.id)
	}
	if v.ContentID == "" {
		v.ContentID = hashedID(c.requestID, v.ID, v.SiteID, v.ObjectID)
	}
	return v
}

func readPatch(c *call, w Workload) (name *string, changes []change, hasDelta bool, _ *graphError) {
	bad := func(format string, args ...any) (*string, []change, bool, *graphError) {
		return nil, nil, false, refuse(c.r.Method, "InvalidPatchRequest", format, args...)
	}
	delta := w.info().units + "@delta"
	fields, ok := readObject(c.body)
	if !ok {
		return bad("The body is not a JSON object.")
	}
	if unknown := unknownField(fields, "displayName", delta); unknown != "" {
		return bad("An %s has no property %q that can be changed.", w.info().policyType, unknown)
	}
	if raw, sent := fields["displayName"]; sent {
		name = new(string)
		if json.Unmarshal(raw, name) != nil {
			return bad("displayName is not a string.")
		}
		if !validDisplayName(*name) {
			return nil, nil, false, refuse(c.r.Method, "InvalidDisplayName", "displayName must have 1 to %d characters.", maxDisplayName).about("displayName")
		}
	}
	raw, hasDelta := fields[delta]
	if !hasDelta {
		return name, nil, false, nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return bad("%s is not a list.", delta)
	}
	if len(items) > maxUnitsPerRequest {
		return nil, nil, false, tooManyUnits(c, delta, len(items))
	}
	seen := map[string]bool{}
	for i, raw := range items {
		ch, err := c.readChange(w, raw)
		if err != nil {
			return nil, nil, false, err.about(element(delta, i, err.target))
		}
		unitID := ch.unitID
		if !ch.remove {
			unitID = c.tenant.units[w].unitID(c.tenant, ch.object)
		}
		if seen[unitID] {
			return nil, nil, false, refuse(c.r.Method, "DuplicateProtectionUnitInList", "Unit %s stands in the list twice.", unitID).about(element(delta, i, ""))
		}
		seen[unitID] = true
		changes = append(changes, ch)
	}
	return name, changes, true, nil
}

// readChange reads one item of a delta: an addition, or a removal if it has
// @removed.
func (c *call) readChange(w Workload, raw json.RawMessage) (change, *graphError) {
	bad := func(format string, args ...any) (change, *graphError) {
		return change{}, refuse(c.r.Method, "InvalidPatchRequest", format, args...)
	}
	item, ok := readObject(raw)
	if !ok {
		return bad("An item of the delta is not an object.")
	}
	known := append([]string{"@removed", "@contentId", "id"}, w.info().idProperties()...)
	if unknown := unknownField(item, known...); unknown != "" {
		return bad("An item of the delta has no property %q.", unknown)
	}
	var ch change
	if !readField(item, "@contentId", &ch.contentID) {
		return bad("An @contentId is not a string.")
	}
	if removed, sent := item["@removed"]; sent {
		if !isRemoval(removed) {
			return bad("@removed is not an object with a reason alone.")
		}
		ch.remove = true
		_ = json.Unmarshal(item["id"], &ch.unitID) // what is no string stays empty, and empty is invalid
		if !isUnitID(ch.unitID) {
			return change{}, refuse(c.r.Method, "InvalidProtectionUnitId", "The id of a unit to remove is missing or malformed.").about(ch.unitID)
		}
		ch.unitID = canonicalUnitID(ch.unitID)
		return ch, nil
	}
	var err *graphError
	ch.object, err = c.readObjectID(w, w.info().protectedThing(item))
	return ch, err
}
