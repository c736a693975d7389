package emulator_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestARuleMatchesHeadersQueryAndBody(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "*", Status: 503, Match: &emulator.FaultMatch{Headers: map[string]string{"x-suite": "blue", "x-run": ""}}})
	w.fault(emulator.Fault{Operation: "*", Status: 502, Match: &emulator.FaultMatch{Query: "$top=7"}})
	w.fault(emulator.Fault{Operation: "POST *", Status: 504, Match: &emulator.FaultMatch{Body: `"displayName":"Doomed`}})
	w.do(http.MethodGet, "/", nil, "X-Suite", "dark blue", "X-Run", "1").want(503)
	w.do(http.MethodGet, "/", nil, "X-Suite", "dark blue").want(200)
	w.do(http.MethodGet, "/", nil, "X-Suite", "red", "X-Run", "1").want(200)
	w.get("/protectionUnits?$top=7").want(502)
	w.get("/protectionUnits?%24top=7").want(502)
	w.get("/protectionUnits?$top=8").want(200)
	w.do(http.MethodPost, "/exchangeProtectionPolicies", map[string]any{"displayName": "Doomed one"}).want(504)
	w.do(http.MethodPost, "/exchangeProtectionPolicies", map[string]any{"displayName": "Good one"}).want(201)
	for _, bad := range []string{
		`{"operation":"*","status":503,"match":{}}`, `{"operation":"*","status":503,"match":{"headers":{"authorization":"x"}}}`,
		`{"operation":"*","status":503,"match":{"header":{}}}`, `{"operation":"*","status":503,"probability":1.5}`,
		`{"operation":"*","status":503,"probability":-0.1}`, `{"operation":"*","body":{"mode":"slow","pause":"2m"}}`,
		`{"operation":"*","body":{"mode":"slow","size":-1}}`,
	} {
		w.control(http.MethodPost, "faults", bad).want(400)
	}
}

// What chance says is the same in each run, and in each tenant whatever the others do.
func TestChanceIsDrawnFromASeed(t *testing.T) {
	draw := func(seed int64, others bool) string {
		w := newWorld(t)
		w.fault(emulator.Fault{Operation: "GET /", Status: 503, Probability: 0.3, ProbabilitySeed: seed})
		var drawn strings.Builder
		for range 200 {
			if others {
				w.in(emulator.TenantB).get("/")
			}
			drawn.WriteString(map[int]string{200: ".", 503: "x"}[w.in(emulator.TenantA).get("/").status])
		}
		return drawn.String()
	}
	first := draw(1, false)
	if n := strings.Count(first, "x"); n < 40 || n > 80 {
		t.Errorf("%d of 200 were hit, with a probability of 0.3", n)
	}
	if len(first) != 200 || draw(1, true) != first {
		t.Error("another tenant changed what was drawn")
	}
	if draw(2, false) == first {
		t.Error("another seed draws the same")
	}
}

func TestABodyComesSlowly(t *testing.T) {
	w := newWorld(t)
	const pause = 30 * time.Millisecond
	whole := w.get("/").want(200)
	pieces := (len(whole.raw) + 99) / 100
	w.fault(emulator.Fault{Operation: "GET /", Body: &emulator.FaultBody{Mode: "slow", Size: 100, Pause: emulator.Duration(pause)}})
	resp, err := w.client.Get(w.server.URL + root + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err != nil || len(body) != len(whole.raw) {
		t.Fatalf("%d bytes of %d: %v", len(body), len(whole.raw), err)
	}
	// The head is there before the first pause, which has begun then.
	if least := time.Duration(pieces-1) * pause; took < least {
		t.Errorf("%d pieces took %v, want at least %v", pieces, took, least)
	}
	// A client that goes away ends it.
	w.e.ClearFaults()
	w.fault(emulator.Fault{Operation: "GET /", Body: &emulator.FaultBody{Mode: "slow", Pause: emulator.Duration(time.Minute)}})
	resp, err = w.client.Get(w.server.URL + root + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := bufio.NewReader(resp.Body).ReadByte(); err == nil {
		t.Error("a closed body can be read")
	}
}

// Windows of a throttle are measured in real time, as clients wait in it: the emulated clock does not open them.
func TestAThrottleCountsInRealTime(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "GET /", Throttle: &emulator.Throttle{Requests: 1, Window: emulator.Duration(time.Minute)}})
	w.get("/").want(200)
	w.get("/").want(429)
	w.pass(time.Hour)
	w.get("/").want(429)
	w.base.Add(time.Minute)
	w.get("/").want(200)
}
