package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestWhatBecomesOfASessionFollowsFromItsArtifacts(t *testing.T) {
	fails, locked := mailboxUnit(emulator.UserRestoreFails), mailboxUnit(emulator.UserPreservationLock)
	for _, tc := range []struct {
		name, destination string
		units             []string
		status            string
		codes             []any
	}{
		{"all succeed", "inPlace", []string{mailboxUnit(1), mailboxUnit(2)}, "completed", []any{nil, nil}},
		{"some fail", "new", []string{mailboxUnit(1), fails}, "completedWithError", []any{nil, "UnknownError"}},
		{"all fail", "inPlace", []string{fails, locked}, "failed", []any{"UnknownError", "ArtifactCannotBeRestored"}},
		{"a preservation lock does not hinder a restore to a new place", "new", []string{locked}, "completed", []any{nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := restorable(t)
			id := w.draft(exchangeKind(), tc.destination, tc.units...)
			list := w.restored(exchangeKind(), "mailboxRestoreArtifacts", id)
			failed := 0
			for i, code := range tc.codes {
				status := "succeeded"
				if code != nil {
					status = "failed"
					failed++
				}
				list.eq(fmt.Sprintf("value.%d.status", i), status).eq(fmt.Sprintf("value.%d.error.code", i), code)
			}
			w.session(id).eq("status", tc.status).eq("restoreSessionArtifactCount.failed", failed).
				eq("restoreSessionArtifactCount.completed", len(tc.codes)-failed)
		})
	}
}

func TestARestoreInPlaceKeepsIdsAndOneToANewPlaceDoesNot(t *testing.T) {
	w := restorable(t)
	first := func(k sessionKind, destination string) *reply {
		return w.restored(k, k.artifacts, w.draft(k, destination, k.unit(1)))
	}
	site := first(siteKind(), "inPlace")
	site.eq("value.0.restoredSiteId", emulator.SiteA1).eq("value.0.restoredSiteName", "Site 1").
		eq("value.0.restoredSiteWebUrl", "https://a.sharepoint.example/sites/site-1")
	copied := first(siteKind(), "new")
	copied.eq("value.0.restoredSiteName", "Site 1R0").eq("value.0.restoredSiteWebUrl", "https://a.sharepoint.example/sites/site-1R0")
	again := first(siteKind(), "new").eq("value.0.restoredSiteName", "Site 1R1")
	if a, b := copied.str("value.0.restoredSiteId"), again.str("value.0.restoredSiteId"); a == b || a == emulator.SiteA1 || a == "" {
		t.Errorf("site ids %s and %s", a, b)
	}
	drive := first(driveKind(), "inPlace")
	if !strings.HasPrefix(drive.str("value.0.restoredSiteId"), "a-my.sharepoint.example,"+user(1)+",") {
		t.Errorf("drive %s", drive.raw)
	}
	first(driveKind(), "new").eq("value.0.restoredSiteWebUrl", drive.str("value.0.restoredSiteWebUrl")+"R0")
	mail := first(exchangeKind(), "inPlace").eq("value.0.restoredFolderName", "Inbox")
	if again := first(exchangeKind(), "inPlace"); again.str("value.0.restoredFolderId") != mail.str("value.0.restoredFolderId") {
		t.Error("restores in place went to two folders")
	}
	moved := first(exchangeKind(), "new").eq("value.0.restoredFolderName", "Restored 1")
	if moved.str("value.0.restoredFolderId") == mail.str("value.0.restoredFolderId") || fmt.Sprint(moved.at("value.0.restoredItemCount")) == "0" {
		t.Errorf("restored to a new place: %s", moved.raw)
	}
}

func TestARestoreFailsWhenAnotherOfTheSameArtifactIsRunning(t *testing.T) {
	w := restorable(t)
	one, two := w.draft(siteKind(), "new", siteUnit(1)), w.draft(siteKind(), "inPlace", siteUnit(1), siteUnit(2))
	w.run(one).want(200)
	w.pass(3 * time.Minute)
	w.run(two).want(200)
	w.pass(2 * time.Minute)
	w.get("/sharePointRestoreSessions/"+two+"/siteRestoreArtifacts").
		eq("value.0.error.code", "DuplicateArtifactRestoreRequest").eq("value.0.status", "failed").eq("value.1.status", "inProgress")
	w.pass(time.Hour)
	w.session(one).eq("status", "completed")
	w.session(two).eq("status", "completedWithError")
	// One after the other is fine.
	w.restored(siteKind(), "siteRestoreArtifacts", w.draft(siteKind(), "new", siteUnit(1))).eq("value.0.status", "succeeded")
}

func TestARestoreFailsWhenThePointWasPastItsRetention(t *testing.T) {
	w := restorable(t)
	oldest := w.get(pointQuery(mailboxUnit(1), soon, "protectionDateTime")).str("value.4.id")
	if !strings.Contains(oldest, "_14_") {
		t.Fatalf("%s is not kept for two weeks", oldest)
	}
	body := map[string]any{"mailboxRestoreArtifacts": []any{artifact(oldest, "new")}}
	// The point ends in 15 minutes; the first restore begins 5 minutes from now.
	// It can be asked for even later, but cannot be done.
	for _, tc := range []struct {
		wait time.Duration
		code any
	}{{3 * time.Minute, nil}, {time.Hour, "InvalidRestoreTime"}, {time.Hour, "InvalidRestoreTime"}} {
		id := w.do(http.MethodPost, "/exchangeRestoreSessions", body).want(201).str("id")
		w.pass(tc.wait)
		w.restored(exchangeKind(), "mailboxRestoreArtifacts", id).eq("value.0.error.code", tc.code)
	}
}

