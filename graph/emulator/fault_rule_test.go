package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

const createExchange = "POST /exchangeProtectionPolicies"

// create tries to make a policy and returns the answer, which may be missing.
func (w *world) create() *reply {
	w.t.Helper()
	return w.send(http.MethodPost, root+"/exchangeProtectionPolicies", mailboxes(user(1)))
}

// made counts the policies of tenant A.
func (w *world) made() int {
	w.t.Helper()
	return len(w.get("/protectionPolicies").want(200).list("value"))
}

func TestAFaultAnswersWithACode(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  emulator.Fault
		status int
		code   string
	}{
		{"with the documented status", emulator.Fault{Code: "PolicySaveFailed"}, 500, "PolicySaveFailed"},
		{"with a status of its own", emulator.Fault{Code: "PolicySaveFailed", Status: 503}, 503, "PolicySaveFailed"},
		{"that is not documented", emulator.Fault{Code: "somethingNew", Status: 418}, 418, "somethingNew"},
		{"whatever the method is", emulator.Fault{Operation: "POST *", Code: "UnableToReadBillingProfile"}, 403, "UnableToReadBillingProfile"},
		{"for every request", emulator.Fault{Operation: "*", Code: "ProtectionUnitAlreadyExists"}, 409, "ProtectionUnitAlreadyExists"},
		{"for this tenant", emulator.Fault{Tenant: strings.ToUpper(emulator.TenantA), Code: "PolicySaveFailed"}, 500, "PolicySaveFailed"},
		{"for an item of the body", emulator.Fault{Item: strings.ToUpper(user(1)), Code: "PolicySaveFailed"}, 500, "PolicySaveFailed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			if tc.fault.Operation == "" {
				tc.fault.Operation = createExchange
			}
			w.fault(tc.fault)
			w.unchanged(func() { w.create().wantError(tc.status, tc.code) })
			w.e.ClearFaults()
			w.create().want(201)
		})
	}
}

func TestAFaultMeetsNothingElse(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"another operation":      {Operation: "POST /sharePointProtectionPolicies", Status: 500},
		"another method":         {Operation: "GET *", Status: 500},
		"another tenant":         {Operation: "*", Tenant: emulator.TenantB, Status: 500},
		"another item":           {Operation: "*", Item: stranger, Status: 500},
		"the root":               {Operation: "POST /enable", Status: 500},
		"what has been used up":  {Operation: "*", Status: 500, After: 1},
		"an operation with an i": {Operation: "GET /protectionPolicies/{anything}", Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fault(f)
			w.create().want(201)
		})
	}
}

func TestAFaultKnowsItsTimesAndItsAfter(t *testing.T) {
	w := newWorld(t)
	id := w.fault(emulator.Fault{Operation: "GET /protectionPolicies/{x}", Status: 503, After: 2, Times: 2})
	policy := w.policyWith()
	var got []int
	for range 6 {
		got = append(got, w.get("/protectionPolicies/"+policy).status)
	}
	for i, want := range []int{200, 200, 503, 503, 200, 200} {
		if got[i] != want {
			t.Fatalf("statuses %v", got)
		}
	}
	states := w.e.Faults()
	if len(states) != 1 || states[0].ID != id || states[0].Applied != 2 || states[0].Matched != 4 {
		t.Errorf("states = %+v", states)
	}
	if !w.e.RemoveFault(id) || w.e.RemoveFault(id) {
		t.Error("a rule goes once")
	}
}

func TestABareStatusHasNoBody(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: createExchange, Status: 503, Headers: map[string]string{"X-From": "proxy"}})
	r := w.create().want(503)
	if len(r.raw) != 0 || r.header.Get("X-From") != "proxy" || r.header.Get("request-id") == "" {
		t.Errorf("body %q, header %v", r.raw, r.header)
	}
}

func TestAHeaderOfARuleReplacesTheAnswersOwn(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"of an answer that is not touched otherwise": {},
		"of a refusal":         {Code: "PolicySaveFailed"},
		"of an answer in part": {Cut: "within"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f.Operation, f.Headers = createExchange, map[string]string{"Request-ID": "planted"}
			w.fault(f)
			if r := w.create(); r.header.Get("request-id") != "planted" || r.header.Get("client-request-id") == "" {
				t.Errorf("header %v", r.header)
			}
		})
	}
}

