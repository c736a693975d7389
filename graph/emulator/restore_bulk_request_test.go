package emulator_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// bulk makes an empty draft and the body of a request that fits it.
func (w *world) bulk(k sessionKind, names []string, objects ...string) (path string, body map[string]any) {
	w.t.Helper()
	session := w.do(http.MethodPost, k.sessions, nil).want(201).str("id")
	return k.sessions + "/" + session + k.requests, map[string]any{
		"displayName": "all of them", k.names: names, k.objects: objects, "destinationType": "new",
	}
}

func sessionOf(path string) string { return strings.Split(path, "/")[2] }

func TestABulkRequestFillsItsSession(t *testing.T) {
	for _, k := range sessionKinds() {
		t.Run(k.requests, func(t *testing.T) {
			w := restorable(t)
			second := user(2)
			if k.names == "siteWebUrls" {
				second = emulator.SiteA2
			}
			path, body := w.bulk(k, []string{k.name, strings.ToUpper(k.name)}, second, k.object)
			body["protectionTimePeriod"] = map[string]any{"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-01-02T00:00:00Z"}
			body["restorePointPreference"], body["tags"] = "oldest", "fastRestore"
			r := w.do(http.MethodPost, path, body).want(201)
			r.eq("status", "active").eq(k.names, "[]").eq(k.objects, "[]").eq("displayName", "all of them").eq("tags", "fastRestore").
				eq("restorePointPreference", "oldest").eq("protectionTimePeriod.endDateTime", "2030-01-02T00:00:00.0000000Z").eq("createdBy.user.id", user(1))
			id, session := r.str("id"), sessionOf(path)
			w.session(session).eq("restoreJobType", "bulk").eq("restoreSessionArtifactCount.total", 0)
			w.unchanged(func() {
				w.do(http.MethodDelete, path+"/"+id, nil).wantError(403, "InvalidStateForBulkRequestDeletion")
			})
			// It stays active until its session is activated, however long that takes.
			w.unchanged(func() { w.pass(24 * time.Hour) })
			w.get(path+"/"+id).want(200).eq("status", "active")
			w.run(session).want(200)
			w.get(path+"/"+id).want(200).eq("status", "active")
			w.pass(2 * time.Minute)
			w.get(path+"/"+id).want(200).eq("status", "completed").eq(k.names+".0", k.name).eq(k.objects+".0", second).eq("error", nil)
			w.get(path).want(200).eq("value.0.id", id).eq("value.0."+k.names, nil).eq("value.0."+k.objects, nil).eq("value.1", nil)
			w.session(session).eq("restoreSessionArtifactCount.total", 2) // named thrice, and once
			w.pass(12 * time.Minute)
			list := w.get(k.sessions + "/" + session + "/" + k.artifacts).want(200)
			list.eq("value.0.status", "succeeded").eq("value.0.destinationType", "new").eq("value.0.restorePoint.tags", "fastRestore").eq("value.2", nil)
			if at := list.str("value.0.restorePoint.protectionDateTime"); !strings.HasPrefix(at, "2030-01-01T00:") {
				t.Errorf("restored from %s", at)
			}
			w.session(session).eq("status", "completed")
			// Deleting it leaves what ran.
			w.do(http.MethodDelete, path+"/"+id, nil).want(204)
			w.get(path+"/"+id).wantError(404, "BulkRestoreArtifactsNotFound")
			w.session(session).eq("restoreJobType", "bulk").eq("restoreSessionArtifactCount.total", 2)
		})
	}
}

func TestWhatABulkRequestCannotResolveStandsInItsError(t *testing.T) {
	for _, k := range sessionKinds() {
		t.Run(k.requests, func(t *testing.T) {
			w := restorable(t)
			notBackedUp := user(100)
			if k.names == "siteWebUrls" {
				notBackedUp = emulator.SiteID(emulator.TenantA, 40)
			}
			path, body := w.bulk(k, []string{k.name, k.unknown}, notBackedUp)
			id := w.do(http.MethodPost, path, body).want(201).str("id")
			w.run(sessionOf(path)).want(200)
			w.pass(2 * time.Minute)
			w.get(path+"/"+id).eq("status", "completedWithErrors").eq("error.code", "BulkRestoreArtifactsNotResolved").
				eq("error.details.0.code", "UserNotBackedup").eq("error.details.0.target", k.unknown).
				eq("error.details.1.target", notBackedUp).eq("error.details.2", nil)
			w.session(sessionOf(path)).eq("restoreSessionArtifactCount.total", 1)
		})
	}
}

func TestABulkSessionActivatesOnceItsRequestIsDone(t *testing.T) {
	w := restorable(t)
	k := exchangeKind()
	for _, tc := range []struct {
		name, status string
	}{{k.name, "completed"}, {k.unknown, "failed"}} {
		path, body := w.bulk(k, []string{tc.name})
		w.do(http.MethodPost, path, body).want(201)
		w.run(sessionOf(path)).want(200)
		w.pass(90 * time.Second)
		w.session(sessionOf(path)).eq("status", "activating")
		w.pass(12 * time.Minute)
		w.session(sessionOf(path)).eq("status", tc.status)
	}
	// The request may also be the faster one.
	w = restorable(t, func(o *emulator.Options) { o.Lengths.Restore.Resolve = time.Second })
	path, body := w.bulk(k, []string{k.name})
	w.do(http.MethodPost, path, body).want(201)
	w.run(sessionOf(path)).want(200)
	w.pass(time.Second)
	w.get(k.sessions+"/"+sessionOf(path)+"/"+k.artifacts).eq("value.0.status", "scheduling")
	w.pass(12 * time.Minute)
	w.session(sessionOf(path)).eq("status", "completed")
}

