package emulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// item returns an item of a delta in an answer.
func (r *reply) item(i int) map[string]any {
	r.t.Helper()
	items := r.list("mailboxProtectionUnits@delta")
	if i >= len(items) {
		r.t.Fatalf("no item %d in %s", i, r.raw)
	}
	return items[i].(map[string]any)
}

// wantFailed checks an item that was not done.
func (r *reply) wantFailed(i int, operation, code string) {
	r.t.Helper()
	item := r.item(i)
	exception, _ := item["@Core.DataModificationException"].(map[string]any)
	if exception == nil {
		r.t.Fatalf("item %d did not fail: %v", i, item)
	}
	info := exception["info"].(map[string]any)
	if info["code"] != code || info["message"] == "" {
		r.t.Errorf("item %d: info = %v, want code %s", i, info, code)
	}
	if exception["failedOperation"] != operation || exception["responseCode"] != 409.0 {
		r.t.Errorf("item %d: exception = %v", i, exception)
	}
	if _, there := item["error"]; there {
		r.t.Errorf("item %d has an error besides its exception: %v", i, item)
	}
	if id, _ := item["@contentId"].(string); id == "" {
		r.t.Errorf("item %d has no @contentId", i)
	}
}

func TestPatchAddsAndRemovesItemByItem(t *testing.T) {
	w := newWorld(t)
	other := w.policyWith(user(9))
	id := w.activePolicyWith(user(1), user(2))
	r := w.do(http.MethodPatch, "/exchangeProtectionPolicies/"+id, map[string]any{
		"displayName": "Renamed",
		"mailboxProtectionUnits@delta": []any{
			add(user(3)),
			map[string]any{"userId": user(5)},
			remove(mailboxUnit(1)),
			remove(stranger),
			add(user(9)),
			add(user(2)),
			map[string]any{"directoryObjectId": user(9 + 1), "@contentId": "mine"},
		},
	}).want(200)
	r.eq("displayName", "Renamed").eq("mailboxProtectionUnits@delta.0.status", "protectRequested").
		eq("mailboxProtectionUnits@delta.0.id", mailboxUnit(3)).
		eq("mailboxProtectionUnits@delta.0.policyId", id).
		eq("mailboxProtectionUnits@delta.1.directoryObjectId", user(5)).
		eq("mailboxProtectionUnits@delta.2.status", "removeRequested").
		eq("mailboxProtectionUnits@delta.2.id", mailboxUnit(1))
	r.wantFailed(3, "remove", "ProtectionUnitNotFound")
	r.wantFailed(4, "add", "ProtectionUnitAlreadyExists")
	r.wantFailed(5, "add", "ProtectionUnitAlreadyExists")
	if r.item(3)["id"] != stranger || r.item(4)["directoryObjectId"] != user(9) {
		t.Errorf("a failed item does not say which it was: %v, %v", r.item(3), r.item(4))
	}
	w.wantPolicy(id, "updating")
	w.wantPolicy(other, "inactive")
	w.pass(2 * time.Minute)
	w.unit(mailboxUnit(1)).eq("status", "unprotected").eq("policyId", nil).eq("protectionSources", "none")
	w.wantPolicy(id, "updating")
	w.pass(3 * time.Minute)
	w.wantPolicy(id, "active")
	w.wantUnits(id, map[string]int{"protected": 4})
	w.get("/protectionPolicies/"+id).eq("displayName", "Renamed")
}

func TestAContentIdIsEchoed(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	item := remove(stranger)
	item["@contentId"] = "my own"
	if got := w.patch(id, item).want(200).item(0)["@contentId"]; got != "my own" {
		t.Errorf("@contentId = %v", got)
	}
}

