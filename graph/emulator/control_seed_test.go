package emulator_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestFixedIdsAreWhatTheyAreSaidToBe(t *testing.T) {
	a, c := emulator.TenantA, emulator.TenantC
	for got, want := range map[string]string{
		emulator.UserA1:                emulator.UserID(a, 1),
		emulator.UserA2:                emulator.UserID(a, 2),
		emulator.UserA3:                emulator.UserID(strings.ToUpper(a), 3),
		emulator.UserANoLicense:        emulator.UserID(a, emulator.UserNoLicense),
		emulator.UserARestoreFails:     emulator.UserID(a, emulator.UserRestoreFails),
		emulator.UserAPreservationLock: emulator.UserID(a, emulator.UserPreservationLock),
		emulator.SiteA1:                emulator.SiteID(a, 1),
		emulator.SiteA2:                emulator.SiteID(a, 2),
		emulator.SiteA3:                emulator.SiteID(a, 3),
		emulator.GroupA1:               emulator.GroupID(a, 1),
		emulator.GroupA2:               emulator.GroupID(a, 2),
		emulator.GroupANested:          emulator.GroupID(a, 5),
		emulator.UnitCDynamic:          emulator.UnitID(c, emulator.Exchange, 1),
		emulator.UnitCManual:           emulator.UnitID(c, emulator.Exchange, 3),
		emulator.PolicyC:               emulator.SeededPolicyID(strings.ToUpper(c), emulator.Exchange),
	} {
		if got != want {
			t.Errorf("the constant is %s, the id is %s", got, want)
		}
	}
	w := newWorld(t).in(c)
	w.get("/protectionPolicies").want(200).eq("value.0.id", emulator.PolicyC).eq("value.0.status", "active").eq("value.1", nil)
}

func TestTheTenantsOfTheBeginning(t *testing.T) {
	w := newWorld(t)
	for tenant, status := range map[string]string{
		emulator.TenantA: "enabled", emulator.TenantB: "disabled", emulator.TenantC: "enabled", stranger: "disabled",
	} {
		w.in(tenant).get("").want(200).eq("serviceStatus.status", status)
	}
	if n := w.made(); n != 0 {
		t.Errorf("tenant A has %d policies, want none", n)
	}
}

func TestASeededUnitBehavesLikeAnyOther(t *testing.T) {
	w := newWorld(t)
	id := w.withUnits(10)
	w.wantPolicy(id, "active")
	w.unit(mailboxUnit(4)).eq("error.code", "ProtectionUnitNotFound") // has no license, so it is left out
	w.unit(mailboxUnit(11)).eq("status", "protected").eq("directoryObjectId", user(11))
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/deactivate", nil).want(202)
	w.patch(id, remove(mailboxUnit(11))).want(200)
	w.pass(time.Hour)
	w.wantPolicy(id, "inactive")
	w.wantUnits(id, map[string]int{"unprotected": 9})
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202)
	w.pass(time.Minute)
	w.patch(id, remove(mailboxUnit(10)), add(user(11)), add(user(12))).want(200)
	w.wantUnits(id, map[string]int{"protectRequested": 10, "removeRequested": 1})
	w.pass(time.Hour)
	w.wantUnits(id, map[string]int{"protected": 10})
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/deactivate", nil).want(202)
	w.pass(time.Hour)
	w.do(http.MethodDelete, "/protectionPolicies/"+id, nil).want(204)
	w.unit(mailboxUnit(1)).eq("policyId", nil).eq("status", "unprotected")
	again := w.activePolicyWith(user(1), user(2))
	w.wantUnits(again, map[string]int{"protected": 2})
}

func TestAUnitThatLeavesTheBlockMidStepStillArrives(t *testing.T) {
	w := newWorld(t)
	id := w.withUnits(5, func(s *emulator.Seed) { s.Policies[0].Inactive = true })
	w.wantPolicy(id, "inactive")
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202)
	w.pass(time.Minute)
	// An addition of a seeded unit fails, but looks it up.
	w.patch(id, add(user(1))).want(200).wantFailed(0, "add", "ProtectionUnitAlreadyExists")
	w.pass(4 * time.Minute)
	w.wantPolicy(id, "active")
	w.wantUnits(id, map[string]int{"protected": 5})
}

