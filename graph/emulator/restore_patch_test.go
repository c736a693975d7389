package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func (w *world) patchSession(session string, items ...any) *reply {
	w.t.Helper()
	return w.do(http.MethodPatch, "/exchangeRestoreSessions/"+session, map[string]any{"mailboxRestoreArtifacts@delta": items})
}

func TestPatchSessionRefusals(t *testing.T) {
	w := restorable(t)
	id := w.draft(exchangeKind(), "new", mailboxUnit(1))
	p := func(n int) string { return w.newest(mailboxUnit(n)) }
	body := func(items ...any) map[string]any { return map[string]any{"mailboxRestoreArtifacts@delta": items} }
	many := []any{}
	for n := range 51 {
		many = append(many, remove(fmt.Sprint(n)))
	}
	for _, tc := range []struct {
		name string
		body any
		code string
	}{
		{"nothing", nil, "InvalidPatchRequest"},
		{"null", "null", "InvalidPatchRequest"},
		{"a list", "[]", "InvalidPatchRequest"},
		{"the list without @delta", map[string]any{"mailboxRestoreArtifacts": []any{}}, "InvalidPatchRequest"},
		{"granular mail, which an update does not have", map[string]any{"granularMailboxRestoreArtifacts@delta": []any{}}, "InvalidPatchRequest"},
		{"a delta that is no list", map[string]any{"mailboxRestoreArtifacts@delta": 1}, "InvalidPatchRequest"},
		{"an item that is null", body(nil), "InvalidPatchRequest"},
		{"an item with a misspelt property", body(map[string]any{"point": 1}), "InvalidPatchRequest"},
		{"a removal without an id", body(map[string]any{"@removed": map[string]any{}}), "InvalidPatchRequest"},
		{"a removal that is no object", body(map[string]any{"@removed": true, "id": "x"}), "InvalidPatchRequest"},
		{"a @contentId that is no text", body(map[string]any{"@contentId": 1}), "InvalidPatchRequest"},
		{"no delta", map[string]any{}, "InvalidArtifactRequest"},
		{"an empty delta", body(), "InvalidArtifactRequest"},
		{"a delta that is null", map[string]any{"mailboxRestoreArtifacts@delta": nil}, "InvalidArtifactRequest"},
		{"an unknown point", body(artifact("x", "new")), "InvalidRestorePoint"},
		{"an unknown destination", body(artifact(p(2), "x")), "InvalidPathType"},
		{"another destination than the session's", body(artifact(p(2), "inPlace")), "DifferentRestoreDestinationType"},
		{"two destinations", body(artifact(p(2), "inPlace"), artifact(p(3), "new")), "DifferentRestoreDestinationType"},
		{"the same mailbox twice", body(artifact(p(2), "new"), artifact(p(2), "new")), "DuplicateArtifactInList"},
		{"the same removal twice", body(remove("x"), remove("X")), "DuplicateArtifactInList"},
		{"a mailbox that is in the session", body(artifact(p(1), "new")), "DuplicateArtifactInList"},
		{"51 items", body(many...), "RestoreArtifactsLimitBreached"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() { w.do(http.MethodPatch, "/exchangeRestoreSessions/"+id, tc.body).wantError(400, tc.code) })
		})
	}
	w.patchSession(id, many[:50]...).want(200)
}

func TestADeltaAddsRemovesAndReplaces(t *testing.T) {
	w := restorable(t)
	id := w.draft(exchangeKind(), "new", mailboxUnit(1), mailboxUnit(2))
	list := "/exchangeRestoreSessions/" + id + "/mailboxRestoreArtifacts"
	first := w.get(list).str("value.0.id")
	missing := map[string]any{"@removed": map[string]any{"reason": "changed"}, "id": stranger, "@contentId": "mine"}
	r := w.patchSession(id, artifact(w.newest(mailboxUnit(3)), "new"), remove(strings.ToUpper(first)), missing).want(200)
	var items []any
	body := r.at("").(map[string]any)
	items, _ = body["mailboxRestoreArtifacts@delta"].([]any)
	if len(items) != 2 || body["id"] != id { // a removal that worked leaves no trace
		t.Fatalf("%d items: %s", len(items), r.raw)
	}
	if got := items[0].(map[string]any); got["status"] != "added" || got["id"] == "" {
		t.Errorf("added %v", got)
	}
	failed := items[1].(map[string]any)
	exception := failed["@Core.DataModificationException"].(map[string]any)
	if failed["@contentId"] != "mine" || failed["id"] != stranger || exception["failedOperation"] != "remove" ||
		exception["info"].(map[string]any)["code"] != "Invalid" || exception["responseCode"] != 409.0 {
		t.Errorf("failed %v", failed)
	}
	w.get(list).eq("value.0.restorePoint.id", w.newest(mailboxUnit(2))).eq("value.1.restorePoint.id", w.newest(mailboxUnit(3))).eq("value.2", nil)
	w.session(id).eq("restoreSessionArtifactCount.total", 2)

	// A delta can replace an artifact, whatever the order of its items is.
	second := w.get(list).str("value.0.id")
	w.patchSession(id, artifact(w.newest(mailboxUnit(2)), "new"), remove(second)).want(200)
	if got := w.get(list).str("value.1.id"); got == second || got == "" {
		t.Errorf("the artifact was not replaced: %s", got)
	}
	// And an empty draft takes another destination.
	w.patchSession(id, remove(w.get(list).str("value.0.id")), remove(w.get(list).str("value.1.id"))).want(200)
	w.patchSession(id, artifact(w.newest(mailboxUnit(2)), "inPlace")).want(200)
}

