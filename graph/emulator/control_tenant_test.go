package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestATenantIsResetAlone(t *testing.T) {
	w := newWorld(t)
	a, c := w.in(emulator.TenantA), w.in(emulator.TenantC)
	for _, tenant := range []string{emulator.TenantA, emulator.TenantC} {
		w.control(http.MethodPost, "faults?tenant="+tenant, `{"id":"mine","operation":"GET /","status":503}`).want(200).eq("ids.0", "mine")
	}
	a.policyWith(user(1))
	c.do(http.MethodPatch, "/exchangeProtectionPolicies/"+emulator.PolicyC, map[string]any{"displayName": "Other"}).want(200)

	w.control(http.MethodPost, "reset?tenant="+strings.ToUpper(emulator.TenantA), nil).want(200)
	a.get("/").want(200)
	c.get("/").want(503)
	a.get("/protectionPolicies").want(200).eq("value.0", nil)
	c.get("/protectionPolicies/"+emulator.PolicyC).eq("displayName", "Other")
	w.control(http.MethodGet, "ledger?tenant="+emulator.TenantA, nil).eq("entries.0.path", root+"/").eq("entries.2", nil)
	if n := len(w.control(http.MethodGet, "ledger?tenant="+emulator.TenantC, nil).list("entries")); n < 3 {
		t.Errorf("the other tenant's ledger has %d entries", n)
	}
	w.control(http.MethodGet, "faults?tenant="+emulator.TenantC, nil).eq("faults.0.id", "mine").eq("faults.1", nil)
	w.control(http.MethodGet, "faults?tenant="+emulator.TenantA, nil).eq("faults.0", nil)
	w.control(http.MethodPost, "reset?tenant=x", nil).want(400)
}

func TestRulesOfTenantsStandApart(t *testing.T) {
	w := newWorld(t)
	add := func(tenant, rule string) *reply { return w.control(http.MethodPost, "faults?tenant="+tenant, rule) }
	add(emulator.TenantA, `{"id":"x","operation":"GET /","status":500}`).want(200)
	add(emulator.TenantB, `{"id":"x","operation":"GET /","status":502}`).want(200)
	add(emulator.TenantA, `{"id":"x","operation":"GET /","status":500}`).want(400)
	add(emulator.TenantA, `{"operation":"GET /","status":500,"tenant":"`+emulator.TenantB+`"}`).want(400)
	w.in(emulator.TenantA).get("/").want(500)
	w.in(emulator.TenantB).get("/").want(502)
	w.in(emulator.TenantC).get("/").want(200)
	if got := w.control(http.MethodDelete, "faults?id=x", nil).want(400).str("error.message"); !strings.Contains(got, "tenant=") {
		t.Errorf("it says %q", got)
	}
	if w.e.RemoveFault("x") {
		t.Error("a rule was removed without saying which")
	}
	w.control(http.MethodDelete, "faults?id=x&tenant="+emulator.TenantA, nil).want(200)
	w.in(emulator.TenantA).get("/").want(200)
	w.control(http.MethodDelete, "faults?tenant="+emulator.TenantB, nil).want(200)
	w.in(emulator.TenantB).get("/").want(200)
	// A list is taken as a whole or not at all.
	add(emulator.TenantA, `[{"operation":"GET /","status":500},{"operation":"GET /nothing","status":500}]`).want(400)
	w.in(emulator.TenantA).get("/").want(200)
}

