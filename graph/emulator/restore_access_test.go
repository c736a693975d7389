package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestRestoresNeedTheirDocumentedPermissions(t *testing.T) {
	w := restorable(t)
	const (
		search = "BackupRestore-Search.Read.All"
		read   = "BackupRestore-Restore.Read.All"
		write  = "BackupRestore-Restore.ReadWrite.All"
	)
	session := w.draft(driveKind(), "new", driveUnit(1))
	requests := "/oneDriveForBusinessRestoreSessions/" + session + "/driveRestoreArtifactsBulkAdditionRequests"
	for _, tc := range []struct{ method, path, permission string }{
		{"GET", pointQuery(driveUnit(1), soon, ""), search},
		{"POST", "/restorePoints/search", search},
		{"GET", "/restoreSessions", read},
		{"GET", "/restoreSessions/" + session, read},
		{"GET", "/oneDriveForBusinessRestoreSessions/" + session + "/driveRestoreArtifacts", read},
		{"GET", requests, read},
		{"GET", requests + "/" + stranger, read},
		{"POST", requests, write},
		{"DELETE", requests + "/" + stranger, write},
		{"PATCH", "/oneDriveForBusinessRestoreSessions/" + session, write},
		// Even reading needs ReadWrite here.
		{"GET", "/oneDriveForBusinessRestoreSessions/" + session + "/granularDriveRestoreArtifacts", write},
		{"GET", "/browseSessions", write},
		{"GET", driveBrowses, write},
		{"POST", driveBrowses, write},
		{"GET", driveBrowses + "/x", write},
		{"POST", driveBrowses + "/x/browse", write},
		{"POST", "/oneDriveForBusinessRestoreSessions", write},
		{"POST", "/restoreSessions/" + session + "/activate", write},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			w := w.within(t)
			for _, kind := range []string{"scp", "roles"} {
				with := func(permission string) *reply {
					var value any = permission
					if kind == "roles" {
						value = []string{permission}
					}
					return w.as(map[string]any{"tid": emulator.TenantA, kind: value}).do(tc.method, tc.path, nil)
				}
				other := read
				if tc.permission == read {
					other = search
				}
				w.unchanged(func() { with(other).wantError(403, "accessDenied") })
				if r := with(tc.permission); r.status == 401 || strings.Contains(string(r.raw), "accessDenied") {
					t.Errorf("%s %s: %d %s", kind, tc.permission, r.status, r.raw)
				}
			}
		})
	}
}

func TestTheServiceStateDecidesAboutRestores(t *testing.T) {
	for _, tc := range []struct {
		status        string
		read, restore int
	}{
		{"enabled", 200, 201}, {"protectionChangeLocked", 200, 201}, {"restoreLocked", 200, 403}, {"disabled", 403, 403},
	} {
		t.Run(tc.status, func(t *testing.T) {
			w := newWorld(t)
			if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: tc.status}); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/restoreSessions", "/browseSessions", driveBrowses} {
				w.get(path).want(tc.read)
			}
			w.search(map[string]any{"protectionUnitIds": []string{stranger}}).want(tc.read)
			for _, k := range sessionKinds() {
				w.do(http.MethodPost, k.sessions, nil).want(tc.restore)
			}
			if tc.restore == 403 {
				w.unchanged(func() { w.do(http.MethodPost, siteBrowses, "{}").wantError(403, "OperationNotAllowed") })
			}
		})
	}
}

func TestTenantsDoNotSeeEachOthersRestores(t *testing.T) {
	w := restorable(t)
	c := w.in(emulator.TenantC)
	c.pass(time.Hour)
	point := w.newest(mailboxUnit(1))
	w.draft(exchangeKind(), "new", mailboxUnit(1))
	w.browsing(driveBrowses, driveUnit(1))
	w.unchanged(func() {
		for _, path := range []string{"/restoreSessions", "/browseSessions", driveBrowses, siteBrowses} {
			c.get(path).want(200).eq("value", "[]")
		}
		body := map[string]any{"mailboxRestoreArtifacts": []any{artifact(point, "new")}}
		c.do(http.MethodPost, "/exchangeRestoreSessions", body).wantError(400, "InvalidRestorePoint")
		c.search(map[string]any{"protectionUnitIds": []string{mailboxUnit(1)}}).want(200).eq("noResultProtectionUnitIds.0", mailboxUnit(1))
	})
	// C has points of its own, since its mailboxes are protected from the start.
	c.search(map[string]any{"protectionUnitIds": []string{emulator.UnitCManual}}).want(200).
		eq("searchResults.0.restorePoint.protectionUnit.id", emulator.UnitCManual)
}