func TestBulkRequestsAndOtherArtifactsExcludeEachOther(t *testing.T) {
	w := restorable(t)
	k := exchangeKind()
	path, body := w.bulk(k, []string{k.name})
	w.do(http.MethodPost, path, body).want(201)
	manual := w.draft(k, "new", mailboxUnit(2))
	running := w.draft(k, "new", mailboxUnit(3))
	w.run(running).want(200)
	w.unchanged(func() {
		w.do(http.MethodPost, path, body).wantError(403, "RestoreSessionActionNotAllowed")
		w.do(http.MethodPost, k.sessions+"/"+manual+k.requests, body).wantError(403, "RestoreSessionActionNotAllowed")
		w.do(http.MethodPost, k.sessions+"/"+running+k.requests, body).wantError(403, "RestoreSessionActionNotAllowed")
		w.patchSession(sessionOf(path), artifact(w.newest(mailboxUnit(2)), "new")).wantError(403, "RestoreSessionActionNotAllowed")
	})
	// A draft gets rid of its request only with itself.
	w.pass(time.Hour)
	id := w.get(path).str("value.0.id")
	w.unchanged(func() { w.do(http.MethodDelete, path+"/"+id, nil).wantError(403, "InvalidStateForBulkRequestDeletion") })
	// A draft that is deleted takes its request along.
	w.pass(time.Hour)
	path, body = w.bulk(k, []string{k.name})
	w.do(http.MethodPost, path, body).want(201)
	w.do(http.MethodDelete, "/restoreSessions/"+sessionOf(path), nil).want(204)
	w.unchanged(func() { w.pass(time.Hour) })
}

func TestBulkRequestRefusals(t *testing.T) {
	w := restorable(t)
	for _, k := range sessionKinds() {
		names := "BulkRestoreInvalidCreateRequestUserEmail"
		bad := []any{"", "x", "@x", "x@", "a@b@c", "a b@c", nil}
		if k.names == "siteWebUrls" {
			names = "BulkRestoreInvalidCreateRequestSiteUrl"
			bad = []any{"", "x", "http://a.example/sites/x", "https://", "https://u:p@a.example/", "https://%zz", nil}
		}
		path, body := w.bulk(k, []string{k.name})
		with := func(name string, value any) map[string]any {
			changed := map[string]any{}
			maps.Copy(changed, body)
			changed[name] = value
			return changed
		}
		const invalid = "BulkRestoreInvalidCreateRequest"
		cases := []struct {
			name string
			body any
			code string
		}{
			{"nothing", nil, invalid}, {"null", "null", invalid}, {"a list", "[]", invalid}, {"broken JSON", "{", invalid},
			{"a misspelt property", with("displayname", "x"), invalid},
			{"nobody", with(k.names, nil), invalid},
			{"names that are no list", with(k.names, "x"), invalid},
			{"a name that is a number", with(k.names, []any{1}), invalid},
			{"a malformed object id", with(k.objects, []any{"x"}), invalid},
			{"an object id that is null", with(k.objects, []any{nil}), invalid},
			{"protection units, which are not implemented", with("protectionUnitIds", []any{stranger}), invalid},
			{"no destination", with("destinationType", nil), invalid},
			{"a name of its own that is a number", with("displayName", 1), invalid},
			{"a period that ends before it starts", with("protectionTimePeriod", map[string]any{"startDateTime": "2030-01-02T00:00:00Z", "endDateTime": "2030-01-01T00:00:00Z"}), invalid},
			{"an unknown preference", with("restorePointPreference", "x"), invalid},
			{"an unknown tag", with("tags", "x"), invalid},
			{"10,001 resources", with(k.objects, many(10_000, k.object)), "BulkRestoreRestorationResourcesCountExceedsLimit"},
		}
		for _, name := range bad {
			cases = append(cases, struct {
				name string
				body any
				code string
			}{fmt.Sprintf("the name %v", name), with(k.names, []any{k.name, name}), names})
		}
		for _, tc := range cases {
			t.Run(k.names+": "+tc.name, func(t *testing.T) {
				w := w.within(t)
				w.unchanged(func() { w.do(http.MethodPost, path, tc.body).wantError(400, tc.code) })
			})
		}
		w.do(http.MethodPost, path, with(k.objects, many(9_999, k.object))).want(201)
	}
}

func many(n int, s string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

func TestBulkRequestsRefuseBadAndUnknownIds(t *testing.T) {
	w := restorable(t)
	for i, k := range sessionKinds() {
		path, body := w.bulk(k, []string{k.name})
		id := w.do(http.MethodPost, path, body).want(201).str("id")
		other := sessionKinds()[(i+1)%3]
		w.unchanged(func() {
			for _, op := range []struct{ method, end string }{{"GET", ""}, {"POST", ""}, {"GET", "/" + id}, {"DELETE", "/" + id}} {
				w.do(op.method, k.sessions+"/x"+k.requests+op.end, body).wantError(400, "InvalidBulkRestoreArtifactId")
				w.do(op.method, k.sessions+"/"+stranger+k.requests+op.end, body).wantError(404, "RestoreSessionNotFound")
				w.do(op.method, other.sessions+"/"+sessionOf(path)+other.requests+op.end, body).wantError(404, "RestoreSessionNotFound")
				w.in(emulator.TenantC).do(op.method, path+op.end, body).wantError(404, "RestoreSessionNotFound")
			}
			for _, method := range []string{"GET", "DELETE"} {
				w.do(method, path+"/x", nil).wantError(400, "InvalidBulkRestoreArtifactId")
				w.do(method, path+"/"+stranger, nil).wantError(404, "BulkRestoreArtifactsNotFound")
			}
			w.get(path+"?$top=1").wantError(400, "BadRequest")
		})
	}
}
