package emulator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

const day = 24 * time.Hour

func (w *world) offboard(unit string) *reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/protectionUnits/"+unit+"/offboard", nil, "Prefer", preferUnknown)
}

func (w *world) cancel(unit string) *reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/protectionUnits/"+unit+"/cancelOffboard", nil, "Prefer", preferUnknown)
}

func (w *world) wantUnit(unit, status string) *reply {
	w.t.Helper()
	return w.do(http.MethodGet, "/protectionUnits/"+unit, nil, "Prefer", preferUnknown).want(200).eq("status", status)
}

// removedUnit makes an active policy, and takes user 1 out of it.
func (w *world) removedUnit() (policy, unit string) {
	w.t.Helper()
	policy = w.activePolicyWith(user(1), user(2))
	w.patch(policy, remove(mailboxUnit(1))).want(200)
	w.pass(2 * time.Minute)
	return policy, mailboxUnit(1)
}

const never = "0001-01-01T00:00:00.0000000Z"

func TestOffboardingEndsAfter90Days(t *testing.T) {
	w := newWorld(t)
	_, unit := w.removedUnit()
	w.wantUnit(unit, "unprotected").eq("offboardRequestedDateTime", never)
	w.offboard(unit).want(200).eq("id", unit).eq("status", "offboardRequested").
		eq("offboardRequestedDateTime", "2030-01-02T03:11:05.6000000Z")
	w.pass(90*day - time.Second)
	w.wantUnit(unit, "offboardRequested")
	w.pass(time.Second)
	w.wantUnit(unit, "offboarded").eq("offboardRequestedDateTime", "2030-01-02T03:11:05.6000000Z")
	w.unchanged(func() {
		w.offboard(unit).wantError(403, "OperationNotAllowed")
		w.cancel(unit).wantError(403, "OperationNotAllowed")
		w.pass(1000 * day)
	})
}

func TestOffboardingIsCancelledWithinItsGrace(t *testing.T) {
	w := newWorld(t)
	_, unit := w.removedUnit()
	w.offboard(unit).want(200)
	w.pass(90*day - time.Second)
	w.cancel(unit).want(200).eq("status", "cancelOffboardRequested").eq("offboardRequestedDateTime", "2030-01-02T03:11:05.6000000Z")
	w.unchanged(func() {
		w.cancel(unit).wantError(403, "OperationNotAllowed")
		w.offboard(unit).wantError(403, "OperationNotAllowed")
	})
	w.pass(2*time.Minute - time.Second)
	w.wantUnit(unit, "cancelOffboardRequested")
	w.pass(time.Second)
	w.wantUnit(unit, "unprotected").eq("offboardRequestedDateTime", never)
	w.pass(1000 * day)
	w.wantUnit(unit, "unprotected")
	w.offboard(unit).want(200) // and once more
}

func TestOnlyAUnitThatIsInNoPolicyIsOffboarded(t *testing.T) {
	for name, prepare := range map[string]func(w *world) string{
		"a protected one":    func(w *world) string { w.activePolicyWith(user(1)); return mailboxUnit(1) },
		"an unprotected one": func(w *world) string { w.policyWith(user(1)); return mailboxUnit(1) },
		"a seeded one":       func(w *world) string { w.withUnits(3); return mailboxUnit(1) },
		"one on its way in": func(w *world) string {
			w.patch(w.activePolicyWith(user(2)), add(user(1))).want(200)
			return mailboxUnit(1)
		},
		"one on its way out": func(w *world) string {
			w.patch(w.activePolicyWith(user(1)), remove(mailboxUnit(1))).want(200)
			return mailboxUnit(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			unit := prepare(w)
			w.unchanged(func() {
				w.offboard(unit).wantError(403, "OperationNotAllowed")
				w.cancel(unit).wantError(403, "OperationNotAllowed")
			})
		})
	}
}

func TestOffboardingRefusals(t *testing.T) {
	w := newWorld(t)
	_, unit := w.removedUnit()
	application := w.as(map[string]any{"tid": emulator.TenantA, "roles": []string{"BackupRestore-Configuration.ReadWrite.All"}})
	delegated := w.as(map[string]any{"tid": emulator.TenantA, "scp": "BackupRestore-Configuration.ReadWrite.All"})
	w.unchanged(func() {
		w.offboard("nothing").wantError(400, "InvalidProtectionUnitId")
		w.cancel("nothing").wantError(400, "InvalidProtectionUnitId")
		w.offboard(stranger).wantError(404, "ResourceNotFound")
		w.cancel(stranger).wantError(404, "ResourceNotFound")
		w.in(emulator.TenantC).offboard(unit).wantError(404, "ResourceNotFound")
		w.cancel(unit).wantError(403, "OperationNotAllowed")
		application.offboard(unit).wantError(403, "accessDenied")
		application.cancel(unit).wantError(403, "accessDenied")
	})
	delegated.offboard(unit).want(200)
	delegated.cancel(unit).want(200)
}