func TestSeedsThatMakeNoSenseAreRefusedAndChangeNothing(t *testing.T) {
	good := func() emulator.Seed {
		return emulator.Seed{Tenant: emulator.TenantA, Policies: []emulator.PolicySeed{{Workload: emulator.Exchange, Units: 1}}}
	}
	for name, change := range map[string]func(*emulator.Seed){
		"a tenant that is no GUID":    func(s *emulator.Seed) { s.Tenant = "x" },
		"too few users":               func(s *emulator.Seed) { s.Users = 9 },
		"too many users":              func(s *emulator.Seed) { s.Users = 10_000_001 },
		"a negative number of sites":  func(s *emulator.Seed) { s.Sites = -1 },
		"an unknown state":            func(s *emulator.Seed) { s.ServiceStatus = "on" },
		"an unknown consumer":         func(s *emulator.Seed) { s.Consumer = "me" },
		"an unknown workload":         func(s *emulator.Seed) { s.Policies[0].Workload = 7 },
		"two policies of a workload":  func(s *emulator.Seed) { s.Policies = append(s.Policies, s.Policies[0]) },
		"more mailboxes than users":   func(s *emulator.Seed) { s.Policies[0].Units = 200 },
		"more sites than there are":   func(s *emulator.Seed) { s.Policies[0] = emulator.PolicySeed{Workload: emulator.SharePoint, Units: 51} },
		"more dynamic than units":     func(s *emulator.Seed) { s.Policies[0].DynamicRuleUnits = 2 },
		"too long a name of a policy": func(s *emulator.Seed) { s.Policies[0].DisplayName = strings.Repeat("x", 1025) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.policyWith()
			s := good()
			change(&s)
			if err := w.e.Seed(s); err == nil {
				t.Error("accepted")
			}
			if w.made() != 1 {
				t.Error("the tenant was replaced")
			}
		})
	}
}

func TestResetGoesBackToTheBeginning(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) {
		o.Seeds = []emulator.Seed{{Tenant: emulator.TenantB, ServiceStatus: "restoreLocked"}}
	})
	first := w.policyWith(user(1))
	w.fault(emulator.Fault{Operation: "DELETE *", Status: 500})
	w.in(stranger).get("").want(200)
	w.pass(time.Hour)
	w.e.Reset()
	if len(w.e.Faults()) != 0 || w.e.Ledger(0).Last != 0 {
		t.Error("rules or ledger are still there")
	}
	w.do(http.MethodPost, "/enable", enableBody(stranger)).wantError(400, "InvalidAppOwnerTenantId")
	w.in(emulator.TenantB).get("").want(200).eq("serviceStatus.status", "restoreLocked")
	if n := w.made(); n != 0 {
		t.Errorf("%d policies", n)
	}
	if again := w.policyWith(user(1)); again != first {
		t.Errorf("the first policy was %s and is now %s", first, again)
	}
	if got := w.e.Clock().Now(); !got.Equal(start().Add(time.Hour)) {
		t.Errorf("the clock was reset to %v", got)
	}
}

func TestOnResetIsCalledAfterEachReset(t *testing.T) {
	var w *world
	var rules []int
	w = newWorld(t, func(o *emulator.Options) {
		o.OnReset = func() { rules = append(rules, len(w.e.Faults())) }
	})
	w.fault(emulator.Fault{Operation: "DELETE *", Status: 500})
	w.control(http.MethodPost, "reset", nil).want(200)
	w.e.Reset()
	if len(rules) != 2 || rules[0] != 0 {
		t.Errorf("called with %v rules in force", rules)
	}
}

func TestAMillionMailboxesCostNothing(t *testing.T) {
	w := newWorld(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	id := w.withUnits(1_000_000)
	w.patch(id, remove(mailboxUnit(999_999)), add(user(4))).want(200)
	w.unit(mailboxUnit(500_000)).eq("status", "protected")
	w.get(mailboxCast+query("$filter", "directoryObjectId eq '"+user(777_777)+"'")).want(200).eq("value.0.id", mailboxUnit(777_777))
	w.do(http.MethodGet, "/exchangeProtectionPolicies/"+id+"/mailboxProtectionUnits?$top=999", nil).want(200)
	w.get(mailboxCast+query("$filter", "status eq 'removeRequested'")).want(200).eq("value.0.id", mailboxUnit(999_999)).eq("value.1", nil)
	other := w.do(http.MethodPost, "/oneDriveForBusinessProtectionPolicies", map[string]any{"displayName": "x"}).want(201).str("id")
	w.get("/oneDriveForBusinessProtectionPolicies/"+other+"/driveProtectionUnits").want(200).eq("value.0", nil)
	w.pass(time.Hour)
	w.wantPolicy(id, "activeWithErrors")
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
