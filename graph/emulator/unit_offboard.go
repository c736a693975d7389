package emulator

import (
	"net/http"
	"time"
)

// How long backups outlive the protection of their unit.
const (
	offboardGrace   = 90 * day       // offboardRequested until offboarded
	backupRetention = longDays * day // of a deleted policy's units: the year of retentionSettings
)

// ending is how a unit that is in no policy comes to its end.
type ending struct {
	asked     time.Time // when offboarding was asked for; zero when it was not
	keptUntil time.Time // when a deleted policy's backups end; zero for no such date
}

// offboarding tells whether a unit is between asking for offboarding and its
// end, or the end of its cancellation. No policy takes it until then.
func (u *unit) offboarding() bool {
	return u != nil && (u.status == unitOffboardRequested || u.status == unitCancelRequested)
}

// release lets a unit go with its policy, which is deleted: its backups are kept
// for their retention.
func (t *tenant) release(u *unit, why cause) {
	u.leave()
	u.ending.keptUntil = why.at.Add(backupRetention)
	t.later(u, why, backupRetention, func(why cause) {
		// A unit that came back into a policy has no such date any more.
		if u.ending.keptUntil.Equal(why.at) {
			u.ending = ending{}
			t.setStatus(u, unitOffboarded, why)
		}
	})
}

// revive readies a unit for a policy: what was to end it no longer counts.
func (t *tenant) revive(u *unit, why cause) {
	u.ending = ending{}
	if u.status == unitOffboarded {
		t.setStatus(u, unitUnprotected, why)
	}
}

// unitOf finds the unit that the path names.
func (c *call) unitOf() (*unit, *graphError) {
	id := c.param(0)
	if !isUnitID(id) {
		return nil, refuse(c.r.Method, "InvalidProtectionUnitId", "The protection unit id is malformed.")
	}
	u := c.tenant.findUnit(canonicalUnitID(id))
	if u == nil {
		return nil, refuse(c.r.Method, codeNotFound, "This tenant has no protection unit %s.", id)
	}
	return u, nil
}

func (c *call) answerUnit(u *unit) *answer {
	v := c.listed(c.tenant.view(u, c.caller.seesNames()), c.tenant.units[u.workload])
	return &answer{status: http.StatusOK, body: struct {
		Context string `json:"@odata.context"`
		unitView
	}{c.context("/protectionUnits/$entity"), v}}
}

// notOffboarded is a refusal about a unit's state, which has details in
// Microsoft's examples: none.
func (c *call) notOffboarded(format string, args ...any) *graphError {
	err := refuse(c.r.Method, codeNotAllowed, format, args...)
	err.details = []publicError{}
	return err
}

// offboardUnit begins the end of the backups of a unit that is in no policy.
func offboardUnit(c *call) (*answer, *graphError) {
	u, err := c.unitOf()
	if err != nil {
		return nil, err
	}
	if u.policy != nil || u.status != unitUnprotected {
		return nil, c.notOffboarded("The unit is %s; it must be unprotected and removed from its policy to be offboarded.", u.status)
	}
	t, why := c.tenant, c.cause()
	u = t.units[u.workload].take(t, u.id)
	u.ending = ending{asked: why.at}
	t.setStatus(u, unitOffboardRequested, why)
	t.later(u, why, offboardGrace, func(why cause) { t.setStatus(u, unitOffboarded, why) })
	return c.answerUnit(u), nil
}

// cancelOffboard keeps the backups of a unit whose offboarding was asked for.
func cancelOffboard(c *call) (*answer, *graphError) {
	u, err := c.unitOf()
	if err != nil {
		return nil, err
	}
	if u.status != unitOffboardRequested {
		return nil, c.notOffboarded("The unit is %s; only offboarding that was asked for can be cancelled.", u.status)
	}
	t, why := c.tenant, c.cause()
	t.setStatus(u, unitCancelRequested, why)
	t.later(u, why, t.lengths.CancelOffboard, func(why cause) {
		u.ending = ending{}
		t.setStatus(u, unitUnprotected, why)
		t.stir(why.at)
	})
	return c.answerUnit(u), nil
}
