package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func users(from, to int) []string {
	var ids []string
	for n := from; n <= to; n++ {
		ids = append(ids, user(n))
	}
	return ids
}

// kinds are the three policy collections, as a test needs them.
func kinds() []struct{ policies, units, id, good, bad, strange string } {
	return []struct{ policies, units, id, good, bad, strange string }{
		{"exchangeProtectionPolicies", "mailboxProtectionUnits", "directoryObjectId", emulator.UserA1, "nobody", stranger},
		{"oneDriveForBusinessProtectionPolicies", "driveProtectionUnits", "directoryObjectId", emulator.UserA1, "nobody", stranger},
		{"sharePointProtectionPolicies", "siteProtectionUnits", "siteId", emulator.SiteA1, "a.sharepoint.example,1,2",
			"x.sharepoint.example," + stranger + "," + stranger},
	}
}

func TestCreatePolicyRefusals(t *testing.T) {
	unit := func(id string) map[string]any { return map[string]any{"directoryObjectId": id} }
	body := func(name any, items ...any) map[string]any {
		return map[string]any{"displayName": name, "mailboxProtectionUnits": items}
	}
	for _, tc := range []struct {
		name   string
		body   any
		status int
		code   string
	}{
		{"an empty body is no request", "", 400, "InvalidCreateRequest"},
		{"null is no request", "null", 400, "InvalidCreateRequest"},
		{"a list is no request", "[]", 400, "InvalidCreateRequest"},
		{"broken JSON is no request", `{"displayName":`, 400, "InvalidCreateRequest"},
		{"a second value after the body is no request", `{"displayName":"x"} {}`, 400, "InvalidCreateRequest"},
		{"a body above 4 MiB is too large", `{"displayName":"` + strings.Repeat("x", 3*emulator.MaxBody) + `"}`, 400, "InvalidCreateRequest"},
		{"a misspelt property is refused", map[string]any{"displayname": "x"}, 400, "InvalidCreateRequest"},
		{"units of another workload are refused", map[string]any{"displayName": "x", "driveProtectionUnits": []any{}}, 400, "InvalidCreateRequest"},
		{"units that are no list are refused", map[string]any{"displayName": "x", "mailboxProtectionUnits": 1}, 400, "InvalidCreateRequest"},
		{"a unit that is null is refused", body("x", nil), 400, "InvalidCreateRequest"},
		{"a unit with a misspelt property is refused", body("x", map[string]any{"directoryObjectID": user(1)}), 400, "InvalidCreateRequest"},
		{"a name that is a number is refused", body(7), 400, "InvalidCreateRequest"},
		{"a missing name is invalid", map[string]any{}, 400, "InvalidDisplayName"},
		{"a null name is invalid", body(nil), 400, "InvalidDisplayName"},
		{"an empty name is invalid", body(""), 400, "InvalidDisplayName"},
		{"a name of 1025 characters is invalid", body(strings.Repeat("é", 1025)), 400, "InvalidDisplayName"},
		{"a unit whose object is no GUID is invalid", body("x", unit("nobody")), 400, "InvalidProtectionUnitId"},
		{"a unit without an object is invalid", body("x", map[string]any{}), 400, "InvalidProtectionUnitId"},
		{"a unit whose object is a number is invalid", body("x", map[string]any{"directoryObjectId": 5}), 400, "InvalidProtectionUnitId"},
		{"the same unit twice is a duplicate in any case of letters", body("x", unit(user(1)), unit(strings.ToUpper(user(1)))), 400, "DuplicateProtectionUnitInList"},
		{"51 units are too many", mailboxes(users(1, 51)...), 413, "ProtectionUnitsLimitBreached"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.unchanged(func() {
				w.do(http.MethodPost, "/exchangeProtectionPolicies", tc.body).wantError(tc.status, tc.code)
			})
		})
	}
}

func TestCreatePolicyAccepts(t *testing.T) {
	for _, tc := range []struct {
		name string
		body any
	}{
		{"no units", map[string]any{"displayName": "x"}},
		{"units that are null", map[string]any{"displayName": "x", "mailboxProtectionUnits": nil}},
		{"50 units", mailboxes(users(1, 50)...)},
		{"a name of 1024 characters of several bytes", map[string]any{"displayName": strings.Repeat("é", 1024)}},
		{"a name of one character", map[string]any{"displayName": "😀"}},
		{"OData annotations", map[string]any{"@odata.type": "#microsoft.graph.exchangeProtectionPolicy", "displayName": "x"}},
		{"a user that the directory does not know", mailboxes(stranger)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(http.MethodPost, "/exchangeProtectionPolicies", tc.body).want(http.StatusCreated).eq("status", "inactive")
		})
	}
}