func TestFaultRulesFailRestores(t *testing.T) {
	w := restorable(t)
	id := w.draft(driveKind(), "new", driveUnit(1), driveUnit(2))
	w.fault(emulator.Fault{Operation: "POST /restoreSessions/{sessionId}/activate", Item: user(2), InBand: &emulator.InBandError{Code: "UnknownError"}})
	w.restored(driveKind(), "driveRestoreArtifacts", id).eq("value.0.error", nil).eq("value.1.error.code", "UnknownError")
	w.session(id).eq("status", "completedWithError")
	// A rule on the list changes what the list says, not what happened.
	w.fault(emulator.Fault{Operation: "GET /oneDriveForBusinessRestoreSessions/{sessionId}/driveRestoreArtifacts", Item: driveUnit(1), Times: 1, InBand: &emulator.InBandError{Code: "UnknownError"}})
	list := "/oneDriveForBusinessRestoreSessions/" + id + "/driveRestoreArtifacts"
	w.unchanged(func() { w.get(list).eq("value.0.status", "failed").eq("value.0.error.code", "UnknownError") })
	w.get(list).eq("value.0.status", "succeeded").eq("value.0.error", nil)
}

func TestWhatASearchFoundIsRestored(t *testing.T) {
	w := restorable(t)
	for range 3 {
		w.mail(emulator.Message{User: user(1), Subject: "lost", Received: start().Add(-time.Hour)})
	}
	found := w.search(map[string]any{
		"protectionUnitIds": []string{mailboxUnit(1)}, "artifactQuery": map[string]any{"queryExpression": "Subject -eq 'lost'"},
	}).want(200).eq("searchResults.0.artifactHitCount", 3)
	granular := func(unit, search string) any {
		item := artifact(w.newest(unit), "inPlace")
		item["searchResponseId"] = search
		return map[string]any{"granularMailboxRestoreArtifacts": []any{item}}
	}
	search := found.str("searchResponseId")
	w.do(http.MethodPost, "/exchangeRestoreSessions", granular(mailboxUnit(2), search)).wantError(400, "InvalidArtifactRequest")
	w.in(emulator.TenantC).do(http.MethodPost, "/exchangeRestoreSessions", granular(mailboxUnit(1), search)).wantError(400, "InvalidRestorePoint")
	r := w.do(http.MethodPost, "/exchangeRestoreSessions", granular(mailboxUnit(1), search), evolvedMembers()...).want(201)
	r.eq("restoreJobType", "granular").eq("granularMailboxRestoreArtifacts.0.status", "added").
		eq("granularMailboxRestoreArtifacts.0.searchResponseId", search)
	list := w.restored(exchangeKind(), "mailboxRestoreArtifacts", r.str("id"))
	list.eq("value.0.restoredItemCount", 3).eq("value.0.searchResponseId", search).eq("value.0.restoredFolderName", "Inbox")
	if !strings.Contains(string(list.raw), "#microsoft.graph.granularMailboxRestoreArtifact\"") {
		t.Errorf("no type in %s", list.raw)
	}
}

func TestAnItemIsRestoredIntoAFolderOfItsLibrary(t *testing.T) {
	w := restorable(t)
	k, b := siteKind(), w.browsing(siteBrowses, siteUnit(1))
	browse := siteBrowses + "/" + b
	site := w.do(http.MethodPost, browse+"/browse", nil).str("value.0.itemKey")
	unknown := site + "," + stranger + "," + stranger
	items := []any{}
	for _, key := range []string{w.key(browse, "Projects"), w.key(browse, "logo.png"), unknown} {
		items = append(items, map[string]any{"browseSessionId": b, "id": key})
	}
	id := w.do(http.MethodPost, k.sessions, map[string]any{k.granular: items}).want(201).str("id")
	w.pass(73 * time.Hour) // the browse session is over, the draft is not
	list := w.restored(k, k.granular, id)
	list.eq("value.0.status", "succeeded").eq("value.0.restoredItemPath", "Shared Documents/Restored "+id[:8]).
		eq("value.0.webUrl", "https://a.sharepoint.example/sites/site-1/Shared Documents/Projects").
		eq("value.0.restoredItemWebUrl", "https://a.sharepoint.example/sites/site-1/Shared Documents/Restored "+id[:8]+"/Projects").
		eq("value.1.restoredItemPath", "Site Assets/Restored "+id[:8]).
		eq("value.2.status", "failed").eq("value.2.restoredItemKey", "").eq("value.2.webUrl", "")
	w.session(id).eq("status", "completedWithError").eq("restoreJobType", "granular")
	// What was restored is backed up in its turn.
	w.pass(2 * time.Hour)
	b = w.browsing(siteBrowses, siteUnit(1))
	names, _, _ := w.browse(siteBrowses+"/"+b, map[string]any{"browseLocationItemKey": list.str("value.0.restoredItemKey"), "browseResourceType": "folder"})
	if fmt.Sprint(names) != "[Archive plan.xlsx]" {
		t.Errorf("restored %v", names)
	}
	// A whole site goes there as well.
	id = w.do(http.MethodPost, k.sessions, map[string]any{k.granular: []any{map[string]any{"browseSessionId": b, "id": site}}}).want(201).str("id")
	w.restored(k, k.granular, id).eq("value.0.status", "succeeded").
		eq("value.0.restoredItemWebUrl", "https://a.sharepoint.example/sites/site-1/Shared Documents/Restored "+id[:8])
}
