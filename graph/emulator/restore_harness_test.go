package emulator_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// restorable is a world whose tenant A has been protecting 20 mailboxes, drives
// and sites for 30 days.
func restorable(t *testing.T, change ...func(*emulator.Options)) *world {
	t.Helper()
	w := newWorld(t, change...)
	seed := emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: "enabled"}
	for _, workload := range []emulator.Workload{emulator.Exchange, emulator.OneDrive, emulator.SharePoint} {
		seed.Policies = append(seed.Policies, emulator.PolicySeed{
			Workload: workload, Units: 20, ProtectedFor: emulator.Duration(30 * 24 * time.Hour),
		})
	}
	if err := w.e.Seed(seed); err != nil {
		t.Fatal(err)
	}
	return w
}

// within is the same world for a subtest.
func (w *world) within(t *testing.T) *world {
	other := *w
	other.t = t
	return &other
}

func driveUnit(n int) string { return emulator.UnitID(emulator.TenantA, emulator.OneDrive, n) }

func siteUnit(n int) string { return emulator.UnitID(emulator.TenantA, emulator.SharePoint, n) }

// soon is later than every restore point of a test.
const soon = "protectionDateTime lt 2060-01-01T00:00:00Z"

func pointQuery(unit, filter, order string) string {
	v := url.Values{"$expand": {"protectionUnit($filter=id eq '" + unit + "')"}, "$filter": {filter}}
	if order != "" {
		v.Set("$orderby", order)
	}
	return "/restorePoints?" + v.Encode()
}

// newest is the id of a unit's newest restore point.
func (w *world) newest(unit string) string {
	w.t.Helper()
	return w.get(pointQuery(unit, soon, "")).want(200).str("value.0.id")
}

// fastPoint is the id of a unit's newest point that can be browsed.
func (w *world) fastPoint(unit string) string {
	w.t.Helper()
	return w.search(map[string]any{"protectionUnitIds": []string{unit}, "tags": "fastRestore"}).
		want(200).str("searchResults.0.restorePoint.id")
}

func (w *world) search(body any) *reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/restorePoints/search", body)
}

// sessionKind is how the sessions of one workload are spelt.
type sessionKind struct {
	sessions, artifacts, granular, requests, names, objects string
	unit                                                    func(int) string
	object, name, unknown                                   string // to name in bulk
}

func exchangeKind() sessionKind {
	return sessionKind{"/exchangeRestoreSessions", "mailboxRestoreArtifacts", "granularMailboxRestoreArtifacts",
		"/mailboxRestoreArtifactsBulkAdditionRequests", "mailboxes", "directoryObjectIds", mailboxUnit,
		emulator.UserA1, "bruno.berg.1@a.example", "nobody@a.example"}
}

func driveKind() sessionKind {
	return sessionKind{"/oneDriveForBusinessRestoreSessions", "driveRestoreArtifacts", "granularDriveRestoreArtifacts",
		"/driveRestoreArtifactsBulkAdditionRequests", "drives", "directoryObjectIds", driveUnit,
		emulator.UserA1, "bruno.berg.1@a.example", "nobody@a.example"}
}

func siteKind() sessionKind {
	return sessionKind{"/sharePointRestoreSessions", "siteRestoreArtifacts", "granularSiteRestoreArtifacts",
		"/siteRestoreArtifactsBulkAdditionRequests", "siteWebUrls", "siteIds", siteUnit,
		emulator.SiteA1, "https://a.sharepoint.example/sites/site-1", "https://a.sharepoint.example/sites/site-999"}
}

func sessionKinds() []sessionKind { return []sessionKind{exchangeKind(), driveKind(), siteKind()} }

func artifact(point, destination string) map[string]any {
	return map[string]any{"restorePoint": map[string]any{"id": point}, "destinationType": destination}
}

// draft makes a session with restores of the newest points of units.
func (w *world) draft(k sessionKind, destination string, units ...string) string {
	w.t.Helper()
	items := []any{}
	for _, u := range units {
		items = append(items, artifact(w.newest(u), destination))
	}
	return w.do(http.MethodPost, k.sessions, map[string]any{k.artifacts: items}).want(201).str("id")
}

func (w *world) run(session string) *reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/restoreSessions/"+session+"/activate", nil)
}

// evolvedMembers is the header that asks for them.
func evolvedMembers() []string { return []string{"Prefer", "include-unknown-enum-members"} }

// session shows a session, with the members that enumerations got later.
func (w *world) session(id string) *reply {
	w.t.Helper()
	return w.do(http.MethodGet, "/restoreSessions/"+id, nil, evolvedMembers()...).want(200)
}

// restored runs a session to its end and returns its artifacts.
func (w *world) restored(k sessionKind, list, session string) *reply {
	w.t.Helper()
	w.run(session).want(200)
	w.pass(12 * time.Minute)
	return w.get(k.sessions + "/" + session + "/" + list).want(200)
}

// browsing makes a browse session of a unit.
func (w *world) browsing(sessions, unit string) string {
	w.t.Helper()
	return w.do(http.MethodPost, sessions, map[string]any{"restorePointId": w.fastPoint(unit)}).want(201).str("id")
}
