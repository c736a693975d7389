package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestCreateSessionRefusals(t *testing.T) {
	w := restorable(t)
	p := func(n int) string { return w.newest(mailboxUnit(n)) }
	body := func(items ...any) map[string]any { return map[string]any{"mailboxRestoreArtifacts": items} }
	many := []any{}
	for range 51 {
		many = append(many, artifact(p(1), "new"))
	}
	future := strings.Replace(p(1), strings.Split(p(1), "_")[1], "2000000000", 1)
	for _, tc := range []struct {
		name   string
		body   any
		status int
		code   string
	}{
		{"broken JSON", "{", 400, "InvalidArtifactRequest"},
		{"a list", "[]", 400, "InvalidArtifactRequest"},
		{"a misspelt property", map[string]any{"mailboxArtifacts": []any{}}, 400, "InvalidArtifactRequest"},
		{"artifacts of another workload", map[string]any{"driveRestoreArtifacts": []any{}}, 400, "InvalidArtifactRequest"},
		{"an empty list", map[string]any{"mailboxRestoreArtifacts": []any{}}, 400, "InvalidArtifactRequest"},
		{"a list that is null", map[string]any{"mailboxRestoreArtifacts": nil}, 400, "InvalidArtifactRequest"},
		{"an empty granular list", map[string]any{"granularMailboxRestoreArtifacts": []any{}}, 400, "InvalidArtifactRequest"},
		{"standard and granular artifacts", map[string]any{"mailboxRestoreArtifacts": []any{artifact(p(1), "new")}, "granularMailboxRestoreArtifacts": []any{}}, 400, "InvalidArtifactRequest"},
		{"an artifact that is null", body(nil), 400, "InvalidArtifactRequest"},
		{"an artifact with a misspelt property", body(map[string]any{"restorepoint": 1}), 400, "InvalidArtifactRequest"},
		{"an artifact without a point", body(map[string]any{"destinationType": "new"}), 400, "InvalidRestorePoint"},
		{"a malformed point", body(artifact("x", "new")), 400, "InvalidRestorePoint"},
		{"a point that is yet to come", body(artifact(future, "new")), 400, "InvalidRestorePoint"},
		{"a point between two", body(artifact(mailboxUnit(1)+"_1890000001_14_1", "new")), 400, "InvalidRestorePoint"},
		{"a point with another retention", body(artifact(strings.Replace(p(1), "_14_", "_365_", 1), "new")), 400, "InvalidRestorePoint"},
		{"a point of a drive", body(artifact(w.newest(driveUnit(1)), "new")), 400, "InvalidRestorePoint"},
		{"a point of an unknown unit", body(artifact(stranger+"_1890000001_14_1", "new")), 400, "InvalidRestorePoint"},
		{"an artifact without a destination", body(map[string]any{"restorePoint": map[string]any{"id": p(1)}}), 400, "InvalidPathType"},
		{"an unknown destination", body(artifact(p(1), "elsewhere")), 400, "InvalidPathType"},
		{"two destinations", body(artifact(p(1), "new"), artifact(p(2), "inPlace")), 400, "DifferentRestoreDestinationType"},
		{"the same mailbox twice", body(artifact(p(1), "new"), artifact(p(1), "new")), 400, "DuplicateArtifactInList"},
		{"51 artifacts", body(many...), 413, "RestoreArtifactsLimitBreached"},
		{"a search that was never made", map[string]any{"granularMailboxRestoreArtifacts": []any{map[string]any{
			"restorePoint": map[string]any{"id": p(1)}, "destinationType": "new", "searchResponseId": "x"}}}, 400, "InvalidArtifactRequest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() { w.do(http.MethodPost, "/exchangeRestoreSessions", tc.body).wantError(tc.status, tc.code) })
			w.get("/restoreSessions").eq("value", "[]")
		})
	}
}

func TestCreateSessionAccepts(t *testing.T) {
	w := restorable(t)
	for _, k := range sessionKinds() {
		for _, body := range []any{nil, "{}", map[string]any{"@odata.type": "#microsoft.graph.restoreSessionBase"}} {
			w.do(http.MethodPost, k.sessions, body).want(201).eq("status", "draft").eq("restoreJobType", "standard").
				eq("restoreSessionArtifactCount.total", 0).eq("createdBy.user.id", user(1)).eq("error", nil)
		}
		two := []any{artifact(w.newest(k.unit(1)), "inPlace"), map[string]any{ // the older form
			"restorePoint": map[string]any{"@odata.id": "https://x/restorePoints('" + w.newest(k.unit(2)) + "')"}, "destinationType": "inPlace"}}
		id := w.do(http.MethodPost, k.sessions, map[string]any{k.artifacts: two}).want(201).
			eq("restoreSessionArtifactCount.total", 2).str("id")
		w.get(k.sessions+"/"+id+"/"+k.artifacts).want(200).eq("value.0.status", "added").
			eq("value.0.restorePoint.id", w.newest(k.unit(1))).eq("value.1.restorePoint.id", w.newest(k.unit(2)))
	}
	items := []any{} // 50 of different mailboxes
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{
		{Workload: emulator.Exchange, Units: 50, ProtectedFor: emulator.Duration(time.Hour)}}}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 51; n++ {
		if n != emulator.UserNoLicense {
			items = append(items, artifact(w.newest(mailboxUnit(n)), "new"))
		}
	}
	w.do(http.MethodPost, "/exchangeRestoreSessions", map[string]any{"mailboxRestoreArtifacts": items}).want(201).
		eq("restoreSessionArtifactCount.total", 50)
}

