package emulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// statuses counts the units of a policy by status.
func (w *world) statuses(policy string) map[string]int {
	w.t.Helper()
	count := map[string]int{}
	for _, u := range w.get("/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits").want(200).list("value") {
		count[u.(map[string]any)["status"].(string)]++
	}
	return count
}

func (w *world) wantUnits(policy string, want map[string]int) {
	w.t.Helper()
	got := w.statuses(policy)
	if len(got) != len(want) {
		w.t.Fatalf("units = %v, want %v", got, want)
	}
	for status, n := range want {
		if got[status] != n {
			w.t.Fatalf("units = %v, want %v", got, want)
		}
	}
}

func (w *world) wantPolicy(id, status string) {
	w.t.Helper()
	if got := w.policyStatus(id); got != status {
		w.t.Fatalf("policy is %s, want %s", got, status)
	}
}

func TestAPolicyGoesThroughItsLife(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1), user(2))
	w.wantPolicy(id, "inactive")
	w.wantUnits(id, map[string]int{"unprotected": 2})

	r := w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202)
	r.eq("status", "updating").eq("id", id)
	if got := r.header.Get("Content-Location"); got != w.server.URL+root+"/protectionPolicies('"+id+"')" {
		t.Errorf("Content-Location = %q", got)
	}
	w.wantUnits(id, map[string]int{"protectRequested": 2})
	w.pass(5*time.Minute - time.Nanosecond)
	w.wantPolicy(id, "updating")
	w.pass(time.Nanosecond)
	w.wantPolicy(id, "active")
	w.wantUnits(id, map[string]int{"protected": 2})

	w.do(http.MethodPost, "/protectionPolicies/"+id+"/deactivate", nil).want(202).eq("status", "updating")
	w.wantUnits(id, map[string]int{"unprotectRequested": 2})
	w.pass(2 * time.Minute)
	w.wantPolicy(id, "inactive")
	w.wantUnits(id, map[string]int{"unprotected": 2})

	w.do(http.MethodDelete, "/protectionPolicies/"+id, nil).want(204)
	w.get("/protectionPolicies/"+id).wantError(404, "PolicyNotFound")
	w.unit(mailboxUnit(1)).eq("policyId", nil).eq("status", "unprotected")
	w.policyWith(user(1)) // and its units are free again
}

func TestAPolicyWithoutUnitsTakesItsTimeToo(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith()
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202).eq("status", "updating")
	w.pass(5 * time.Minute)
	w.wantPolicy(id, "active")
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/deactivate", nil).want(202).eq("status", "updating")
	w.pass(2 * time.Minute)
	w.wantPolicy(id, "inactive")
}

func TestWhatCannotBeProtectedCarriesAnError(t *testing.T) {
	for _, tc := range []struct {
		name string
		user string
		unit string
	}{
		{"an object that the directory does not have", stranger, ""},
		{"a group", emulator.GroupA1, ""},
		{"a user without a license", emulator.UserANoLicense, mailboxUnit(4)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.activePolicyWith(user(1), tc.user)
			w.wantPolicy(id, "activeWithErrors")
			w.wantUnits(id, map[string]int{"protected": 1, "unprotected": 1})
			r := w.get("/exchangeProtectionPolicies/" + id + "/mailboxProtectionUnits?$filter=status%20eq%20'unprotected'").want(200)
			r.eq("value.0.error.code", "ProtectionUnitNotFound").eq("value.0.directoryObjectId", tc.user).eq("value.0.policyId", id)
			if tc.unit != "" {
				r.eq("value.0.id", tc.unit)
			}
			w.unit(mailboxUnit(1)).eq("error", nil)
		})
	}
}

func TestAPolicyThatProtectsNothingIsInactive(t *testing.T) {
	w := newWorld(t)
	id := w.activePolicyWith(stranger)
	w.wantPolicy(id, "inactive")
	w.patch(id, add(user(1))).want(200).eq("mailboxProtectionUnits@delta.0.status", "unprotected")
}

func TestActivatingAgainRetriesTheFailedUnitsOnly(t *testing.T) {
	w := newWorld(t)
	id := w.activePolicyWith(user(1), stranger)
	since := w.unit(mailboxUnit(1)).str("lastModifiedDateTime")
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202).eq("status", "updating")
	w.wantUnits(id, map[string]int{"protected": 1, "protectRequested": 1})
	w.pass(5 * time.Minute)
	w.wantPolicy(id, "activeWithErrors")
	w.unit(mailboxUnit(1)).eq("lastModifiedDateTime", since)
}

func TestPolicyOnTheWire(t *testing.T) {
	w := newWorld(t)
	r := w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes(user(1))).want(201)
	id := r.str("id")
	r.eq("displayName", "Test policy").eq("status", "inactive").
		eq("retentionSettings", "[map[interval:R/PT10M period:P2W] map[interval:R/P1W period:P1Y]]").
		eq("createdBy.application.id", emulator.DefaultApp).
		eq("createdBy.user.id", emulator.UserA1).
		eq("createdDateTime", "2030-01-02T03:04:05.6000000Z").
		eq("mailboxProtectionUnits", nil)
	if strings.Contains(string(r.raw), "@odata.type") {
		t.Error("a created policy carries @odata.type, which Microsoft's example does not")
	}
	if got := r.header.Get("Content-Location"); got != w.server.URL+root+"/protectionPolicies/"+id {
		t.Errorf("Content-Location = %q", got)
	}
	for name, value := range map[string]string{
		`"@odata.type":"#microsoft.graph.exchangeProtectionPolicy"`: string(w.get("/protectionPolicies/" + id).want(200).raw),
		`"@odata.context":"` + w.server.URL:                         string(w.get("/protectionPolicies/" + id).want(200).raw),
	} {
		if !strings.Contains(value, name) {
			t.Errorf("%s is not in %s", name, value)
		}
	}
	list := w.get("/ProtectionPolicies").want(200)
	list.eq("value.0.id", id)
	if !strings.Contains(string(list.raw), "#microsoft.graph.exchangeProtectionPolicy") {
		t.Error("an item of the policies has no @odata.type")
	}
	if list.header.Get("Content-Location") == "" {
		t.Error("the list of policies has no Content-Location")
	}
}

func TestUnitOnTheWire(t *testing.T) {
	w := newWorld(t)
	w.activePolicyWith(user(1))
	u := w.unit(mailboxUnit(1))
	u.eq("directoryObjectId", user(1)).eq("status", "protected").eq("protectionSources", "manual").
		eq("error", nil).eq("lastModifiedDateTime", "2030-01-02T03:09:05.6000000Z").
		eq("offboardRequestedDateTime", "0001-01-01T00:00:00.0000000Z")
	if !strings.Contains(string(u.raw), `"error":null`) {
		t.Error("a unit without an error does not say so with null")
	}
	w.do(http.MethodPost, "/sharePointProtectionPolicies", map[string]any{
		"displayName": "Sites", "siteProtectionUnits": []any{map[string]any{"siteId": strings.ToUpper(emulator.SiteA1)}},
	}).want(201)
	w.unit(emulator.UnitID(emulator.TenantA, emulator.SharePoint, 1)).
		eq("siteId", emulator.SiteA1).eq("siteName", "Site 1").
		eq("siteWebUrl", "https://a.sharepoint.example/sites/site-1").eq("directoryObjectId", nil)
}