func TestAFaultRuleFailsOneItemOfADelta(t *testing.T) {
	w := restorable(t)
	id := w.draft(exchangeKind(), "new", mailboxUnit(1))
	w.fault(emulator.Fault{Operation: "PATCH /exchangeRestoreSessions/{sessionId}", Item: user(3), InBand: &emulator.InBandError{Code: "UnknownError"}})
	r := w.patchSession(id, artifact(w.newest(mailboxUnit(2)), "new"), artifact(w.newest(mailboxUnit(3)), "new")).want(200)
	if !strings.Contains(string(r.raw), `"code":"UnknownError"`) || !strings.Contains(string(r.raw), `"failedOperation":"add"`) {
		t.Errorf("answer %s", r.raw)
	}
	w.session(id).eq("restoreSessionArtifactCount.total", 2)
}

func TestAGranularDraftIsChangedByItemKeys(t *testing.T) {
	for _, tc := range []struct {
		kind           sessionKind
		browses, owner string
	}{{driveKind(), driveBrowses, user(1)}, {siteKind(), siteBrowses, emulator.SiteA1}} {
		t.Run(tc.browses, func(t *testing.T) {
			w := restorable(t)
			k, b := tc.kind, w.browsing(tc.browses, tc.kind.unit(1))
			one, two := w.key(tc.browses+"/"+b, "plan.xlsx"), w.key(tc.browses+"/"+b, "Reports")
			item := func(name, key string) map[string]any { return map[string]any{"browseSessionId": b, name: key} }
			id := w.do(http.MethodPost, k.sessions, map[string]any{k.granular: []any{item("id", one)}}, evolvedMembers()...).want(201).
				eq("restoreJobType", "granular").eq("restoreSessionArtifactCount.total", 1).str("id")
			patch := func(items ...any) *reply {
				return w.do(http.MethodPatch, k.sessions+"/"+id, map[string]any{k.granular + "@delta": items})
			}
			r := patch(item("itemKey", strings.ToUpper(two)), remove(one)).want(200)
			if !strings.Contains(string(r.raw), `"@removed":{"reason":"changed"}`) {
				t.Errorf("the removal is not shown: %s", r.raw)
			}
			list := w.get(k.sessions + "/" + id + "/" + k.granular).want(200)
			list.eq("value.0.id", two).eq("value.1", nil).eq("value.0.status", "added").eq("value.0.browseSessionId", b).
				eq("value.0.restorePointDateTime", "0001-01-01T00:00:00Z").eq("value.0.startDateTime", "0001-01-01T00:00:00Z").
				eq("value.0.completionDateTime", "0001-01-01T00:00:00Z").eq("value.0.webUrl", "").eq("value.0.restoredItemKey", "").
				eq("value.0.restoredItemPath", "").eq("value.0.restoredItemWebUrl", "")
			if got := list.str("value.0.siteId") + list.str("value.0.directoryObjectId"); got != tc.owner {
				t.Errorf("owner %s, want %s", got, tc.owner)
			}
			w.get(k.sessions+"/"+id+"/"+k.artifacts).want(200).eq("value", "[]")
			w.unchanged(func() {
				patch(item("id", two)).wantError(400, "DuplicateArtifactInList")
				patch(item("id", "x")).wantError(400, "InvalidArtifactRequest")
				patch(item("id", stranger+","+stranger)).wantError(400, "InvalidArtifactRequest")
				patch(map[string]any{"browseSessionId": b, "id": one, "itemKey": one}).wantError(400, "InvalidArtifactRequest")
				patch(map[string]any{"browseSessionId": "x", "id": one}).wantError(400, "InvalidArtifactRequest")
				patch(map[string]any{"id": one}).wantError(400, "InvalidArtifactRequest")
				w.do(http.MethodPatch, k.sessions+"/"+id, map[string]any{
					k.artifacts + "@delta": []any{artifact(w.newest(k.unit(2)), "new")},
				}).wantError(400, "InvalidArtifactRequest")
			})
		})
	}
}
