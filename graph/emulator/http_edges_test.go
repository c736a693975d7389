package emulator_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestLinksAreHttpsBehindTls(t *testing.T) {
	w := newWorld(t)
	w.withUnits(5)
	secure := httptest.NewTLSServer(w.e)
	t.Cleanup(secure.Close)
	w.client = secure.Client()
	r := w.send(http.MethodGet, secure.URL+root+mailboxCast+"?$top=2", nil).want(200)
	if next := nextLink(r); !strings.HasPrefix(next, secure.URL+"/") {
		t.Errorf("next link = %s", next)
	}
	w.send(http.MethodGet, nextLink(r), nil).want(200).eq("value.0.id", mailboxUnit(3))
}

func TestLinksUseTheHostThatWasAsked(t *testing.T) {
	w := newWorld(t)
	w.withUnits(5)
	rec := httptest.NewRecorder()
	w.e.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://graph.example:8443"+root+mailboxCast+"?$top=2", nil))
	if !strings.Contains(rec.Body.String(), `"@odata.nextLink":"http://graph.example:8443/v1.0/`) {
		t.Errorf("body %s", rec.Body)
	}
}

func TestAFaultMeetsAnItemOfThePath(t *testing.T) {
	w := newWorld(t)
	hit, miss := w.policyWith(user(1)), w.policyWith(user(2))
	w.fault(emulator.Fault{Operation: "GET /protectionPolicies/{policyId}", Item: strings.ToUpper(hit), Status: 500})
	w.get("/protectionPolicies/" + hit).want(500)
	w.get("/protectionPolicies('" + hit + "')").want(500)
	w.get("/protectionPolicies/" + miss).want(200)
}

func TestAStarMeetsWhatNoOperationDoes(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{ID: "all", Operation: "*", Status: 502, Times: 2})
	w.get("/nothing").want(502)
	w.in("no guid").get("").want(502)
	for _, e := range w.e.Ledger(0).Entries {
		if e.Fault != "all" || e.Status != 502 {
			t.Errorf("entry %+v", e)
		}
	}
	w.get("/nothing").want(404)
}

func TestAThrottleKnowsItsTimesAndItsAfter(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "GET /", After: 1, Times: 2, Throttle: &emulator.Throttle{Window: emulator.Duration(time.Hour)}})
	for i, want := range []int{200, 429, 429, 200, 200} {
		if got := w.get("").status; got != want {
			t.Fatalf("request %d: %d, want %d", i, got, want)
		}
	}
}

func TestAThrottlesWaitIsInWholeSeconds(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "1", 200 * time.Millisecond: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		w := newWorld(t)
		w.fault(emulator.Fault{Operation: "*", Throttle: &emulator.Throttle{
			Window: emulator.Duration(time.Hour), RetryAfter: emulator.Duration(wait)}})
		if got := w.get("").want(429).header.Get("Retry-After"); got != want {
			t.Errorf("%v: Retry-After = %s, want %s", wait, got, want)
		}
	}
}

func TestADeleteThatIsCutWithinItsAnswerHasHappened(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith()
	w.fault(emulator.Fault{Operation: "DELETE *", Cut: "within"})
	r := w.send(http.MethodDelete, root+"/protectionPolicies/"+id, nil)
	if !errors.Is(r.err, io.ErrUnexpectedEOF) {
		t.Errorf("status %d, error %v", r.status, r.err)
	}
	w.get("/protectionPolicies/"+id).wantError(404, "PolicyNotFound")
}

