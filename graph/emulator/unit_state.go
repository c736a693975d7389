package emulator

import (
	"fmt"
	"strings"
	"time"
)

// States of a protection unit.
const (
	unitProtectRequested   = "protectRequested"
	unitProtected          = "protected"
	unitUnprotectRequested = "unprotectRequested"
	unitUnprotected        = "unprotected"
	unitRemoveRequested    = "removeRequested"
	unitOffboardRequested  = "offboardRequested"
	unitOffboarded         = "offboarded"
	unitCancelRequested    = "cancelOffboardRequested"
)

// sources are what keeps a unit in its policy.
type sources struct{ manual, dynamicRule bool }

func (s sources) String() string {
	switch {
	case s.manual && s.dynamicRule:
		return "manual,dynamicRule"
	case s.manual:
		return "manual"
	case s.dynamicRule:
		return "dynamicRule"
	}
	return "none"
}

// unit is one mailbox, drive or site that is, or was, in a policy. The seeded
// block of a tenant is a single unit with a weight: see unitSet.
type unit struct {
	workload Workload
	position int // in listings, from 1
	weight   int // how many units this one stands for
	id       string
	object   string // directoryObjectId or siteId
	number   int    // of the user or site in the directory; 0 when it has none
	policy   *policy
	sources  sources
	status   string
	err      *publicError
	ending   ending

	created, modified     time.Time
	createdBy, modifiedBy identitySet
	protectedSince        time.Time // zero unless status is protected
	past                  []span    // of protection that ended
	steps                 int       // grows with every change, so that a late step knows that it is void
}

// setStatus moves a unit and keeps its policy's tally and the ledger true.
func (t *tenant) setStatus(u *unit, to string, why cause) {
	from := u.status
	if u.policy != nil {
		u.policy.tally[from] -= u.weight
		u.policy.tally[to] += u.weight
		t.touch(u.policy, why)
	}
	u.status = to
	u.steps++
	why.sign(&u.modified, &u.modifiedBy)
	u.keepBackups(to, why.at)
	u.protectedSince = time.Time{}
	if to == unitProtected {
		u.protectedSince = why.at
	}
	t.record(why, u.workload.info().unitType, u.id, from, to, u.weight)
}

// later does apply after d, unless the unit has changed until then.
func (t *tenant) later(u *unit, why cause, d time.Duration, apply func(cause)) {
	round := u.steps
	t.steps.schedule(why.at.Add(d), func(at time.Time) {
		if u.steps == round && u.weight > 0 {
			apply(cause{at: at})
		}
	})
}

// protect begins to protect a unit. It ends protected, or unprotected with an
// error when there is nothing to protect.
func (t *tenant) protect(u *unit, why cause) {
	u.err = nil
	t.setStatus(u, unitProtectRequested, why)
	t.later(u, why, t.lengths.Protect, func(why cause) {
		if u.err = t.obstacle(u); u.err != nil {
			t.setStatus(u, unitUnprotected, why)
		} else {
			t.setStatus(u, unitProtected, why)
		}
		u.policy.rest()
	})
}

// unprotect ends the protection of a unit that stays in its policy.
func (t *tenant) unprotect(u *unit, why cause) {
	t.setStatus(u, unitUnprotectRequested, why)
	t.later(u, why, t.lengths.Unprotect, func(why cause) {
		t.setStatus(u, unitUnprotected, why)
		u.policy.rest()
	})
}

// remove takes a unit out of its policy.
func (t *tenant) remove(u *unit, why cause) {
	t.setStatus(u, unitRemoveRequested, why)
	t.later(u, why, t.lengths.Remove, func(why cause) {
		p := u.policy
		t.setStatus(u, unitUnprotected, why)
		u.leave()
		p.rest()
		t.stir(why.at)
	})
}

// leave cuts a unit's tie to its policy.
func (u *unit) leave() {
	u.policy.tally[u.status] -= u.weight
	u.policy = nil
	u.sources = sources{}
	u.err = nil
}

