package emulator_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// suite is a test suite of somebody, in a tenant of its own: requests, control calls of its tenant, resets, faults.
type suite struct {
	tenant string
	steps  []func(*suite) *http.Request
	seen   []string // what it got, in order
	policy string
}

func (s *suite) request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "http://graph.test"+path, strings.NewReader(body))
	r.Header.Set("Authorization", bearer(map[string]any{"tid": s.tenant}))
	return r
}

func (s *suite) api(method, path, body string) func(*suite) *http.Request {
	return func(s *suite) *http.Request {
		return s.request(method, root+strings.ReplaceAll(path, "{policy}", s.policy), body)
	}
}

func (s *suite) control(method, path, body string) func(*suite) *http.Request {
	return func(s *suite) *http.Request {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		return s.request(method, "/_emulator/"+path+separator+"tenant="+s.tenant, body)
	}
}

// newSuite writes a suite of some length, at random.
func newSuite(tenant string, random *rand.Rand, length int) *suite {
	s := &suite{tenant: tenant}
	units := func() string {
		var items []string
		for range 1 + random.IntN(3) {
			items = append(items, `{"directoryObjectId":"`+emulator.UserID(tenant, 7+random.IntN(40))+`"}`)
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	rules := []string{
		`{"operation":"GET *","status":503,"times":1,"retryAfter":["2"]}`, `{"operation":"*","status":500,"probability":0.5,"probabilitySeed":4}`,
		`{"id":"mine","operation":"GET /protectionPolicies","throttle":{"requests":1,"window":"1h"}}`,
		`{"operation":"POST /exchangeProtectionPolicies","status":504,"afterWork":true,"times":1}`,
	}
	s.steps = append(s.steps, s.control(http.MethodPost, "clock", `{"speed":0,"now":"2030-01-01T00:00:00Z"}`))
	for len(s.steps) < length {
		switch random.IntN(12) {
		case 0, 1:
			s.steps = append(s.steps, s.api(http.MethodPost, "/exchangeProtectionPolicies", `{"displayName":"Mail","mailboxProtectionUnits":`+units()+`}`))
		case 2:
			s.steps = append(s.steps, s.api(http.MethodPost, "/protectionPolicies/{policy}/activate", ""))
		case 3:
			s.steps = append(s.steps, s.api(http.MethodPatch, "/exchangeProtectionPolicies/{policy}", `{"mailboxProtectionUnits@delta":`+units()+`}`))
		case 4, 5:
			s.steps = append(s.steps, s.api(http.MethodGet, "/protectionPolicies", ""))
		case 6:
			s.steps = append(s.steps, s.api(http.MethodGet, "/protectionUnits?$top=2", ""))
		case 7:
			s.steps = append(s.steps, s.control(http.MethodPost, "clock", fmt.Sprintf(`{"advance":"%dm"}`, 1+random.IntN(9))))
		case 8:
			s.steps = append(s.steps, s.control(http.MethodPost, "faults", rules[random.IntN(len(rules))]))
		case 9:
			s.steps = append(s.steps, s.control(http.MethodDelete, "faults", ""), s.control(http.MethodGet, "faults", ""))
		case 10:
			s.steps = append(s.steps, s.control(http.MethodGet, "ledger?kind=request", ""))
		case 11:
			if random.IntN(3) == 0 {
				s.steps = append(s.steps, s.control(http.MethodPost, "reset", ""),
					s.control(http.MethodPost, "clock", `{"speed":0,"now":"2030-01-01T00:00:00Z"}`))
			}
		}
	}
	return s
}

// step takes the next step of a suite and notes all that it got.
func (s *suite) step(e *emulator.Emulator, n int) {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, s.steps[n](s))
	body := w.Body.Bytes()
	if id, found := bytes.CutPrefix(body, []byte(`{"@odata.context":`)); found && w.Code == http.StatusCreated {
		if _, rest, found := bytes.Cut(id, []byte(`"id":"`)); found {
			s.policy = string(rest[:36])
		}
	}
	header := w.Header()
	s.seen = append(s.seen, fmt.Sprint(w.Code, " ", header["Request-Id"], header["request-id"], header["Date"], header["Retry-After"], " ", numbered(body)))
}

// numbered takes the numbers of the ledger out, which are those of all tenants.
func numbered(body []byte) string {
	var kept []string
	for line := range strings.SplitSeq(string(body), "\n") {
		if text := strings.TrimSpace(line); !strings.HasPrefix(text, `"seq":`) && !strings.HasPrefix(text, `"cause":`) && !strings.HasPrefix(text, `"last":`) {
			kept = append(kept, text)
		}
	}
	return strings.Join(kept, "\n")
}

func standingStill() *emulator.Emulator {
	return emulator.New(emulator.Options{Start: start(), Stopped: true, Base: func() time.Time { return start() }})
}

// alone runs a suite on an emulator that nobody else uses.
func (s *suite) alone() {
	e := standingStill()
	for n := range s.steps {
		s.step(e, n)
	}
}

// Two suites share an emulator, step by step in a random order. Each sees, to the byte, what it sees alone.
func TestSuitesInTheirTenantsDoNotSeeEachOther(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for round := range rounds {
		suites := func() []*suite {
			return []*suite{
				newSuite(emulator.TenantA, rand.New(rand.NewPCG(uint64(round), 1)), 30), newSuite(emulator.TenantC, rand.New(rand.NewPCG(uint64(round), 2)), 30),
			}
		}
		apart, together := suites(), suites()
		for _, s := range apart {
			s.alone()
		}
		e := standingStill()
		random := rand.New(rand.NewPCG(uint64(round), 3))
		next := []int{0, 0}
		for next[0] < len(together[0].steps) || next[1] < len(together[1].steps) {
			i := random.IntN(2)
			if next[i] == len(together[i].steps) {
				continue
			}
			together[i].step(e, next[i])
			next[i]++
		}
		for i := range apart {
			for n := range apart[i].seen {
				if apart[i].seen[n] != together[i].seen[n] {
					t.Fatalf("round %d, tenant %s, step %d: alone\n%s\ntogether\n%s", round, apart[i].tenant, n, apart[i].seen[n], together[i].seen[n])
				}
			}
		}
	}
}
