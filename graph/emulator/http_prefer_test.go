package emulator_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestEvolvedMembersAreHiddenUnlessTheyArePreferred(t *testing.T) {
	w := newWorld(t)
	policy, unit := w.removedUnit()
	w.do(http.MethodPost, "/protectionUnits/"+unit+"/offboard", nil).want(200).eq("status", "unknownFutureValue")
	rule := w.settled("/exchangeProtectionPolicies/"+policy+"/mailboxInclusionRules", of(group(2)), true)
	w.do(http.MethodPatch, rule, map[string]any{"mailboxExpression": of(group(3))}).want(200).eq("status", "unknownFutureValue")
	list := rule[:strings.LastIndexByte(rule, '/')]
	for _, tc := range []struct {
		name, prefer string
		shown        bool
	}{
		{"without the header", "", false},
		{"with another preference", "return=representation", false},
		{"with the preference", preferUnknown, true},
		{"in other letters", "Include-Unknown-Enum-Members", true},
		{"among others", "odata.maxpagesize=5, include-unknown-enum-members; x=1", true},
		{"with a value like it", "include-unknown-enum-members-not", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := *w
			w.t = t
			offboarding, updating := "unknownFutureValue", "unknownFutureValue"
			if tc.shown {
				offboarding, updating = "offboardRequested", "updateRequested"
			}
			get := func(path string) *reply { return w.do(http.MethodGet, path, nil, "Prefer", tc.prefer).want(200) }
			get("/protectionUnits/"+unit).eq("status", offboarding)
			get(mailboxCast+query("$filter", "id eq '"+unit+"'")).eq("value.0.status", offboarding)
			get("/protectionUnits"+query("$filter", "status eq 'offboardRequested'")).eq("value.0.status", offboarding)
			get(rule).eq("status", updating)
			get(list).eq("value.0.status", updating)
			get("/protectionUnits/"+mailboxUnit(2)).eq("status", "protected") // has always been a member
		})
	}
	t.Run("in any of several headers", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+root+rule, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Prefer"] = []string{"respond-async", preferUnknown}
		resp, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), `"status":"updateRequested"`) {
			t.Errorf("body %s, error %v", body, err)
		}
	})
}

func TestWhatOnlyLooksLikeAnEvolvedMemberIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	const name = `"status":"offboarded"`
	id := w.do(http.MethodPost, "/exchangeProtectionPolicies", map[string]any{"displayName": name}).want(201).eq("displayName", name).str("id")
	w.get("/protectionPolicies/"+id).want(200).eq("displayName", name)
}
