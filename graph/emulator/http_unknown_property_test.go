package emulator_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// withProperty returns copies of a body, in each of which another one of its
// objects has one more property. No text of the body may have a brace.
func withProperty(t *testing.T, body any, property string) (bodies []string) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i, r := range text {
		if r != '{' {
			continue
		}
		rest := text[i+1:]
		if rest[0] != '}' {
			rest = "," + rest
		}
		bodies = append(bodies, text[:i+1]+property+rest)
	}
	return bodies
}

// object is a JSON object.
type object = map[string]any

// bodied are the operations with a body, each with a good one: what it must
// hold so that each of its objects is read.
func bodied(w *world) map[string]struct {
	path string
	body any
} {
	policy, jobs := w.policyOf(emulator.Exchange), "/mailboxProtectionUnitsBulkAdditionJobs"
	kind := exchangeKind()
	draft := w.draft(kind, "new", mailboxUnit(1))
	empty := w.do(http.MethodPost, kind.sessions, nil).want(201).str("id")
	browse := w.browsing("/oneDriveForBusinessBrowseSessions", driveUnit(2))
	end := object{"endDateTime": w.e.Clock().Now().Format(time.RFC3339)}
	group := object{"mailboxExpression": "(memberOf -any (group.id -in ['" + emulator.GroupID(emulator.TenantA, 3) + "']))"}
	rules := "/exchangeProtectionPolicies/" + policy + "/mailboxInclusionRules"
	dynamic := w.do(http.MethodPost, rules, object{"mailboxExpression": group["mailboxExpression"], "isAutoApplyEnabled": true}).want(201).str("id")
	w.pass(10 * time.Minute)
	return map[string]struct {
		path string
		body any
	}{
		"PATCH the mail settings": {"/emailNotificationsSetting", object{"isEnabled": true, "additionalEvents": "none",
			"recipients": object{"role": "custom", "customRecipients": []any{object{"email": "a@b.example"}}}}},
		"PATCH a policy":       {"/exchangeProtectionPolicies/" + policy, delta(add(user(31)), remove(mailboxUnit(7)))},
		"PATCH a rule":         {rules + "/" + dynamic, group},
		"PATCH a session":      {kind.sessions + "/" + draft, object{kind.artifacts + "@delta": []any{artifact(w.newest(mailboxUnit(2)), "new")}}},
		"PATCH out of a draft": {kind.sessions + "/" + draft, object{kind.artifacts + "@delta": []any{remove(draft)}}},

		"POST enable":           {"/enable", object{"appOwnerTenantId": emulator.TenantA}},
		"POST an app":           {"/serviceApps", object{}},
		"POST a rule":           {rules, group},
		"POST a job":            {"/exchangeProtectionPolicies/" + policy + jobs, object{"displayName": "j", "mailboxes": []any{"bruno.berg.1@a.example"}}},
		"POST a session":        {kind.sessions, object{kind.artifacts: []any{artifact(w.newest(mailboxUnit(3)), "new")}}},
		"POST a bulk request":   {kind.sessions + "/" + empty + kind.requests, object{"displayName": "r", "mailboxes": []any{kind.name}, "protectionTimePeriod": end, "destinationType": "new"}},
		"POST a search":         {"/restorePoints/search", object{"protectionUnitIds": []any{mailboxUnit(1)}, "protectionTimePeriod": end, "artifactQuery": object{"queryExpression": "Sender -eq 'a@b.example'", "artifactType": "message"}}},
		"POST a browse session": {"/oneDriveForBusinessBrowseSessions", object{"restorePointId": w.fastPoint(driveUnit(1))}},
		"POST browse":           {"/oneDriveForBusinessBrowseSessions/" + browse + "/browse", object{}},
	}
}

// policyOf is the id of the seeded policy of tenant A for a workload.
func (w *world) policyOf(workload emulator.Workload) string {
	return emulator.SeededPolicyID(emulator.TenantA, workload)
}

func TestNoBodyMayHaveAnUnknownProperty(t *testing.T) {
	w := restorable(t)
	for name, operation := range bodied(w) {
		t.Run(name, func(t *testing.T) {
			w := w.within(t)
			method := strings.Fields(name)[0]
			for _, body := range withProperty(t, operation.body, `"misspelt":1`) {
				w.unchanged(func() {
					if r := w.do(method, operation.path, body); r.status != http.StatusBadRequest {
						t.Errorf("%s is answered with %d %s", body, r.status, r.raw)
					}
				})
			}
			// The letters of a name count.
			if name == "PATCH the mail settings" {
				w.do(method, operation.path, `{"IsEnabled":true}`).wantError(400, "BadRequest")
			}
			for _, body := range withProperty(t, operation.body, `"@odata.type":"#microsoft.graph.any"`) {
				if r := w.do(method, operation.path, body); r.status == http.StatusBadRequest && !strings.Contains(string(r.raw), "Duplicate") {
					t.Errorf("the annotation in %s is answered with %d %s", body, r.status, r.raw)
				}
			}
		})
	}
}

func TestWhatTakesNoBodyRefusesProperties(t *testing.T) {
	w := restorable(t)
	policy := w.policyOf(emulator.Exchange)
	session := w.draft(exchangeKind(), "new", mailboxUnit(1))
	rules := "/exchangeProtectionPolicies/" + policy + "/mailboxInclusionRules/"
	for _, path := range []string{
		"/protectionPolicies/" + policy + "/activate", "/protectionPolicies/" + policy + "/deactivate",
		"/protectionUnits/" + mailboxUnit(1) + "/offboard", "/protectionUnits/" + mailboxUnit(1) + "/cancelOffboard",
		"/serviceApps/" + emulator.DefaultApp + "/deactivate", "/restoreSessions/" + session + "/activate",
		rules + stranger + "/run", rules + stranger + "/deleteAndUnprotect",
	} {
		for _, body := range []string{`{"misspelt":1}`, `[]`, `x`, `{} {}`} {
			w.unchanged(func() {
				if r := w.do(http.MethodPost, path, body); r.status != http.StatusBadRequest {
					t.Errorf("%s with %s is answered with %d %s", path, body, r.status, r.raw)
				}
			})
		}
	}
	for _, body := range []string{"", " ", "null", "{}", `{"@odata.type":"#microsoft.graph.any"}`} {
		w.do(http.MethodPost, "/protectionUnits/"+mailboxUnit(1)+"/offboard", body).wantError(403, "OperationNotAllowed")
	}
}