func TestEachWorkloadRefusesItsOwnMalformedIds(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.policies, func(t *testing.T) {
			w := newWorld(t)
			body := func(id string) map[string]any {
				return map[string]any{"displayName": "x", k.units: []any{map[string]any{k.id: id}}}
			}
			w.unchanged(func() {
				w.do(http.MethodPost, "/"+k.policies, body(k.bad)).wantError(400, "InvalidProtectionUnitId")
			})
			w.do(http.MethodPost, "/"+k.policies, body(k.good)).want(http.StatusCreated)
			w.do(http.MethodPost, "/"+k.policies, body(k.strange)).want(http.StatusCreated)
			w.unchanged(func() {
				w.do(http.MethodPost, "/"+k.policies, body(k.good)).wantError(409, "ProtectionUnitAlreadyExists")
			})
		})
	}
}

func TestCreatePolicyIsRefusedByState(t *testing.T) {
	t.Run("while another policy of the workload is active", func(t *testing.T) {
		w := newWorld(t)
		w.activePolicyWith(user(1))
		w.unchanged(func() {
			w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes()).wantError(409, "PolicyCreationNotAllowed")
		})
		w.do(http.MethodPost, "/oneDriveForBusinessProtectionPolicies", map[string]any{"displayName": "x"}).want(http.StatusCreated)
	})
	t.Run("while another policy of the workload is updating", func(t *testing.T) {
		w := newWorld(t)
		id := w.policyWith(user(1))
		w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(http.StatusAccepted)
		w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes()).wantError(409, "PolicyCreationNotAllowed")
	})
	t.Run("not while the other policy is inactive", func(t *testing.T) {
		w := newWorld(t)
		w.policyWith(user(1))
		w.policyWith(user(2))
	})
	t.Run("for a unit that another policy holds, and makes no policy", func(t *testing.T) {
		w := newWorld(t)
		w.policyWith(user(1))
		w.unchanged(func() {
			w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes(user(2), user(1))).wantError(409, "ProtectionUnitAlreadyExists")
		})
		w.policyWith(user(2))
	})
}

func TestPolicyOperationsRefuseBadAndUnknownIds(t *testing.T) {
	operations := []struct{ method, path string }{
		{http.MethodGet, "/protectionPolicies/%s"},
		{http.MethodDelete, "/protectionPolicies/%s"},
		{http.MethodPost, "/protectionPolicies/%s/activate"},
		{http.MethodPost, "/protectionPolicies/%s/deactivate"},
		{http.MethodPatch, "/exchangeProtectionPolicies/%s"},
		{http.MethodPatch, "/oneDriveForBusinessProtectionPolicies/%s"},
		{http.MethodPatch, "/sharePointProtectionPolicies/%s"},
		{http.MethodGet, "/exchangeProtectionPolicies/%s/mailboxProtectionUnits"},
		{http.MethodGet, "/oneDriveForBusinessProtectionPolicies/%s/driveProtectionUnits"},
		{http.MethodGet, "/sharePointProtectionPolicies/%s/siteProtectionUnits"},
	}
	w := newWorld(t)
	for _, op := range operations {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			w := *w
			w.t = t
			var body any
			if op.method == http.MethodPatch {
				body = map[string]any{"displayName": "x"}
			}
			w.unchanged(func() {
				for _, bad := range []string{"x", "..%2F..", "%20", strings.Repeat("a", 36), stranger[:35], stranger + "0"} {
					w.do(op.method, fmt.Sprintf(op.path, bad), body).wantError(400, "InvalidPolicyId")
				}
				w.do(op.method, strings.Replace(op.path, "/%s", "('')", 1), body).wantError(400, "InvalidPolicyId")
				w.do(op.method, fmt.Sprintf(op.path, stranger), body).wantError(404, "PolicyNotFound")
			})
		})
	}
}

func TestAPolicyOfAnotherWorkloadIsNotFound(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	w.do(http.MethodPatch, "/sharePointProtectionPolicies/"+id, map[string]any{"displayName": "x"}).wantError(404, "PolicyNotFound")
	w.get("/oneDriveForBusinessProtectionPolicies/"+id+"/driveProtectionUnits").wantError(404, "PolicyNotFound")
	w.get("/exchangeProtectionPolicies/" + id + "/mailboxProtectionUnits").want(200)
}