func TestRetryAfterIsSentInEveryForm(t *testing.T) {
	for _, tc := range []struct {
		name string
		send []string
		want []string
	}{
		{"seconds", []string{"7"}, []string{"7"}},
		{"a fraction", []string{"2.128"}, []string{"2.128"}},
		{"nonsense", []string{"soon"}, []string{"soon"}},
		{"a date", []string{"Wed, 02 Jan 2030 03:04:35 GMT"}, []string{"Wed, 02 Jan 2030 03:04:35 GMT"}},
		{"a date after the answer's own", []string{"date+30s"}, []string{"Wed, 02 Jan 2030 03:04:35 GMT"}},
		{"a date before it", []string{"date-5s"}, []string{"Wed, 02 Jan 2030 03:04:00 GMT"}},
		{"twice", []string{"1", "2"}, []string{"1", "2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.fault(emulator.Fault{Operation: createExchange, Status: 429, RetryAfter: tc.send})
			r := w.create().want(429)
			if got := r.header.Values("Retry-After"); strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("Retry-After = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestACutDoesTheWorkOrNot(t *testing.T) {
	for _, tc := range []struct {
		cut  string
		made int
		half bool
	}{{"before", 0, false}, {"after", 1, false}, {"within", 1, true}} {
		t.Run(tc.cut, func(t *testing.T) {
			w := newWorld(t)
			id := w.fault(emulator.Fault{Operation: createExchange, Cut: tc.cut, Times: 1})
			r := w.create()
			if r.err == nil {
				t.Fatalf("the connection was not cut: %d %s", r.status, r.raw)
			}
			if half := r.status == 201 && errors.Is(r.err, io.ErrUnexpectedEOF); half != tc.half {
				t.Errorf("status %d, error %v", r.status, r.err)
			}
			if n := w.made(); n != tc.made {
				t.Errorf("%d policies, want %d", n, tc.made)
			}
			entry := w.e.Ledger(0).Entries[0]
			if entry.Cut != tc.cut || entry.Fault != id {
				t.Errorf("ledger entry %+v", entry)
			}
		})
	}
}

func TestABodyGoesWrongAfterTheWorkWasDone(t *testing.T) {
	for _, tc := range []struct {
		name  string
		body  emulator.FaultBody
		kind  string
		check func([]byte) bool
	}{
		{"truncated", emulator.FaultBody{Mode: "truncated"}, "application/json",
			func(b []byte) bool { return len(b) > 50 && !json.Valid(b) && b[0] == '{' }},
		{"html", emulator.FaultBody{Mode: "html"}, "text/html; charset=utf-8",
			func(b []byte) bool { return strings.HasPrefix(string(b), "<!DOCTYPE html>") }},
		{"empty", emulator.FaultBody{Mode: "empty"}, "application/json", func(b []byte) bool { return len(b) == 0 }},
		{"raw", emulator.FaultBody{Mode: "raw", Content: "\ufeff[]", ContentType: "text/x"}, "text/x",
			func(b []byte) bool { return string(b) == "\ufeff[]" }},
		{"raw without a type", emulator.FaultBody{Mode: "raw", Content: "{}"}, "application/json",
			func(b []byte) bool { return string(b) == "{}" }},
		{"huge", emulator.FaultBody{Mode: "huge", Size: 300_001}, "application/json",
			func(b []byte) bool { return len(b) == 300_001 && json.Valid(b) }},
		{"huge by default", emulator.FaultBody{Mode: "huge"}, "application/json", func(b []byte) bool { return len(b) == 16<<20 }},
		{"huge but tiny", emulator.FaultBody{Mode: "huge", Size: 1}, "application/json", json.Valid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.fault(emulator.Fault{Operation: createExchange, Body: &tc.body})
			r := w.create().want(201)
			if !tc.check(r.raw) {
				t.Errorf("body of %d bytes: %.200q", len(r.raw), r.raw)
			}
			if got := r.header.Get("Content-Type"); got != tc.kind {
				t.Errorf("Content-Type = %q, want %q", got, tc.kind)
			}
			if w.made() != 1 {
				t.Error("the work was not done")
			}
		})
	}
}

func TestAnAnswerOfItsOwnLeavesTheWorkUndoneUnlessToldOtherwise(t *testing.T) {
	html := &emulator.FaultBody{Mode: "html"}
	for _, tc := range []struct {
		name   string
		fault  emulator.Fault
		status int
		made   int
	}{
		{"a code", emulator.Fault{Code: "PolicySaveFailed"}, 500, 0},
		{"a code after the work", emulator.Fault{Code: "PolicySaveFailed", AfterWork: true}, 500, 1},
		{"a status", emulator.Fault{Status: 502}, 502, 0},
		{"a status after the work", emulator.Fault{Status: 504, AfterWork: true}, 504, 1},
		{"a status with a body", emulator.Fault{Status: 502, Body: html}, 502, 0},
		{"a redirect", emulator.Fault{Redirect: "http://127.0.0.1:1/x"}, 302, 0},
		{"a redirect with a status", emulator.Fault{Redirect: "/x", Status: 307}, 307, 0},
		{"a redirect after the work", emulator.Fault{Redirect: "/x", AfterWork: true}, 302, 1},
		{"a delay", emulator.Fault{Delay: emulator.Duration(time.Millisecond)}, 201, 1},
		{"a delay after the work", emulator.Fault{Delay: emulator.Duration(time.Millisecond), AfterWork: true}, 201, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.fault.Operation = createExchange
			w.fault(tc.fault)
			r := w.create().want(tc.status)
			if got := r.header.Get("Location"); got != tc.fault.Redirect {
				t.Errorf("Location = %q", got)
			}
			if n := w.made(); n != tc.made {
				t.Errorf("%d policies, want %d", n, tc.made)
			}
		})
	}
}

// The delay is an hour: only a client that gives up ends it.
func TestWorkIsNotBegunForAClientThatGaveUp(t *testing.T) {
	for _, afterWork := range []bool{false, true} {
		w := newWorld(t)
		w.fault(emulator.Fault{Operation: createExchange, Delay: emulator.Duration(time.Hour), AfterWork: afterWork, Times: 1})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+root+"/exchangeProtectionPolicies",
			strings.NewReader(`{"displayName":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		go func() {
			resp, err := w.client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			gone <- err
		}()
		// The ledger tells when the request has arrived, and with afterWork when
		// its work is done.
		want := 1
		if afterWork {
			want = 2
		}
		for len(w.e.Ledger(0).Entries) < want {
			runtime.Gosched()
		}
		cancel()
		if err := <-gone; err == nil {
			t.Error("an answer came")
		}
		w.server.Close() // waits until the handler has returned
		made := len(w.e.Ledger(0).Entries) - 1
		if afterWork && made != 1 || !afterWork && made != 0 {
			t.Errorf("afterWork %v: %d changes", afterWork, made)
		}
	}
}

// With late it is begun: the bytes of a process that was stopped come when its caller has long given up.
func TestLateWorkIsDoneForAClientThatGaveUp(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: createExchange, Delay: emulator.Duration(300 * time.Millisecond), Late: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+root+"/exchangeProtectionPolicies",
		strings.NewReader(`{"displayName":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := w.client.Do(req); err == nil {
		resp.Body.Close()
		t.Error("an answer came")
	}
	w.server.Close() // waits until the handler has returned
	if n := len(w.e.Ledger(0).Entries); n != 2 {
		t.Errorf("%d entries of the ledger, want the request and the change", n)
	}
	for _, bad := range []string{`{"operation":"*","late":true}`, `{"operation":"*","late":true,"delay":"1s","afterWork":true}`} {
		if _, err := w.e.LoadFaults(strings.NewReader(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestANextLinkIsReplaced(t *testing.T) {
	for _, link := range []string{"https://elsewhere.example/x", "relative?$skiptoken=1", "", "::"} {
		w := newWorld(t)
		w.withUnits(5)
		w.fault(emulator.Fault{Operation: "GET /protectionUnits/microsoft.graph.mailboxProtectionUnit", NextLink: &link})
		r := w.get(mailboxCast + "?$top=2").want(200)
		if got := nextLink(r); got != link {
			t.Errorf("next link = %q, want %q", got, link)
		}
		if len(r.list("value")) != 2 {
			t.Error("the page itself has changed")
		}
	}
}

func TestAnItemCarriesAnErrorInBand(t *testing.T) {
	for _, code := range []string{"UnknownError", "InvalidArtifactId", "QuotaExceeded"} {
		w := newWorld(t)
		w.withUnits(5)
		w.fault(emulator.Fault{Operation: "*", Item: mailboxUnit(2), InBand: &emulator.InBandError{Code: code}, Times: 2})
		w.unchanged(func() {
			w.unit(mailboxUnit(1)).eq("error", nil)
			w.unit(mailboxUnit(2)).eq("error.code", code).eq("status", "protected")
			w.get(mailboxCast).want(200).eq("value.1.error.code", code).eq("value.0.error", nil).eq("value.2.error", nil)
			w.unit(mailboxUnit(2)).eq("error", nil) // used up
		})
	}
}

func TestAnItemOfADeltaFailsInBand(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(5)
	patch := "PATCH /exchangeProtectionPolicies/{policyId}"
	w.fault(emulator.Fault{Operation: patch, Item: user(100), InBand: &emulator.InBandError{Code: "UnknownError", Message: "so be it"}})
	w.fault(emulator.Fault{Operation: patch, Item: mailboxUnit(1), InBand: &emulator.InBandError{Code: "Invalid"}})
	r := w.patch(policy, add(user(100)), add(user(101)), remove(mailboxUnit(1)), remove(mailboxUnit(2))).want(200)
	r.wantFailed(0, "add", "UnknownError")
	r.eq("mailboxProtectionUnits@delta.1.status", "protectRequested")
	r.wantFailed(2, "remove", "Invalid")
	r.eq("mailboxProtectionUnits@delta.3.status", "removeRequested")
	w.unit(mailboxUnit(1)).eq("status", "protected")
	w.unit(mailboxUnit(100)).eq("error.code", "ProtectionUnitNotFound")
}

func TestAThrottleCountsPerTenantAndWaitsLongerForTheImpatient(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "GET *", Throttle: &emulator.Throttle{
		Requests: 2, Window: emulator.Duration(10 * time.Second), RetryAfter: emulator.Duration(4 * time.Second)}})
	ask := func(w *world) string {
		t.Helper()
		r := w.get("")
		if r.status == 200 {
			return "ok"
		}
		r.wantError(429, "TooManyRequests")
		if !strings.HasSuffix(r.header.Get("x-ms-throttle-scope"), emulator.TenantA) {
			t.Errorf("scope %q", r.header.Get("x-ms-throttle-scope"))
		}
		return r.header.Get("Retry-After")
	}
	steps := []struct {
		pass time.Duration
		want string
	}{
		{0, "ok"}, {0, "ok"}, {0, "4"}, // the third is one too many
		{3 * time.Second, "8"},  // too early
		{7 * time.Second, "12"}, // and again
		{12 * time.Second, "ok"}, {0, "ok"}, {0, "4"},
		{4 * time.Second, "ok"},  // waited long enough
		{11 * time.Second, "ok"}, // a new window
		{0, "ok"}, {0, "4"},
	}
	for i, s := range steps {
		w.base.Add(s.pass)
		if got := ask(w); got != s.want {
			t.Fatalf("step %d: %s, want %s", i, got, s.want)
		}
	}
	w.in(emulator.TenantC).get("").want(200)
	w.policyWith() // a POST is not met
}

func TestAThrottleMaySendAnyRetryAfter(t *testing.T) {
	for name, values := range map[string][]string{"a date": {"Wed, 02 Jan 2030 03:04:35 GMT"}, "two": {"1", "x"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fault(emulator.Fault{Operation: "*", RetryAfter: values, Headers: map[string]string{"X-By": "rule"},
				Throttle: &emulator.Throttle{Window: emulator.Duration(time.Minute)}})
			r := w.get("").wantError(429, "TooManyRequests")
			if got := r.header.Values("Retry-After"); strings.Join(got, "|") != strings.Join(values, "|") || r.header.Get("X-By") != "rule" {
				t.Errorf("header %v", r.header)
			}
		})
	}
}

func TestRulesActInOrderAndAThrottleLetsOthersAct(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "*", Throttle: &emulator.Throttle{Requests: 2, Window: emulator.Duration(time.Hour)}})
	w.fault(emulator.Fault{Operation: "GET /", Status: 500, Times: 1})
	w.fault(emulator.Fault{Operation: "GET /", Status: 501})
	var got []int
	for range 3 {
		got = append(got, w.get("").status)
	}
	if got[0] != 500 || got[1] != 501 || got[2] != 429 {
		t.Errorf("statuses %v", got)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	ok := emulator.Fault{Operation: "*", Status: 500}
	for name, change := range map[string]func(*emulator.Fault){
		"no operation":             func(f *emulator.Fault) { f.Operation = "" },
		"an unknown operation":     func(f *emulator.Fault) { f.Operation = "GET /policies" },
		"an operation of no kind":  func(f *emulator.Fault) { f.Operation = "GET" },
		"the wrong method":         func(f *emulator.Fault) { f.Operation = "PUT /enable" },
		"nothing to do":            func(f *emulator.Fault) { f.Status = 0 },
		"negative times":           func(f *emulator.Fault) { f.Times = -1 },
		"a tenant that is none":    func(f *emulator.Fault) { f.Tenant = "x" },
		"a status that is none":    func(f *emulator.Fault) { f.Status = 99 },
		"a code without a status":  func(f *emulator.Fault) { f.Status, f.Code = 0, "QuotaExceeded" },
		"an unknown cut":           func(f *emulator.Fault) { f.Cut = "sideways" },
		"an unknown body":          func(f *emulator.Fault) { f.Body = &emulator.FaultBody{Mode: "odd"} },
		"too huge a body":          func(f *emulator.Fault) { f.Body = &emulator.FaultBody{Mode: "huge", Size: 1 << 40} },
		"an in-band error of none": func(f *emulator.Fault) { f.InBand = &emulator.InBandError{} },
		"a throttle of no window":  func(f *emulator.Fault) { f.Throttle = &emulator.Throttle{Requests: 1} },
		"a header with a break":    func(f *emulator.Fault) { f.RetryAfter = []string{"1\r\nX: y"} },
		"a date that is none":      func(f *emulator.Fault) { f.RetryAfter = []string{"date+soon"} },
		"an id that is taken":      func(f *emulator.Fault) { f.ID = "taken" },
	} {
		t.Run(name, func(t *testing.T) {
			e := emulator.New(emulator.Options{})
			if _, err := e.AddFault(emulator.Fault{ID: "taken", Operation: "*", Status: 500}); err != nil {
				t.Fatal(err)
			}
			f := ok
			change(&f)
			if id, err := e.AddFault(f); err == nil {
				t.Errorf("accepted as %s", id)
			}
		})
	}
}

func TestRulesAreLoadedFromADocumentAllOrNone(t *testing.T) {
	e := emulator.New(emulator.Options{})
	ids, err := e.LoadFaults(strings.NewReader(`[{"operation":"*","status":500,"delay":"1s"},{"id":"x","operation":"GET /","cut":"after"}]`))
	if err != nil || strings.Join(ids, " ") != "fault-1 x" {
		t.Fatalf("ids %v, error %v", ids, err)
	}
	for name, doc := range map[string]string{
		"a second rule that is bad": `[{"operation":"*","status":500},{"operation":"?"}]`,
		"an unknown property":       `{"operation":"*","statuz":500}`,
		"one inside a list":         `[{"operation":"*","statuz":500}]`,
		"no JSON":                   `x`,
		"a delay without a unit":    `{"operation":"*","delay":"5"}`,
	} {
		if _, err := e.LoadFaults(strings.NewReader(doc)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if n := len(e.Faults()); n != 2 {
		t.Errorf("%d rules, want 2", n)
	}
}

func TestRulesAndLedgerSpellOperationsAlike(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "GET /protectionpolicies/{id}", Status: 500})
	w.fault(emulator.Fault{Operation: "GET *", Status: 502})
	w.fault(emulator.Fault{Operation: "*", Status: 503})
	w.do("GET", "/protectionPolicies/"+emulator.PolicyC, nil)
	entries := w.e.Ledger(0).Entries
	const want = "GET /protectionPolicies/{policyId}"
	if got := entries[len(entries)-1].Operation; got != want {
		t.Errorf("the ledger has %q, want %q", got, want)
	}
	rules := w.e.Faults()
	if rules[0].Operation != want || rules[1].Operation != "GET *" || rules[2].Operation != "*" {
		t.Errorf("the rules have %q, %q and %q", rules[0].Operation, rules[1].Operation, rules[2].Operation)
	}
}