func TestASessionRunsThroughItsStates(t *testing.T) {
	for _, k := range sessionKinds() {
		t.Run(k.sessions, func(t *testing.T) {
			w := restorable(t)
			id := w.draft(k, "new", k.unit(1), k.unit(2))
			is := func(session, artifact string, counts ...int) {
				t.Helper()
				w.session(id).eq("status", session).
					eq("restoreSessionArtifactCount", map[string]any{"total": 2, "completed": counts[0], "inProgress": counts[1], "failed": 0})
				w.get(k.sessions+"/"+id+"/"+k.artifacts).want(200).eq("value.0.status", artifact).eq("value.1.status", artifact)
			}
			is("draft", "added", 0, 0)
			w.run(id).want(200).eq("status", "activating")
			is("activating", "scheduling", 0, 0)
			w.pass(time.Minute)
			is("active", "scheduled", 0, 0)
			w.pass(time.Minute)
			is("active", "inProgress", 0, 2)
			w.pass(10 * time.Minute)
			is("completed", "succeeded", 2, 0)
			w.session(id).eq("completedDateTime", "2030-01-02T03:16:05.6000000Z")
			list := w.get(k.sessions + "/" + id + "/" + k.artifacts)
			list.eq("value.0.startDateTime", "2030-01-02T03:06:05.6000000Z").eq("value.0.completionDateTime", "2030-01-02T03:16:05.6000000Z").
				eq("value.0.error", nil)
			// A year later the artifacts are gone, the session is not.
			w.pass(365*24*time.Hour - time.Second)
			w.get(k.sessions+"/"+id+"/"+k.artifacts).eq("value.1.status", "succeeded")
			w.pass(time.Second)
			w.get(k.sessions+"/"+id+"/"+k.artifacts).eq("value", "[]")
			w.session(id).eq("restoreSessionArtifactCount.completed", 2)
		})
	}
}

func TestSessionOperationsRefuseBadAndUnknownIds(t *testing.T) {
	w := restorable(t)
	mail := w.draft(exchangeKind(), "new", mailboxUnit(1))
	operations := []struct{ method, path, wrong string }{
		{"GET", "/restoreSessions/%s", ""}, {"DELETE", "/restoreSessions/%s", ""}, {"POST", "/restoreSessions/%s/activate", ""},
		{"PATCH", "/exchangeRestoreSessions/%s", ""}, {"PATCH", "/oneDriveForBusinessRestoreSessions/%s", mail}, {"PATCH", "/sharePointRestoreSessions/%s", mail},
		{"GET", "/exchangeRestoreSessions/%s/mailboxRestoreArtifacts", ""}, {"GET", "/oneDriveForBusinessRestoreSessions/%s/driveRestoreArtifacts", mail},
		{"GET", "/sharePointRestoreSessions/%s/siteRestoreArtifacts", mail}, {"GET", "/oneDriveForBusinessRestoreSessions/%s/granularDriveRestoreArtifacts", mail},
		{"GET", "/sharePointRestoreSessions/%s/granularSiteRestoreArtifacts", mail},
	}
	for _, op := range operations {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() {
				for _, bad := range []string{"x", "%20", stranger[:35]} {
					w.do(op.method, strings.Replace(op.path, "%s", bad, 1), nil).wantError(400, "InvalidRestoreSessionId")
				}
				w.do(op.method, strings.Replace(op.path, "/%s", "('')", 1), nil).wantError(400, "InvalidRestoreSessionId")
				w.do(op.method, fmt.Sprintf(op.path, stranger), nil).wantError(404, "RestoreSessionNotFound")
				w.in(emulator.TenantC).do(op.method, fmt.Sprintf(op.path, mail), nil).wantError(404, "RestoreSessionNotFound")
				if op.wrong != "" {
					w.do(op.method, fmt.Sprintf(op.path, op.wrong), nil).wantError(404, "RestoreSessionNotFound")
				}
			})
		})
	}
}