func TestManyClientsRestoreAtOnce(t *testing.T) {
	w := restorable(t)
	var points []string
	for n := 10; n < 18; n++ {
		points = append(points, w.newest(siteUnit(n)))
	}
	var all sync.WaitGroup
	for i, p := range points {
		all.Go(func() {
			body := map[string]any{"siteRestoreArtifacts": []any{artifact(p, "new")}}
			r := w.send(http.MethodPost, root+"/sharePointRestoreSessions", body)
			if r.status != 201 {
				t.Errorf("create: %d %v", r.status, r.err)
				return
			}
			id := r.str("id")
			path := root + "/sharePointRestoreSessions/" + id
			for _, step := range []struct {
				method, path string
				status       int
			}{
				{"GET", path + "/siteRestoreArtifacts", 200}, {"POST", root + "/restoreSessions/" + id + "/activate", 200},
				{"GET", root + "/restoreSessions", 200}, {"DELETE", root + "/restoreSessions/" + id, 403},
			} {
				if r := w.send(step.method, step.path, nil); r.status != step.status {
					t.Errorf("client %d: %s %s: %d", i, step.method, step.path, r.status)
				}
			}
			w.pass(time.Minute)
		})
	}
	all.Wait()
	w.pass(time.Hour)
	for _, v := range w.get("/restoreSessions").want(200).list("value") {
		if s := v.(map[string]any); s["status"] != "completed" {
			t.Errorf("session %v is %v", s["id"], s["status"])
		}
	}
}

func TestTwoRunsOfARestoreLeaveTheSameTraces(t *testing.T) {
	run := func() string {
		w := restorable(t)
		b := w.browsing(siteBrowses, siteUnit(2))
		key := w.key(siteBrowses+"/"+b, "Projects")
		id := w.do(http.MethodPost, siteKind().sessions, map[string]any{
			"granularSiteRestoreArtifacts": []any{map[string]any{"browseSessionId": b, "id": key}},
		}).want(201).str("id")
		w.restored(siteKind(), "granularSiteRestoreArtifacts", id)
		path, body := w.bulk(exchangeKind(), []string{exchangeKind().name, exchangeKind().unknown})
		w.do(http.MethodPost, path, body).want(201)
		w.pass(time.Hour)
		var lines []string
		for _, e := range w.e.Ledger(0).Entries {
			if e.Kind == emulator.EntryChange {
				lines = append(lines, fmt.Sprint(e.Resource, e.ID, e.From, e.To, e.Time, e.Cause))
			}
		}
		return strings.Join(lines, "\n")
	}
	if one, two := run(), run(); one != two {
		t.Errorf("first\n%s\nthen\n%s", one, two)
	}
}

func TestTheLedgerHasBulkRequestsAndBrowseSessions(t *testing.T) {
	w := restorable(t)
	w.browsing(driveBrowses, driveUnit(1))
	k := siteKind()
	path, body := w.bulk(k, []string{k.name})
	id := w.do(http.MethodPost, path, body).want(201).str("id")
	w.run(sessionOf(path)).want(200)
	w.pass(time.Hour)
	w.do(http.MethodDelete, path+"/"+id, nil).want(204)
	w.pass(71 * time.Hour)
	var got []string
	for _, e := range w.e.Ledger(0).Entries {
		if e.Kind == emulator.EntryChange {
			got = append(got, fmt.Sprintf("%s %s>%s %v", e.Resource, e.From, e.To, e.Cause > 0))
		}
	}
	want := []string{
		"oneDriveForBusinessBrowseSession >creating true", "oneDriveForBusinessBrowseSession creating>created true",
		"sharePointRestoreSession >draft true", "siteRestoreArtifactsBulkAdditionRequest >active true",
		"sharePointRestoreSession draft>activating true",
		"siteRestoreArtifact >added false", "siteRestoreArtifactsBulkAdditionRequest active>completed false",
		"siteRestoreArtifact added>scheduling false", "sharePointRestoreSession activating>active false",
		"siteRestoreArtifact scheduling>scheduled false", "siteRestoreArtifact scheduled>inProgress false",
		"site >created false", "siteRestoreArtifact inProgress>succeeded false", "sharePointRestoreSession active>completed false",
		"siteRestoreArtifactsBulkAdditionRequest completed> true",
		"oneDriveForBusinessBrowseSession created> false",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFaultsMeetRestoresLikeAnythingElse(t *testing.T) {
	w := restorable(t)
	const create = "POST /oneDriveForBusinessRestoreSessions"
	post := func() *reply { return w.send(http.MethodPost, root+"/oneDriveForBusinessRestoreSessions", nil) }
	count := func() int { return len(w.get("/restoreSessions").want(200).list("value")) }
	w.fault(emulator.Fault{Operation: create, Status: 503, RetryAfter: []string{"2"}, Times: 1})
	if r := post().want(503); r.header.Get("Retry-After") != "2" || count() != 0 {
		t.Errorf("Retry-After %q, %d sessions", r.header.Get("Retry-After"), count())
	}
	// The answer is lost, the draft is not.
	w.fault(emulator.Fault{Operation: create, Cut: "after", Times: 1})
	if r := post(); r.err == nil || count() != 1 {
		t.Errorf("error %v, %d sessions", r.err, count())
	}
	w.fault(emulator.Fault{Operation: "GET /restoreSessions", NextLink: new("https://elsewhere.example/"), Times: 1})
	if next := nextLink(w.get("/restoreSessions")); next != "https://elsewhere.example/" {
		t.Errorf("next link %q", next)
	}
	path := driveBrowses + "/" + w.browsing(driveBrowses, driveUnit(1))
	w.fault(emulator.Fault{Operation: "POST " + driveBrowses + "/{id}/browse", NextLink: new("/again"), Times: 1})
	if next := nextLink(w.do(http.MethodPost, path+"/browse", nil)); next != "/again" {
		t.Errorf("next link %q", next)
	}
}
