package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// demoIsThere checks what a newcomer sees of the demo in a tenant.
func demoIsThere(w *world, tenant string) {
	w.t.Helper()
	policies := w.get("/protectionPolicies").want(200)
	for i, name := range []string{"Mail of the office", "Drives of the office", "Project sites"} {
		at := fmt.Sprintf("value.%d.", i)
		policies.eq(at+"displayName", name).eq(at+"status", "active")
	}
	mail := policies.str("value.0.id")
	units := w.get("/protectionUnits").want(200)
	states, codes := map[string]int{}, map[string]int{}
	for i := range units.list("value") {
		at := fmt.Sprintf("value.%d.", i)
		states[units.str(at+"status")]++
		codes[units.str(at+"error.code")]++
	}
	if states["protected"] != 22 || states["unprotected"] != 1 || states["unknownFutureValue"] != 1 || codes["QuotaExceeded"] != 1 {
		w.t.Errorf("the units are %v with errors %v: %s", states, codes, units.raw)
	}
	w.get("/exchangeProtectionPolicies/"+mail+"/mailboxInclusionRules").want(200).eq("value.0.isAutoApplyEnabled", true).eq("value.0.status", "completed")
	w.get("/oneDriveForBusinessProtectionPolicies/"+policies.str("value.1.id")+"/driveProtectionUnitsBulkAdditionJobs").want(200).
		eq("value.0.status", "completedWithErrors").eq("value.0.displayName", "Everybody on the payroll")
	sessions := w.do(http.MethodGet, "/restoreSessions", nil, evolvedMembers()...).want(200)
	var got []string
	for i := range sessions.list("value") {
		got = append(got, sessions.str(fmt.Sprintf("value.%d.status", i)))
	}
	if text := strings.Join(got, " "); text != "completed completedWithError active draft" {
		w.t.Errorf("the sessions are %s", text)
	}
	// A month of points, back to the first day.
	unit := emulator.UnitID(tenant, emulator.Exchange, 1)
	first := w.get(pointQuery(unit, soon, "protectionDateTime asc")).want(200).str("value.0.protectionDateTime")
	at, err := time.Parse(time.RFC3339, first)
	if age := w.e.Clock().Now().Sub(at); err != nil || age < 29*24*time.Hour || age > 31*24*time.Hour {
		w.t.Errorf("the first point is of %s: %v ago (%v)", first, age, err)
	}
	w.look("/users", "$filter", "startswith(displayName,'Marta')").want(200).eq("value.0.jobTitle", "Managing Partner")
	w.look("/users", "$filter", "startswith(displayName,'Lucas')").want(200).eq("value.0", nil)
	w.look("/sites").want(200).eq("value.0.displayName", "Riverside Library")
	w.look("/groups").want(200).eq("value.1.displayName", "Project Architects")
}

func TestTheDemoTenantHasAStory(t *testing.T) {
	w := newWorld(t).in(emulator.TenantDemo)
	demoIsThere(w, emulator.TenantDemo)
	for _, entry := range w.e.Ledger(0).Entries {
		if entry.Kind != emulator.EntryRequest {
			t.Fatalf("what nobody saw is in the ledger: %+v", entry)
		}
	}
	site := emulator.UnitID(emulator.TenantDemo, emulator.SharePoint, 1)
	session := w.do(http.MethodPost, "/sharePointBrowseSessions", map[string]any{"restorePointId": w.fastPoint(site)}).want(201).str("id")
	found := w.do(http.MethodPost, "/sharePointBrowseSessions/"+session+"/browse", map[string]any{"filter": "(name -contains 'floor')"}).want(200)
	if !strings.Contains(string(found.raw), "Ground floor.dwg") {
		t.Errorf("the site holds %s", found.raw)
	}
	// What is under way goes on.
	w.pass(3 * 24 * time.Hour)
	if got := w.get("/restoreSessions").want(200).str("value.2.status"); got != "completed" {
		t.Errorf("the session that ran is %s", got)
	}
	w.control(http.MethodPost, "reset?tenant="+emulator.TenantDemo, nil).want(200)
	demoIsThere(w, emulator.TenantDemo)
}

func TestAnyTenantCanBeADemo(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPost, "seed", `{"tenant":"`+emulator.TenantB+`","scenario":"demo"}`).want(200)
	demoIsThere(w.in(emulator.TenantB), emulator.TenantB)
}

// Each run begins with the same ids, so that a page can name them.
func TestTheDemoIsTheSameInEachRun(t *testing.T) {
	ids := func() string {
		w := newWorld(t).in(emulator.TenantDemo)
		return w.get("/protectionPolicies").str("value.0.id") + w.get("/restoreSessions").str("value.2.id")
	}
	if one, two := ids(), ids(); one != two {
		t.Errorf("%s and %s", one, two)
	}
}