func TestPolicyActionsAreRefusedInTheWrongState(t *testing.T) {
	inactive := func(w *world) string { return w.policyWith(user(1)) }
	active := func(w *world) string { return w.activePolicyWith(user(1)) }
	updating := func(w *world) string {
		id := w.policyWith(user(1))
		w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(http.StatusAccepted)
		return id
	}
	failing := func(w *world) string { return w.activePolicyWith(user(1), stranger) }
	for _, tc := range []struct {
		name   string
		make   func(*world) string
		method string
		path   string
		status int
	}{
		{"an active policy cannot be deleted", active, http.MethodDelete, "", 403},
		{"an updating policy cannot be deleted", updating, http.MethodDelete, "", 403},
		{"a policy with errors cannot be deleted", failing, http.MethodDelete, "", 403},
		{"an inactive policy can be deleted", inactive, http.MethodDelete, "", 204},
		{"an inactive policy cannot be deactivated", inactive, http.MethodPost, "/deactivate", 403},
		{"an updating policy cannot be deactivated", updating, http.MethodPost, "/deactivate", 403},
		{"an active policy can be deactivated", active, http.MethodPost, "/deactivate", 202},
		{"a policy with errors can be deactivated", failing, http.MethodPost, "/deactivate", 202},
		{"an active policy cannot be activated", active, http.MethodPost, "/activate", 403},
		{"an updating policy cannot be activated", updating, http.MethodPost, "/activate", 403},
		{"an inactive policy can be activated", inactive, http.MethodPost, "/activate", 202},
		{"a policy with errors can be activated again", failing, http.MethodPost, "/activate", 202},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			id := tc.make(w)
			act := func() *reply { return w.do(tc.method, "/protectionPolicies/"+id+tc.path, nil) }
			if tc.status < 400 {
				act().want(tc.status)
				return
			}
			w.unchanged(func() { act().wantError(tc.status, "PolicyActionNotAllowed") })
		})
	}
}

func TestTwoPoliciesOfAWorkloadAreNeverActive(t *testing.T) {
	w := newWorld(t)
	first, second := w.policyWith(user(1)), w.policyWith(user(2))
	w.do(http.MethodPost, "/protectionPolicies/"+first+"/activate", nil).want(202)
	w.unchanged(func() {
		w.do(http.MethodPost, "/protectionPolicies/"+second+"/activate", nil).wantError(403, "PolicyActionNotAllowed")
	})
}

func TestAPolicyTakesUsersUnderTheNameOfTheExamples(t *testing.T) {
	w := newWorld(t)
	w.do(http.MethodPost, "/oneDriveForBusinessProtectionPolicies", map[string]any{
		"displayName": "x", "driveProtectionUnits": []any{map[string]any{"userId": user(1)}},
	}).want(201)
	w.get("/protectionUnits/"+emulator.UnitID(emulator.TenantA, emulator.OneDrive, 1)).want(200).eq("directoryObjectId", user(1))
	w.do(http.MethodPost, "/sharePointProtectionPolicies", map[string]any{
		"displayName": "x", "siteProtectionUnits": []any{map[string]any{"userId": user(1)}},
	}).wantError(400, "InvalidCreateRequest")
}

// A refusal names what it is about: a value, a property, its element, or an option.
func TestRefusalsHaveTargets(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(2)
	jobs := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnitsBulkAdditionJobs"
	for _, tc := range []struct {
		method, path string
		body         any
		target       any
	}{
		{http.MethodGet, "/protectionPolicies?$top=1000", nil, "$top"},
		{http.MethodGet, "/protectionPolicies?$count=yes", nil, "$count"},
		{http.MethodGet, mailboxCast + query("$filter", "siteId eq 'x'"), nil, "siteId"},
		{http.MethodGet, mailboxCast + query("$filter", "id eq 'x'"), nil, "x"},
		{http.MethodGet, mailboxCast + query("$filter", "status"), nil, "$filter"},
		{http.MethodPost, jobs, map[string]any{"displayName": "j"}, "mailboxes"},
		{http.MethodPost, jobs, map[string]any{"displayName": 7}, "displayName"},
		{http.MethodPost, "/restorePoints/search", map[string]any{"protectionUnitIds": []string{mailboxUnit(1), ""}}, "protectionUnitIds[1]"},
		{http.MethodPost, "/exchangeProtectionPolicies", mailboxes(user(50), "x"), "x"},
		{http.MethodPost, "/exchangeProtectionPolicies", "{", nil},
		{http.MethodDelete, "/protectionPolicies/" + policy, nil, nil},
	} {
		w.do(tc.method, tc.path, tc.body).eq("error.target", tc.target)
	}
}