func TestPatchRefusesTheWholeRequest(t *testing.T) {
	many := make([]any, 51)
	for i := range many {
		many[i] = add(user(10 + i))
	}
	for _, tc := range []struct {
		name   string
		body   any
		status int
		code   string
	}{
		{"without a body", "", 400, "InvalidPatchRequest"},
		{"with null", "null", 400, "InvalidPatchRequest"},
		{"with broken JSON", "{", 400, "InvalidPatchRequest"},
		{"with units instead of a delta", map[string]any{"mailboxProtectionUnits": []any{}}, 400, "InvalidPatchRequest"},
		{"with a delta of another workload", map[string]any{"driveProtectionUnits@delta": []any{}}, 400, "InvalidPatchRequest"},
		{"with a delta that is no list", map[string]any{"mailboxProtectionUnits@delta": map[string]any{}}, 400, "InvalidPatchRequest"},
		{"with an item that is no object", delta("x"), 400, "InvalidPatchRequest"},
		{"with an item that has a misspelt property", delta(map[string]any{"userID": user(1)}), 400, "InvalidPatchRequest"},
		{"with @removed that is no object", delta(map[string]any{"@removed": true, "id": mailboxUnit(1)}), 400, "InvalidPatchRequest"},
		{"with an @contentId that is no string", delta(map[string]any{"@contentId": 1, "userId": user(3)}), 400, "InvalidPatchRequest"},
		{"with a name that is a number", map[string]any{"displayName": 1}, 400, "InvalidPatchRequest"},
		{"with an empty name", map[string]any{"displayName": ""}, 400, "InvalidDisplayName"},
		{"with too long a name", map[string]any{"displayName": strings.Repeat("x", 1025)}, 400, "InvalidDisplayName"},
		{"with a malformed object id", delta(add("nobody")), 400, "InvalidProtectionUnitId"},
		{"with a malformed unit id", delta(remove("nothing")), 400, "InvalidProtectionUnitId"},
		{"with a removal that has no id", delta(map[string]any{"@removed": map[string]any{}}), 400, "InvalidProtectionUnitId"},
		{"with the same addition twice", delta(add(user(3)), add(user(3))), 400, "DuplicateProtectionUnitInList"},
		{"with the same addition under both names", delta(add(user(3)), map[string]any{"userId": user(3)}), 400, "DuplicateProtectionUnitInList"},
		{"with the same removal twice", delta(remove(mailboxUnit(1)), remove(mailboxUnit(1))), 400, "DuplicateProtectionUnitInList"},
		{"with a unit both added and removed", delta(add(user(1)), remove(mailboxUnit(1))), 400, "DuplicateProtectionUnitInList"},
		{"with an unknown object twice", delta(add(stranger), add(strings.ToUpper(stranger))), 400, "DuplicateProtectionUnitInList"},
		{"with 51 items", delta(many...), 413, "ProtectionUnitsLimitBreached"},
		{"with a body above 4 MiB", strings.Repeat(" ", emulator.MaxBody+1), 413, "RequestEntityTooLarge"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.activePolicyWith(user(1))
			w.unchanged(func() {
				w.do(http.MethodPatch, "/exchangeProtectionPolicies/"+id, tc.body).wantError(tc.status, tc.code)
			})
			w.wantPolicy(id, "active")
		})
	}
}

func TestPatchAcceptsItsLimits(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith()
	items := make([]any, 50)
	for i := range items {
		items[i] = add(user(10 + i))
	}
	if n := len(w.patch(id, items...).want(200).list("mailboxProtectionUnits@delta")); n != 50 {
		t.Errorf("%d items in the answer, want 50", n)
	}
	w.patch(id).want(200) // an empty delta
	r := w.do(http.MethodPatch, "/exchangeProtectionPolicies/"+id, map[string]any{"displayName": "x"}).want(200)
	if r.list("mailboxProtectionUnits@delta") != nil {
		t.Errorf("a delta that was not asked for: %s", r.raw)
	}
	w.do(http.MethodPatch, "/exchangeProtectionPolicies/"+id, "{}").want(200).eq("displayName", "x")
}

