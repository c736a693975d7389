package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// part is one request of a batch, as Microsoft's page writes it.
type part map[string]any

// batch sends parts and returns the answers by id.
func (w *world) batch(parts ...part) map[string]*reply {
	w.t.Helper()
	r := w.send(http.MethodPost, "/v1.0/$batch", map[string]any{"requests": parts}).want(200)
	answers := map[string]*reply{}
	for _, one := range r.list("responses") {
		a := one.(map[string]any)
		raw, err := json.Marshal(a["body"])
		if err != nil {
			w.t.Fatal(err)
		}
		header := http.Header{}
		for name, value := range a["headers"].(map[string]any) {
			header.Set(name, value.(string))
		}
		answers[a["id"].(string)] = &reply{t: w.t, status: int(a["status"].(float64)), header: header, raw: raw}
	}
	if len(answers) != len(parts) {
		w.t.Fatalf("%d answers to %d parts: %s", len(answers), len(parts), r.raw)
	}
	return answers
}

func apiPart(id, method, path string, more ...any) part {
	p := part{"id": id, "method": method, "url": "/solutions/backupRestore" + path}
	for i := 0; i+1 < len(more); i += 2 {
		p[more[i].(string)] = more[i+1]
	}
	return p
}

func body(v any) []any {
	return []any{"body", v, "headers", map[string]string{"Content-Type": "application/json"}}
}

func TestABatchAnswersEachOfItsParts(t *testing.T) {
	w := newWorld(t)
	w.withUnits(3)
	answers := w.batch(
		apiPart("a", "GET", ""),
		apiPart("b", "get", "/protectionUnits?$top=1&$filter=status ne 'offboarded'"),
		apiPart("c", "GET", "/protectionPolicies/x"),
		apiPart("d", "POST", "/exchangeRestoreSessions", body(map[string]any{})...),
		part{"id": "e", "method": "GET", "url": "solutions/backupRestore/protectionUnits/$count"},
		part{"id": "f", "method": "GET", "url": "/me"},
		part{"id": "g", "method": "POST", "url": "/$batch", "body": map[string]any{}, "headers": map[string]string{"Content-Type": "application/json"}},
	)
	answers["a"].want(200).eq("serviceStatus.status", "enabled")
	answers["b"].want(200)
	answers["c"].wantError(400, "InvalidPolicyId")
	answers["d"].want(201).eq("status", "draft")
	if answers["e"].want(200); string(answers["e"].raw) != "3" {
		t.Errorf("count: %s", answers["e"].raw)
	}
	answers["f"].wantError(404, "ResourceNotFound")
	answers["g"].wantError(400, "BadRequest")
	if id := answers["a"].header.Get("request-id"); id == "" || id == answers["b"].header.Get("request-id") {
		t.Errorf("request ids %q, %q", id, answers["b"].header.Get("request-id"))
	}
	var ledger []string
	for _, e := range w.e.Ledger(0).Entries {
		if e.Kind == emulator.EntryRequest {
			ledger = append(ledger, fmt.Sprintf("%s %d", e.Operation, e.Status))
		}
	}
	want := []string{"POST /$batch 200", "GET / 200", "GET /protectionUnits 200", "GET /protectionPolicies/{policyId} 400",
		"POST /exchangeRestoreSessions 201", "GET /protectionUnits/$count 200", " 404", "POST /$batch 400"}
	if got := ledger[len(ledger)-len(want):]; strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("the ledger has %q, want %q", got, want)
	}
	if raw := w.send(http.MethodPost, "/v1.0/$batch", map[string]any{"requests": []part{apiPart("1", "GET", "")}}).raw; !strings.Contains(string(raw), `"request-id":"`) {
		t.Errorf("no request-id in %s", raw)
	}
	// The spaces of a filter, which a part need not escape, are escaped in a link.
	w.send(http.MethodGet, nextLink(answers["b"]), nil).want(200).eq("value.0.id", mailboxUnit(2))
}

func TestPartsWaitForThoseThatTheyDependOn(t *testing.T) {
	w := newWorld(t)
	create := func(name string) []any { return body(map[string]any{"displayName": name}) }
	answers := w.batch(
		apiPart("1", "POST", "/exchangeProtectionPolicies", create("one")...),
		apiPart("2", "GET", "/protectionPolicies", "dependsOn", []string{"1"}),
		apiPart("3", "GET", "/protectionPolicies/"+stranger, "dependsOn", []string{"2"}),
		apiPart("4", "POST", "/sharePointProtectionPolicies", append(create("four"), "dependsOn", []string{"3"})...),
		apiPart("5", "GET", "", "dependsOn", []string{"4"}),
	)
	answers["1"].want(201)
	answers["2"].want(200).eq("value.0.displayName", "one")
	answers["3"].wantError(404, "PolicyNotFound")
	answers["4"].wantError(424, "FailedDependency")
	answers["5"].wantError(424, "FailedDependency")
	w.get("/sharePointProtectionPolicies").eq("value", "[]")
	// All on the same one, in any case of letters.
	answers = w.batch(
		apiPart("A", "GET", "/protectionPolicies/x"), apiPart("B", "GET", "", "dependsOn", []string{"a"}),
		apiPart("C", "GET", "", "dependsOn", []string{"A"}), apiPart("D", "GET", ""),
	)
	answers["B"].want(424)
	answers["C"].want(424)
	answers["D"].want(200)
}

func TestBatchesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	list := func(n int) []part {
		parts := make([]part, n)
		for i := range parts {
			parts[i] = apiPart(fmt.Sprint(i), "GET", "")
		}
		return parts
	}
	of := func(parts ...part) any { return map[string]any{"requests": parts} }
	on := func(id string, others ...string) part { return apiPart(id, "GET", "", "dependsOn", others) }
	post := apiPart("1", "POST", "/exchangeRestoreSessions")
	for name, body := range map[string]any{
		"nothing": nil, "no object": "[]", "broken": "{", "no requests": of(), "21 of them": of(list(21)...),
		"the same id twice":             of(apiPart("a", "GET", ""), apiPart("A", "GET", "")),
		"no id":                         of(part{"method": "GET", "url": "/x"}),
		"an id that is a number":        `{"requests":[{"id":1,"method":"GET","url":"/x"}]}`,
		"no method":                     of(part{"id": "1", "url": "/x"}),
		"no url":                        of(part{"id": "1", "method": "GET"}),
		"an absolute url":               of(part{"id": "1", "method": "GET", "url": "https://graph.microsoft.com/v1.0/solutions/backupRestore"}),
		"depends on an unknown one":     of(on("1", "2")),
		"depends on a later one":        of(on("1", "2"), apiPart("2", "GET", "")),
		"depends on itself":             of(on("1", "1")),
		"depends on two":                of(apiPart("1", "GET", ""), apiPart("2", "GET", ""), on("3", "1", "2")),
		"partly in a row":               of(apiPart("1", "GET", ""), on("2", "1"), apiPart("3", "GET", ""), on("4", "3")),
		"a POST without a body":         of(post),
		"a POST without a Content-Type": of(apiPart("1", "POST", "/exchangeRestoreSessions", "body", map[string]any{})),
	} {
		t.Run(name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() { w.send(http.MethodPost, "/v1.0/$batch", body).wantError(400, "BadRequest") })
		})
	}
	w.send(http.MethodPost, "/v1.0/$batch", of(list(20)...)).want(200)
	w.send(http.MethodPost, "/v1.0/%24BATCH", of(list(1)...)).want(200)
	if r := w.send(http.MethodGet, "/v1.0/$batch", nil).wantError(405, "MethodNotAllowed"); r.header.Get("Allow") != "POST" {
		t.Errorf("Allow %q", r.header.Get("Allow"))
	}
	w.do(http.MethodPost, "/$batch", of(list(1)...)).want(404)
}

func TestFaultRulesMeetPartsOfABatch(t *testing.T) {
	w := newWorld(t)
	get := func(n int) map[string]*reply {
		parts := make([]part, n)
		for i := range parts {
			parts[i] = apiPart(fmt.Sprint(i), "GET", "")
		}
		return w.batch(parts...)
	}
	w.fault(emulator.Fault{Operation: "GET /", Throttle: &emulator.Throttle{
		Requests: 2, Window: emulator.Duration(1e9), RetryAfter: emulator.Duration(3e9)}})
	answers := get(4)
	answers["1"].want(200)
	if answers["2"].wantError(429, "TooManyRequests").header.Get("Retry-After") != "3" || answers["3"].status != 429 {
		t.Errorf("%v, %d", answers["2"].header, answers["3"].status)
	}
	w.e.ClearFaults()
	for name, f := range map[string]emulator.Fault{
		"cut": {Cut: "after"}, "cut before": {Cut: "before"}, "huge": {Body: &emulator.FaultBody{Mode: "huge", Size: 100 << 20}},
	} {
		f.Operation, f.After, f.Times = "GET /", 1, 1
		w.fault(f)
		answers = get(3)
		if answers["0"].status != 200 || answers["1"].status != 502 || answers["2"].status != 200 {
			t.Errorf("%s: %d, %d, %d", name, answers["0"].status, answers["1"].status, answers["2"].status)
		}
		w.e.ClearFaults()
	}
	w.fault(emulator.Fault{Operation: "GET /", Body: &emulator.FaultBody{Mode: "html"}, Times: 1})
	if a := get(1)["0"]; !strings.HasPrefix(string(a.raw), `"PCFET0NUWVBF`) {
		t.Errorf("HTML as %s", a.raw)
	}
	// A rule for everything meets each part, and not the batch as one more.
	for _, operation := range []string{"*", "GET *"} {
		w.fault(emulator.Fault{Operation: operation, After: 1, Times: 1, Status: 500})
		answers = get(3)
		if answers["0"].status != 200 || answers["1"].status != 500 || answers["2"].status != 200 {
			t.Errorf("%s: %d, %d, %d", operation, answers["0"].status, answers["1"].status, answers["2"].status)
		}
		w.e.ClearFaults()
	}
	w.fault(emulator.Fault{Operation: "POST /$batch", Status: 503, Times: 1})
	w.send(http.MethodPost, "/v1.0/$batch", nil).want(503)
}

func TestPartsAskInTheNameOfTheBatch(t *testing.T) {
	w := newWorld(t)
	c := w.as(map[string]any{"tid": emulator.TenantC, "roles": []string{"BackupRestore-Configuration.Read.All"}})
	answers := c.batch(
		apiPart("1", "GET", "/protectionPolicies", "headers", map[string]string{"Authorization": w.auth}),
		apiPart("2", "POST", "/exchangeProtectionPolicies", body(map[string]any{"displayName": "x"})...),
		apiPart("3", "GET", "/protectionUnits", "headers", map[string]string{"Prefer": "odata.maxpagesize=1"}),
	)
	answers["1"].want(200).eq("value.0.id", emulator.PolicyC)
	answers["2"].wantError(403, "accessDenied")
	answers["3"].want(200).eq("value.1", nil)
}