func TestATenantHasAClockOfItsOwn(t *testing.T) {
	w := newWorld(t)
	a, c := w.in(emulator.TenantA), w.in(emulator.TenantC)
	id := a.policyWith(user(1))
	a.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202)
	mine := "clock?tenant=" + emulator.TenantA
	w.control(http.MethodGet, mine, nil).want(200).eq("now", "2030-01-02T03:04:05.6Z").eq("ownOfTenant", nil)
	w.control(http.MethodPost, mine, `{"advance":"5m"}`).want(200).eq("now", "2030-01-02T03:09:05.6Z").eq("ownOfTenant", true)
	if status := a.policyStatus(id); status != "active" {
		t.Errorf("the policy is %s", status)
	}
	w.control(http.MethodGet, "clock", nil).eq("now", "2030-01-02T03:04:05.6Z")
	if got := c.get("/").header.Get("Date"); got != "Wed, 02 Jan 2030 03:04:05 GMT" {
		t.Errorf("another tenant's time is %s", got)
	}
	if got := a.get("/").header.Get("Date"); got != "Wed, 02 Jan 2030 03:09:05 GMT" {
		t.Errorf("the tenant's time is %s", got)
	}
	w.pass(time.Hour)
	w.control(http.MethodGet, mine, nil).eq("now", "2030-01-02T03:09:05.6Z")
	w.control(http.MethodDelete, mine, nil).want(200).eq("now", "2030-01-02T04:04:05.6Z").eq("ownOfTenant", nil)
	w.control(http.MethodPost, mine, `{"speed":5}`).want(200)
	w.control(http.MethodPost, "reset?tenant="+emulator.TenantA, nil).want(200)
	w.control(http.MethodGet, mine, nil).eq("speed", 0)
	// A clock of a tenant stays when the tenant is seeded anew.
	w.control(http.MethodPost, mine, `{"now":"2040-01-01T00:00:00Z"}`).want(200)
	w.control(http.MethodPost, "seed", `{"tenant":"`+emulator.TenantA+`","serviceStatus":"enabled"}`).want(200)
	a.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes()).want(201).eq("createdDateTime", "2040-01-01T00:00:00.0000000Z")
	w.control(http.MethodPost, "reset", nil).want(200)
	w.control(http.MethodGet, mine, nil).eq("now", "2030-01-02T04:04:05.6Z")
	w.control(http.MethodDelete, "clock", nil).want(200).eq("now", "2030-01-02T03:04:05.6Z")
}

func TestTheLedgerIsFiltered(t *testing.T) {
	w := newWorld(t)
	a := w.in(emulator.TenantA)
	id := a.policyWith(user(1))
	w.pass(time.Minute)
	a.get("/protectionPolicies/" + id).want(200)
	a.get("/nothing").want(404)
	w.in(emulator.TenantB).get("/protectionPolicies").want(200)
	find := func(query ...string) *reply {
		v := url.Values{}
		for i := 0; i < len(query); i += 2 {
			v.Set(query[i], query[i+1])
		}
		return w.control(http.MethodGet, "ledger?"+v.Encode(), nil)
	}
	find("operation", "GET /protectionPolicies/{anything}").want(200).eq("entries.0.path", root+"/protectionPolicies/"+id).eq("entries.1", nil)
	find("operation", "POST *", "tenant", emulator.TenantA).want(200).eq("entries.0.status", 201).eq("entries.1", nil)
	find("kind", "change", "tenant", emulator.TenantA).want(200).eq("entries.0.kind", "change")
	find("kind", "request", "tenant", emulator.TenantB).want(200).eq("entries.0.path", root+"/protectionPolicies").eq("entries.1", nil)
	find("from", "2030-01-02T03:05:00Z", "kind", "request").want(200).eq("entries.0.method", "GET").eq("entries.2.tenant", emulator.TenantB)
	find("to", "2030-01-02T03:05:00Z", "kind", "request").want(200).eq("entries.0.method", "POST").eq("entries.1", nil)
	// A page of a filtered list goes on where it ended.
	r := find("kind", "request", "limit", "2").want(200).eq("entries.1.method", "GET").eq("entries.2", nil)
	find("kind", "request", "since", fmt.Sprint(r.at("last"))).want(200).eq("entries.0.operation", nil).eq("entries.1.tenant", emulator.TenantB)
	for _, bad := range [][]string{{"kind", "x"}, {"from", "x"}, {"operation", "GET /x"}, {"operation", "x"}, {"tenant", "x"}, {"status", "200"}} {
		if got := find(bad...).want(400).str("error.message"); !strings.Contains(got, bad[0]) && !strings.Contains(got, bad[1]) {
			t.Errorf("%v: %s", bad, got)
		}
	}
}

func TestTheLedgerKeepsBodiesWithoutSecrets(t *testing.T) {
	w := newWorld(t)
	a := w.in(emulator.TenantA)
	a.get("/").want(200)
	w.control(http.MethodPut, "ledger?tenant="+emulator.TenantA, `{"headers":true,"bodies":true}`).want(200).eq("bodies", true)
	a.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes(user(1)), "X-Trace", "seen", "Cookie", "sweet").want(201)
	w.in(emulator.TenantB).get("/").want(200)
	w.form(emulator.TenantA, url.Values{"grant_type": {"client_credentials"}, "client_id": {stranger}, "client_secret": {"s3cret"}, "scope": {graphScope}}).want(200)
	r := w.control(http.MethodGet, "ledger?kind=request", nil).want(200).
		eq("entries.0.requestHeaders", nil).eq("entries.1.requestHeaders.X-Trace", "[seen]").eq("entries.1.requestHeaders.Cookie", "[redacted]").
		eq("entries.1.requestHeaders.Authorization", "[redacted]").eq("entries.2.requestHeaders", nil).eq("entries.3.responseBody", "redacted")
	if body := r.str("entries.1.requestBody"); !strings.Contains(body, user(1)) {
		t.Errorf("the body of the request is %q", body)
	}
	if body := r.str("entries.1.responseBody"); !strings.Contains(body, "inactive") || r.str("entries.1.responseHeaders.Content-Type.0") == "" {
		t.Errorf("the answer is %q", body)
	}
	if body := r.str("entries.3.requestBody"); !strings.Contains(body, "client_secret=redacted") {
		t.Errorf("the body of the form is %q", body)
	}
	if strings.Contains(string(r.raw), "s3cret") || strings.Contains(string(r.raw), "sweet") {
		t.Error("a secret is in the ledger")
	}
	w.control(http.MethodPut, "ledger", `{"body":true}`).want(400)
	w.control(http.MethodPost, "reset?tenant="+emulator.TenantA, nil).want(200)
	a.get("/").want(200)
	w.control(http.MethodGet, "ledger?tenant="+emulator.TenantA, nil).eq("entries.0.requestHeaders", nil)
}

func TestAControlCallNamesWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ method, path, body, says string }{
		{"POST", "reset?tennant=x", "", `"tennant"`}, {"GET", "clock?speed=1", "", `"speed"`}, {"GET", "ledger?since=1&since=2", "", `"since"`},
		{"DELETE", "faults?name=x", "", `"name"`}, {"DELETE", "faults?id=", "", `"id"`}, {"GET", "faults?id=x", "", `"id"`},
		{"POST", "seed?tenant=" + emulator.TenantA, "{}", `"tenant"`}, {"POST", "reset", `{"tenant":"x"}`, "no body"},
		{"POST", "clock", `{"advanced":"1m"}`, `"advanced"`}, {"POST", "clock", `{"advance":600}`, `"advance" must be a length of time`},
		{"POST", "clock", `{"advance":"ten minutes"}`, `"ten minutes" is no length of time`}, {"POST", "clock", `{"now":"yesterday"}`, `yesterday is no time`},
		{"POST", "clock", `{"now":7}`, "time"}, {"POST", "clock", `{"speed":"fast"}`, `"speed" must be a number, not a string`},
		{"POST", "clock", `{}`, `"advance"`}, {"POST", "clock", `{"speed":-1}`, "clock speed -1"}, {"POST", "clock", ``, "empty"},
		{"POST", "clock", `{"speed":`, "not complete"}, {"POST", "clock", `speed`, "not JSON"}, {"POST", "clock", `[]`, "must be an object"},
		{"POST", "faults", `{"operation":"GET /","statuss":503}`, `"statuss"`}, {"POST", "faults", `[{"operation":"GET /","delay":3}]`, `"delay"`},
		{"GET", "users?tenant=x", "", `"x"`}, {"GET", "sites?$top=1", "", `"$top"`}, {"POST", "mail", `{"to":"x"}`, `"to"`},
		{"POST", "groups", `{"members":[]}`, `"members"`},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		if got := w.control(c.method, c.path, body).want(400).str("error.message"); !strings.Contains(got, c.says) {
			t.Errorf("%s %s %s: %s", c.method, c.path, c.body, got)
		}
	}
	w.control(http.MethodGet, "ready", nil).want(200).eq("ready", true)
}

func TestLinksGoWhereClientsReachIt(t *testing.T) {
	w := newWorld(t)
	page := func(headers ...string) string {
		var body map[string]any
		body, _ = w.in(emulator.TenantC).do(http.MethodGet, "/protectionUnits?$top=1", nil, headers...).want(200).at("").(map[string]any)
		link, _ := body["@odata.nextLink"].(string)
		return link
	}
	if got := page("X-Forwarded-Proto", "https"); !strings.HasPrefix(got, "https://127.0.0.1:") {
		t.Errorf("behind a proxy the link is %s", got)
	}
	if got := page("X-Forwarded-Proto", "gopher"); !strings.HasPrefix(got, "http://127.0.0.1:") {
		t.Errorf("behind a strange proxy the link is %s", got)
	}
	w = newWorld(t, func(o *emulator.Options) { o.ExternalURL = "https://graph.test:8443/" })
	if got := page(); !strings.HasPrefix(got, "https://graph.test:8443/v1.0/solutions/") {
		t.Errorf("with an external URL the link is %s", got)
	}
	for _, bad := range []string{"graph.test", "ftp://x", "https://x/v1.0", "https://u@x"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("the external URL %q is accepted", bad)
				}
			}()
			emulator.New(emulator.Options{ExternalURL: bad})
		}()
	}
}