func TestNoPolicyTakesAUnitThatIsBeingOffboarded(t *testing.T) {
	w := newWorld(t)
	policy, unit := w.removedUnit()
	w.offboard(unit).want(200)
	w.unchanged(func() {
		w.patch(policy, add(user(1))).want(200).wantFailed(0, "add", "ProtectionUnitActionNotAllowed")
	})
	w.do(http.MethodPost, "/protectionPolicies/"+policy+"/deactivate", nil).want(202)
	w.pass(5 * time.Minute)
	w.unchanged(func() {
		w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes(user(1))).wantError(400, "ProtectionUnitActionNotAllowed")
	})
	path := "/exchangeProtectionPolicies/" + policy + "/mailboxInclusionRules"
	w.wantRule(w.settled(path, of(group(1)), true), "completedWithErrors").
		eq("error.details.0.code", "ProtectionUnitActionNotAllowed").eq("error.details.0.target", user(1))
	w.cancel(unit).want(200)
	w.pass(2 * time.Minute)
	w.wantUnit(unit, "unprotected").eq("policyId", nil)
	w.pass(time.Hour) // the rule takes it
	w.wantUnit(unit, "unprotected").eq("policyId", policy)
}

func TestAnOffboardedUnitBeginsAnew(t *testing.T) {
	w := newWorld(t)
	policy, unit := w.removedUnit()
	w.offboard(unit).want(200)
	w.pass(90 * day)
	w.patch(policy, add(user(1))).want(200).eq("mailboxProtectionUnits@delta.0.status", "protectRequested").
		eq("mailboxProtectionUnits@delta.0.offboardRequestedDateTime", never)
	w.pass(5 * time.Minute)
	w.wantUnit(unit, "protected")
}

func TestTheUnitsOfADeletedPolicyAreOffboardedAfterTheirRetention(t *testing.T) {
	for _, seeded := range []bool{false, true} {
		w := newWorld(t)
		var policy string
		if seeded {
			policy = w.withUnits(10)
		} else {
			policy = w.activePolicyWith(users(1, 8)...)
		}
		w.do(http.MethodPost, "/protectionPolicies/"+policy+"/deactivate", nil).want(202)
		w.pass(time.Hour)
		w.do(http.MethodDelete, "/protectionPolicies/"+policy, nil).want(204)
		w.wantUnit(mailboxUnit(1), "unprotected").eq("policyId", nil)
		w.pass(time.Hour)
		w.offboard(mailboxUnit(2)).want(200)
		w.offboard(mailboxUnit(3)).want(200)
		w.pass(time.Hour)
		w.cancel(mailboxUnit(3)).want(200)
		again := w.policyWith(user(5)) // inactive, but it is held
		w.pass(365*day - 2*time.Hour - time.Second)
		w.wantUnit(mailboxUnit(1), "unprotected")
		w.wantUnit(mailboxUnit(2), "offboarded")
		w.pass(time.Second)
		w.wantUnit(mailboxUnit(1), "offboarded").eq("offboardRequestedDateTime", never)
		w.wantUnit(mailboxUnit(3), "unprotected") // kept by the cancellation
		w.wantUnit(mailboxUnit(5), "unprotected").eq("policyId", again)
		w.wantUnit(mailboxUnit(8), "offboarded")
		w.do(http.MethodPost, "/protectionPolicies/"+again+"/activate", nil).want(202)
		w.patch(again, add(user(8))).want(200).eq("mailboxProtectionUnits@delta.0.status", "protectRequested")
		w.pass(time.Hour)
		w.wantUnits(again, map[string]int{"protected": 2})
	}
}

func TestASeededUnitTakenFromADeletedPolicyIsOffboardedOnTime(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(10, func(s *emulator.Seed) { s.Policies[0].Inactive = true })
	w.do(http.MethodDelete, "/protectionPolicies/"+policy, nil).want(204)
	w.pass(100 * day)
	w.patch(w.policyWith(user(1)), remove(mailboxUnit(1))).want(200) // in and out: it has no such date any more
	w.pass(300 * day)
	w.wantUnit(mailboxUnit(1), "unprotected")
	w.wantUnit(mailboxUnit(2), "offboarded")
	if n := len(w.get(mailboxCast + query("$filter", "status eq offboarded")).want(200).list("value")); n != 9 {
		t.Errorf("%d units are offboarded, want 9", n)
	}
}

func TestTheLedgerTellsHowAUnitEnded(t *testing.T) {
	w := newWorld(t)
	_, unit := w.removedUnit()
	since := w.e.Ledger(0).Last
	w.offboard(unit).want(200)
	w.pass(100 * day)
	entries := w.e.Ledger(since).Entries
	if len(entries) != 3 || entries[1].From != "unprotected" || entries[1].To != "offboardRequested" || entries[1].Cause != entries[0].Seq ||
		entries[2].To != "offboarded" || entries[2].Cause != 0 || !entries[2].Time.Equal(entries[1].Time.Add(90*day)) {
		t.Errorf("entries %+v", entries)
	}
}