func TestOnlyDraftsAreChangedDeletedAndActivated(t *testing.T) {
	for _, tc := range []struct {
		state string
		after time.Duration
	}{{"activating", 0}, {"active", time.Minute}, {"completed", 12 * time.Minute}} {
		t.Run(tc.state, func(t *testing.T) {
			w := restorable(t)
			id := w.draft(exchangeKind(), "new", mailboxUnit(1))
			w.run(id).want(200)
			w.pass(tc.after)
			w.session(id).eq("status", tc.state)
			w.unchanged(func() {
				w.run(id).wantError(403, "RestoreSessionActionNotAllowed")
				w.do(http.MethodDelete, "/restoreSessions/"+id, nil).wantError(403, "RestoreSessionActionNotAllowed")
				w.do(http.MethodPatch, "/exchangeRestoreSessions/"+id, map[string]any{
					"mailboxRestoreArtifacts@delta": []any{artifact(w.newest(mailboxUnit(2)), "new")},
				}).wantError(403, "RestoreSessionActionNotAllowed")
			})
		})
	}
	w := restorable(t)
	id := w.do(http.MethodPost, "/exchangeRestoreSessions", nil).want(201).str("id")
	w.unchanged(func() { w.run(id).wantError(403, "RestoreSessionActionNotAllowed") }) // empty
	w.do(http.MethodDelete, "/restoreSessions/"+id, nil).want(204)
	w.do(http.MethodDelete, "/restoreSessions/"+id, nil).wantError(404, "RestoreSessionNotFound")
	w.fault(emulator.Fault{Operation: "DELETE /restoreSessions/{sessionId}", Code: "IncompleteArtifactDeletion", Times: 1})
	id = w.draft(exchangeKind(), "new", mailboxUnit(1))
	w.unchanged(func() {
		w.do(http.MethodDelete, "/restoreSessions/"+id, nil).wantError(500, "IncompleteArtifactDeletion")
	})
	w.do(http.MethodDelete, "/restoreSessions/"+id, nil).want(204)
}

func TestTwentyFiveSessionsAreActiveAtOnce(t *testing.T) {
	w := restorable(t)
	var ids []string
	for n := range 26 {
		k := sessionKinds()[n%3]
		ids = append(ids, w.draft(k, "new", k.unit(10+n/3)))
	}
	for _, id := range ids[:25] {
		w.run(id).want(200)
	}
	w.unchanged(func() { w.run(ids[25]).wantError(500, "TooManyActiveRestoreSessions") })
	w.session(ids[25]).eq("status", "draft")
	w.pass(12*time.Minute - time.Second)
	w.run(ids[25]).wantError(500, "TooManyActiveRestoreSessions")
	w.pass(time.Second)
	w.run(ids[25]).want(200)
	// Other tenants have their own 25.
	w.in(emulator.TenantC).get("/restoreSessions").want(200).eq("value", "[]")
}

func TestSessionsAndArtifactsArePaged(t *testing.T) {
	w := restorable(t)
	var want []string
	for n := range 5 {
		k := sessionKinds()[n%3]
		want = append(want, w.draft(k, "new", k.unit(1)))
	}
	w.do(http.MethodDelete, "/restoreSessions/"+want[2], nil).want(204)
	want = append(want[:2], want[3:]...)
	got, pages := w.walk("/restoreSessions?$top=2")
	if fmt.Sprint(got) != fmt.Sprint(want) || pages != 2 {
		t.Errorf("%v on %d pages, want %v on 2", got, pages, want)
	}
	if raw := string(w.get("/restoreSessions").raw); !strings.Contains(raw, `"@odata.type":"#microsoft.graph.oneDriveForBusinessRestoreSession"`) {
		t.Errorf("no types in %s", raw)
	}
	units := []string{}
	for n := 1; n <= 7; n++ {
		units = append(units, siteUnit(n))
	}
	id := w.draft(siteKind(), "new", units...)
	got, pages = w.walk("/sharePointRestoreSessions/" + id + "/siteRestoreArtifacts?$top=3")
	if len(got) != 7 || pages != 3 {
		t.Errorf("%d artifacts on %d pages, want 7 on 3", len(got), pages)
	}
	w.get("/sharePointRestoreSessions/"+id+"/granularSiteRestoreArtifacts?$top=3").wantError(400, "BadRequest")
	w.get("/sharePointRestoreSessions/"+id+"/siteRestoreArtifacts?$filter=x").wantError(400, "BadRequest")
	w.get("/restoreSessions?$orderby=x").wantError(400, "BadRequest")
}

func TestTheLedgerHasEveryStepOfARestore(t *testing.T) {
	w := restorable(t)
	id := w.draft(driveKind(), "new", driveUnit(1))
	w.run(id).want(200)
	w.pass(time.Hour)
	var got []string
	for _, e := range w.e.Ledger(0).Entries {
		if e.Kind == emulator.EntryChange {
			got = append(got, fmt.Sprintf("%s %s>%s %v", e.Resource, e.From, e.To, e.Cause > 0))
		}
	}
	const session, item = "oneDriveForBusinessRestoreSession ", "driveRestoreArtifact "
	want := []string{
		session + ">draft true", item + ">added true",
		session + "draft>activating true", item + "added>scheduling true",
		session + "activating>active false", item + "scheduling>scheduled false", item + "scheduled>inProgress false",
		"site >created false", item + "inProgress>succeeded false", session + "active>completed false",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