func TestADynamicRuleHoldsItsUnits(t *testing.T) {
	w := newWorld(t).in(emulator.TenantC)
	w.unit(emulator.UnitCDynamic).eq("protectionSources", "dynamicRule").eq("status", "protected").eq("policyId", emulator.PolicyC)
	w.unit(emulator.UnitCManual).eq("protectionSources", "manual")
	w.unchanged(func() {
		w.patch(emulator.PolicyC, remove(emulator.UnitCManual), remove(emulator.UnitCDynamic)).
			wantError(400, "ProtectionUnitActionNotAllowed")
	})
	w.patch(emulator.PolicyC, remove(emulator.UnitCManual)).want(200).eq("mailboxProtectionUnits@delta.0.status", "removeRequested")
}

func TestRepeatingAPatchIsSafe(t *testing.T) {
	w := newWorld(t)
	id := w.activePolicyWith(user(1), user(2))
	w.patch(id, add(user(3)), remove(mailboxUnit(1))).want(200)
	before := w.changes()
	r := w.patch(id, add(user(3)), remove(mailboxUnit(1))).want(200)
	r.wantFailed(0, "add", "ProtectionUnitAlreadyExists")
	r.wantFailed(1, "remove", "ProtectionUnitNotFound")
	if w.changes() != before {
		t.Error("the repetition changed something")
	}
	w.pass(10 * time.Minute)
	r = w.patch(id, remove(mailboxUnit(1))).want(200)
	r.wantFailed(0, "remove", "ProtectionUnitNotFound")
	w.patch(id, add(user(1))).want(200).eq("mailboxProtectionUnits@delta.0.id", mailboxUnit(1)) // the same unit comes back
}

func TestAUnitRemovedBeforeItWasProtectedStaysOut(t *testing.T) {
	w := newWorld(t)
	id := w.activePolicyWith(user(1))
	w.patch(id, add(user(2))).want(200)
	w.pass(time.Minute)
	w.patch(id, remove(mailboxUnit(2))).want(200)
	w.pass(time.Hour)
	w.unit(mailboxUnit(2)).eq("status", "unprotected").eq("policyId", nil)
	w.wantPolicy(id, "active")
}

func TestAddingToAnInactivePolicyProtectsNothing(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	w.patch(id, add(user(2))).want(200).eq("mailboxProtectionUnits@delta.0.status", "unprotected")
	w.wantPolicy(id, "inactive")
	w.patch(id, remove(mailboxUnit(2))).want(200)
	w.wantPolicy(id, "updating")
	w.pass(2 * time.Minute)
	w.wantPolicy(id, "inactive")
	w.wantUnits(id, map[string]int{"unprotected": 1})
}

func TestAddingAFailedUnitAgainRetriesIt(t *testing.T) {
	w := newWorld(t)
	id := w.activePolicyWith(user(1), stranger)
	r := w.patch(id, add(stranger)).want(200).eq("mailboxProtectionUnits@delta.0.status", "protectRequested")
	r.eq("mailboxProtectionUnits@delta.0.error", nil)
	w.pass(5 * time.Minute)
	w.wantPolicy(id, "activeWithErrors")
}

func TestSitesAreAddedByEveryFormOfTheirId(t *testing.T) {
	w := newWorld(t)
	parts := strings.Split(emulator.SiteA1, ",")
	r := w.do(http.MethodPost, "/sharePointProtectionPolicies", map[string]any{"displayName": "Sites"}).want(201)
	path := "/sharePointProtectionPolicies/" + r.str("id")
	site := func(id string) map[string]any { return map[string]any{"siteId": id} }
	body := func(ids ...any) map[string]any { return map[string]any{"siteProtectionUnits@delta": ids} }
	w.do(http.MethodPatch, path, body(site(emulator.SiteA1), site(parts[1]))).wantError(400, "DuplicateProtectionUnitInList")
	w.do(http.MethodPatch, path, body(site(parts[1]))).want(200).eq("siteProtectionUnits@delta.0.siteId", emulator.SiteA1)
	w.do(http.MethodPatch, path, body(site("a.sharepoint.example/sites/hr,"+stranger+","+stranger))).want(200)
	w.do(http.MethodPatch, path, body(map[string]any{"directoryObjectId": stranger})).wantError(400, "InvalidPatchRequest")
	w.do(http.MethodPatch, path, body(map[string]any{"userId": stranger})).wantError(400, "InvalidPatchRequest")
}
