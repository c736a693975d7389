package emulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		"", " ", "id eq ''", "status eq 'protected'", "status eq protected and (id eq '" + UnitCManual + "' or email eq 'a''b')",
		"((((", "'", "or or", "and eq eq", "siteId eq 'x' or directoryObjectId eq 'y'", "displayName eq '\xff'", "a\x00b",
	} {
		f.Add(text)
	}
	sets := []*unitSet{newUnitSet(Exchange), newUnitSet(SharePoint)}
	tenant := New(Options{Stopped: true}).tenant(TenantA)
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseFilter(text, sets)
		switch {
		case err != nil:
			if err.status != http.StatusBadRequest || err.code == "" || err.message == "" {
				t.Errorf("%q: %v", text, err)
			}
		case parsed == nil:
			if strings.TrimSpace(text) != "" {
				t.Errorf("%q was taken for no filter", text)
			}
		default:
			for _, v := range []*unitView{{ID: UnitCManual, Status: unitProtected}, {}} {
				parsed.Matches(func(x *filterComparison) bool { return x.holds(v) })
			}
			for _, s := range sets {
				pinned(tenant, parsed, s)
			}
		}
	})
}

// fuzzed asks an emulator directly and checks what every answer must be.
func fuzzed(t *testing.T, e *Emulator, method, target, body string) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return // no server would hand it on
	}
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL, r.RequestURI = u, target
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code < 200 || w.Code > 599 {
		t.Errorf("%s %s: status %d", method, target, w.Code)
	}
	if w.Code == http.StatusNoContent {
		return
	}
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s: %d with a body that is no JSON: %q", method, target, w.Code, w.Body)
	}
	if w.Code >= 500 {
		t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
}

func FuzzRequest(f *testing.F) {
	const root = "/v1.0/solutions/backupRestore"
	for _, seed := range []struct{ method, target, body string }{
		{"GET", root, ""},
		{"GET", root + "/protectionPolicies('" + PolicyC + "')", ""},
		{"POST", root + "/exchangeProtectionPolicies/" + PolicyC + "/mailboxInclusionRules", `{"mailboxExpression":"(memberOf -any (group.id -in ['` + GroupA1 + `']))"}`},
		{"POST", root + "/exchangeProtectionPolicies/" + PolicyC + "/mailboxProtectionUnitsBulkAdditionJobs", `{"mailboxes":["a.b.1@c"],"directoryObjectIds":["x"]}`},
		{"POST", root + "/serviceApps/" + DefaultApp + "/activate", `{"effectiveDateTime":"2030-01-01T00:00:00Z"}`},
		{"POST", root + "/protectionUnits/" + UnitCManual + "/offboard", ""},
		{"POST", "/_emulator/groups", `{"group":"` + GroupA1 + `","add":["` + UserA1 + `"]}`},
		{"GET", root + "/protectionUnits?$top=3&$skiptoken=AAAA", ""},
		{"GET", root + "/protectionUnits/microsoft.graph.mailboxProtectionUnit?$filter=status%20eq%20protected", ""},
		{"POST", root + "/enable", `{"appOwnerTenantId":"` + TenantA + `"}`},
		{"PATCH", root + "/emailNotificationsSetting", `{"recipients":{"customRecipients":[{"email":"a@b"}]}}`},
		{"POST", "/_emulator/clock", `{"advance":"1h"}`},
		{"POST", "/_emulator/seed", `{"tenant":"` + TenantA + `"}`},
		{"GET", "/_emulator/ledger?since=1", ""},
		{"POST", "/v1.0/$batch", `{"requests":[{"id":"1","method":"GET","url":"/solutions/backupRestore?$filter=a b"},{"id":"2","method":"POST","url":"solutions/backupRestore/enable","body":"e30","headers":{"Content-Type":"text/plain"},"dependsOn":["1"]}]}`},
		{"GET", root + "/exchangeProtectionPolicies?$expand=mailboxProtectionUnits($select=id;$top=1),mailboxInclusionRules&$count=true&$select=id", ""},
		{"HEAD", root + "/protectionUnits/$count", ""},
		{"GET", root + "/browseSessions/x/browse(nextFetchToken='AAAA')", ""},
		{"GET", root + "/protectionPolicies/" + PolicyC + "/graph.exchangeProtectionPolicy/mailboxProtectionUnits/" + UnitCManual, ""},
		{"DELETE", root + "/a/%2e%2e/('", "\x00"},
	} {
		f.Add(seed.method, seed.target, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		switch method {
		case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		default:
			return
		}
		e := New(Options{DefaultTenant: TenantC, Stopped: true, LedgerSize: 100})
		if strings.HasPrefix(target, "/_emulator/faults") {
			return // a rule may ask for anything, also for a cut connection
		}
		fuzzed(t, e, method, target, body)
	})
}

func FuzzPolicyBodies(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", "{}", `{"displayName":"x"}`, `{"displayName":null,"mailboxProtectionUnits":[{}]}`,
		`{"mailboxProtectionUnits@delta":[{"directoryObjectId":"` + UserA1 + `"}]}`,
		`{"mailboxProtectionUnits@delta":[{"@removed":{"reason":"changed"},"id":"` + UnitCManual + `"},{"userId":"x"}]}`,
		`{"displayName":"x","mailboxProtectionUnits":[{"directoryObjectId":"` + UserA1 + `"}]}`, `{"a":`, "\xff",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		const root = "/v1.0/solutions/backupRestore/exchangeProtectionPolicies"
		e := New(Options{DefaultTenant: TenantC, Stopped: true, LedgerSize: 100})
		fuzzed(t, e, http.MethodPatch, root+"/"+PolicyC, body)
		fuzzed(t, e, http.MethodGet, root+"/"+PolicyC+"/mailboxProtectionUnits", "")
		e = New(Options{Stopped: true, LedgerSize: 100})
		fuzzed(t, e, http.MethodPost, root, body)
	})
}