// obstacle tells why a unit cannot be protected, or nil.
func (t *tenant) obstacle(u *unit) *publicError {
	missing := func(format string, args ...any) *publicError {
		return &publicError{Code: "ProtectionUnitNotFound", Message: fmt.Sprintf(format, args...), Target: u.object}
	}
	if u.position == 0 {
		return nil // the block: seeds hold only what can be protected
	}
	if u.number == 0 {
		if _, ok := t.dir.groupByID(u.object); ok {
			return missing("The directory object is a group and has no %s.", u.workload.info().thing)
		}
		return missing("The tenant has no such %s.", map[bool]string{true: "site", false: "user"}[u.workload == SharePoint])
	}
	if u.workload != SharePoint && t.dir.deleted(t.dir.user(u.number)) {
		return missing("The user was deleted.")
	}
	if u.workload != SharePoint && !t.dir.user(u.number).licensed {
		return missing("The user has no license and so no %s.", u.workload.info().thing)
	}
	return nil
}

// unitView is a unit on the wire.
type unitView struct {
	Type     string `json:"@odata.type,omitempty"`
	ID       string `json:"id,omitempty"`
	PolicyID string `json:"policyId,omitempty"`
	protectedID
	DisplayName        string       `json:"displayName,omitempty"`
	Email              string       `json:"email,omitempty"`
	SiteName           string       `json:"siteName,omitempty"`
	SiteWebURL         string       `json:"siteWebUrl,omitempty"`
	Status             string       `json:"status,omitempty"`
	Sources            string       `json:"protectionSources,omitempty"`
	CreatedBy          identitySet  `json:"createdBy,omitzero"`
	CreatedAt          string       `json:"createdDateTime,omitempty"`
	ModifiedBy         identitySet  `json:"lastModifiedBy,omitzero"`
	ModifiedAt         string       `json:"lastModifiedDateTime,omitempty"`
	Error              *publicError `json:"error"`
	OffboardRequestedT string       `json:"offboardRequestedDateTime,omitempty"`
}

// view shows a unit. Names are left out for callers that may not see them. It
// shares nothing that changes, since it is encoded after the tenant was unlocked.
func (t *tenant) view(u *unit, names bool) unitView {
	v := unitView{
		ID: u.id, Status: u.status, Sources: "none", Error: u.err,
		CreatedBy: u.createdBy, CreatedAt: graphTime(u.created),
		ModifiedBy: u.modifiedBy, ModifiedAt: graphTime(u.modified),
		OffboardRequestedT: "0001-01-01T00:00:00.0000000Z",
		protectedID:        u.workload.protectedID(u.object),
	}
	if !u.ending.asked.IsZero() {
		v.OffboardRequestedT = graphTime(u.ending.asked)
	}
	if u.policy != nil {
		v.PolicyID = u.policy.id
	}
	if u.workload == Exchange && u.status == unitProtected && u.err == nil && u.number > 0 && t.dir.user(u.number).overQuota {
		v.Error = &publicError{Code: "QuotaExceeded", Message: "The mailbox has exceeded the backup quota."}
	}
	if u.status == unitProtectRequested || u.status == unitProtected {
		v.Sources = u.sources.String()
	}
	switch {
	case !names || u.number == 0:
	case u.workload == SharePoint:
		s := t.dir.site(u.number)
		v.SiteName, v.SiteWebURL = s.name, s.webURL
	default:
		person := t.dir.user(u.number)
		v.DisplayName, v.Email = person.displayName, person.mail
	}
	return v
}

func odataType(name string) string { return "#microsoft.graph." + name }

// object is a user or site to protect, by the id under which it is known: GUIDs in
// lower case, a site by its full id if the directory has it.
type object struct {
	id     string
	number int // 0 for one that the directory does not have
}

func (t *tenant) objectByID(w Workload, id string) object {
	if w == SharePoint {
		if s, ok := t.dir.siteByID(id); ok {
			return object{s.id, s.number}
		}
	} else if u, ok := t.dir.everyUserByID(id); ok {
		return object{u.id, u.number}
	}
	return object{id: strings.ToLower(id)}
}

// objectByName finds an object by its address or URL.
func (t *tenant) objectByName(w Workload, name string) object {
	n := t.dir.numberOfName(w, name)
	if n == 0 || w != SharePoint && t.dir.deleted(t.dir.user(n)) {
		return object{}
	}
	return object{t.dir.objectID(w, n), n}
}

// licensed tells whether the directory has an object that a policy can protect.
func (t *tenant) licensed(w Workload, o object) bool {
	if o.number == 0 || w == SharePoint {
		return o.number > 0
	}
	u := t.dir.user(o.number)
	return u.licensed && !t.dir.deleted(u)
}