func TestRulesThatCannotBeReadAreRefused(t *testing.T) {
	e := emulator.New(emulator.Options{})
	if _, err := e.LoadFaults(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
	if _, err := e.LoadFaults(strings.NewReader(strings.Repeat(" ", emulator.MaxBody+1))); err == nil {
		t.Error("too large a document is accepted")
	}
}

func TestTheOtherWorkloadsGoThroughTheSameLife(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.policies, func(t *testing.T) {
			w := newWorld(t)
			id := w.do(http.MethodPost, "/"+k.policies, map[string]any{
				"displayName": "x", k.units: []any{map[string]any{k.id: k.good}},
			}).want(201).str("id")
			w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202)
			w.pass(5 * time.Minute)
			w.wantPolicy(id, "active")
			r := w.do(http.MethodPatch, "/"+k.policies+"/"+id, map[string]any{
				k.units + "@delta": []any{map[string]any{k.id: k.strange}, map[string]any{k.id: k.good}},
			}).want(200)
			items := r.list(k.units + "@delta")
			if failed := items[1].(map[string]any); failed[k.id] != k.good || failed["@Core.DataModificationException"] == nil {
				t.Errorf("the repeated addition: %v", failed)
			}
			w.pass(5 * time.Minute)
			w.wantPolicy(id, "activeWithErrors")
			unit := w.get("/" + k.policies + "/" + id + "/" + k.units).want(200).str("value.0.id")
			w.unit(unit).eq(k.id, k.good)
			w.do(http.MethodPatch, "/"+k.policies+"/"+id, map[string]any{k.units + "@delta": []any{remove(unit)}}).
				want(200).eq(k.units+"@delta.0.status", "removeRequested")
			w.pass(5 * time.Minute)
			w.wantPolicy(id, "inactive") // only the stranger is left
			w.do(http.MethodDelete, "/protectionPolicies/"+id, nil).want(204)
		})
	}
}

func TestAnOfferedFaultChangesNothingUntilItIsMet(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "PATCH *", InBand: &emulator.InBandError{Code: "UnknownError"}, Times: 1})
	id := w.policyWith(user(1))
	w.do(http.MethodPatch, "/exchangeProtectionPolicies/"+id, `{"displayName":"y"}`).want(200) // has no item
	w.patch(id, add(user(2)), add(user(3))).want(200).wantFailed(1, "add", "UnknownError")     // one request, every item
	w.patch(id, add(user(2))).want(200).eq("mailboxProtectionUnits@delta.0.status", "unprotected")
}

// Of several things that are wrong with a request, the one that the message
// names does not depend on the order of a map.
func TestARefusalNamesTheSameThingInEveryRun(t *testing.T) {
	w := restorable(t)
	session := w.do(http.MethodPost, "/exchangeRestoreSessions", nil).want(201).str("id")
	for _, tc := range []struct{ name, method, path, body, want string }{
		{"options of a listing", http.MethodGet, "/protectionUnits?$skip=1&$orderby=id&$search=x", "", "$orderby"},
		{"options given twice", http.MethodGet, "/protectionUnits?$top=1&$top=2&$filter=a&$filter=b", "", "$filter"},
		{"options of a list without pages", http.MethodGet, "/restorePoints?$top=1&$search=x&$skip=1", "", "$search"},
		{"bounds of a period", http.MethodPost, "/restorePoints/search",
			`{"protectionUnitIds":["` + mailboxUnit(1) + `"],"protectionTimePeriod":{"endDateTime":1,"startDateTime":1}}`, "startDateTime"},
		{"lists of a bulk request", http.MethodPost, "/exchangeRestoreSessions/" + session + "/mailboxRestoreArtifactsBulkAdditionRequests",
			`{"destinationType":"new","mailboxes":1,"directoryObjectIds":1}`, "mailboxes"},
		{"properties of a policy", http.MethodPost, "/exchangeProtectionPolicies", `{"c":1,"a":1,"b":1}`, `"a"`},
	} {
		for range 20 { // as many runs, each with an order of its own
			r := w.do(tc.method, tc.path, tc.body).want(400)
			if got := r.str("error.message"); !strings.Contains(got, tc.want) {
				t.Errorf("%s: %q, want %s named", tc.name, got, tc.want)
			}
		}
	}
}
