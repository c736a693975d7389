package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func (w *world) control(method, path string, body any) *reply {
	w.t.Helper()
	return w.send(method, "/_emulator/"+path, body)
}

func TestTheControlApiSaysWhatItHas(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/_emulator", "/_emulator/"} {
		w.send(http.MethodGet, path, nil).want(200).eq("ids.tenantA", emulator.TenantA).eq("ids.siteA1", emulator.SiteA1).
			eq("operations.0", "GET /_emulator/").eq("clock.speed", 0).
			eq("userAssertions.tenantB", emulator.UserAssertion(emulator.TenantB, 1))
	}
	if n := len(w.e.Ledger(0).Entries); n != 0 {
		t.Errorf("control requests are in the ledger: %d", n)
	}
}

func TestTheClockIsControlledOverHttp(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodGet, "clock", nil).want(200).eq("now", "2030-01-02T03:04:05.6Z").eq("speed", 0)
	w.control(http.MethodPost, "clock", `{"advance":"10m"}`).want(200).eq("now", "2030-01-02T03:14:05.6Z")
	w.control(http.MethodPut, "clock", `{"now":"2031-01-01T00:00:00Z","speed":2.5,"advance":"-1s"}`).want(200).
		eq("now", "2030-12-31T23:59:59Z").eq("speed", 2.5)
	for _, bad := range []string{"", "[]", `{"advance":"soon"}`, `{"now":"yesterday"}`, `{"speed":-1}`, `{"later":"1m"}`, `{} {}`} {
		if r := w.control(http.MethodPost, "clock", bad).want(400); r.str("error.message") == "" {
			t.Errorf("%q: no message in %s", bad, r.raw)
		}
	}
	w.control(http.MethodGet, "clock", nil).eq("speed", 2.5)
}

func TestATenantIsSeededOverHttp(t *testing.T) {
	w := newWorld(t)
	r := w.control(http.MethodPost, "seed", `{"tenant":"`+strings.ToUpper(stranger)+`","users":5000,"sites":60,"serviceStatus":"enabled",
		"policies":[{"workload":"oneDriveForBusiness","units":4000,"dynamicRuleUnits":1,"displayName":"Drives"},{"workload":"sharePoint","units":60}]}`).want(200)
	fresh := w.in(stranger)
	fresh.get("/protectionPolicies").want(200).eq("value.0.id", r.str("policyIds.0")).eq("value.0.displayName", "Drives").
		eq("value.1.id", r.str("policyIds.1")).eq("value.1.displayName", "Seeded policy")
	fresh.unit(emulator.UnitID(stranger, emulator.OneDrive, 1)).eq("protectionSources", "dynamicRule")
	fresh.unit(emulator.UnitID(stranger, emulator.OneDrive, 4001)).eq("status", "protected")
	fresh.unit(emulator.UnitID(stranger, emulator.SharePoint, 60)).eq("siteName", "Site 60")
	for _, bad := range []string{"{", `{}`, `{"tenant":"x"}`, `{"tenant":"` + stranger + `","user":5}`,
		`{"tenant":"` + stranger + `","policies":[{"workload":"teams","units":1}]}`} {
		w.control(http.MethodPost, "seed", bad).want(400)
	}
}

func TestRulesAreControlledOverHttp(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPost, "faults", `{"operation":"GET /","status":503,"retryAfter":["3"]}`).want(200).eq("ids.0", "fault-1")
	w.control(http.MethodPost, "faults", `[{"id":"mine","operation":"*","throttle":{"requests":9,"window":"10s","retryAfter":"2s"}}]`).want(200)
	w.get("").want(503)
	w.control(http.MethodGet, "faults", nil).want(200).eq("faults.0.applied", 1).eq("faults.0.operation", "GET /").
		eq("faults.1.id", "mine").eq("faults.1.throttle.window", "10s")
	w.control(http.MethodDelete, "faults?id=fault-1", nil).want(200)
	w.control(http.MethodDelete, "faults?id=fault-1", nil).want(400)
	w.get("").want(200)
	w.control(http.MethodDelete, "faults", nil).want(200)
	w.control(http.MethodGet, "faults", nil).want(200).eq("faults.0", nil)
	w.control(http.MethodPost, "faults", `{"operation":"GET /","stats":503}`).want(400)
	w.control(http.MethodPost, "faults", "").want(400)
}

func TestControlRequestsThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodGet, "nothing", nil).want(404)
	w.control(http.MethodGet, "reset", nil).want(405)
	w.control(http.MethodPatch, "clock", nil).want(405)
	w.control(http.MethodGet, "ledger?since=x", nil).want(400)
	w.control(http.MethodGet, "ledger?since=-1", nil).want(400)
	w.control(http.MethodGet, "ledger?limit=0", nil).want(400)
	w.control(http.MethodPost, "seed", strings.Repeat(" ", emulator.MaxBody+1)).want(413)
	w.policyWith()
	w.control(http.MethodPost, "reset", nil).want(200)
	if w.made() != 0 {
		t.Error("nothing was reset")
	}
}
