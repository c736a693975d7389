package emulator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

const root = "/v1.0/solutions/backupRestore"

// start is the emulated time at which every test begins.
func start() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 600_000_000, time.UTC) }

// world is an emulator behind a loopback listener, with a clock that stands
// still until a test moves it.
type world struct {
	t      *testing.T
	e      *emulator.Emulator
	server *httptest.Server
	client *http.Client
	base   *handClock
	auth   string // Authorization of every request; empty for none
}

// handClock is a base clock that moves by hand only.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newWorld(t *testing.T, change ...func(*emulator.Options)) *world {
	t.Helper()
	w := &world{t: t, base: &handClock{now: start()}}
	opts := emulator.Options{Start: start(), Stopped: true, Base: w.base.Now}
	for _, c := range change {
		c(&opts)
	}
	w.e = emulator.New(opts)
	w.server = httptest.NewServer(w.e)
	t.Cleanup(w.server.Close)
	// One connection per request: the transport then repeats nothing by itself
	// when a fault cuts the connection.
	transport := &http.Transport{DisableKeepAlives: true}
	w.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return w
}

// as returns the same world seen by another caller.
func (w *world) as(claims map[string]any) *world {
	other := *w
	other.auth = bearer(claims)
	return &other
}

// in returns the same world seen by an unrestricted caller of a tenant.
func (w *world) in(tenant string) *world { return w.as(map[string]any{"tid": tenant}) }

func bearer(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return "Bearer " + enc([]byte(`{"alg":"none"}`)) + "." + enc(payload) + "."
}

// reply is an answer, read to its end.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	raw    []byte
	err    error // of the request, or of reading the body
}

// send makes a request. A body that is a string goes as it is, any other as
// JSON; headers come in pairs.
func (w *world) send(method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		data, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	if !strings.HasPrefix(path, "http") {
		path = w.server.URL + path
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.auth != "" {
		req.Header.Set("Authorization", w.auth)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	r := &reply{t: w.t}
	resp, err := w.client.Do(req)
	if err != nil {
		r.err = err
		return r
	}
	defer resp.Body.Close()
	r.status, r.header = resp.StatusCode, resp.Header
	r.raw, r.err = io.ReadAll(resp.Body)
	return r
}

// do is send below the API's root, for answers that must arrive.
func (w *world) do(method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	r := w.send(method, root+path, body, headers...)
	if r.err != nil {
		w.t.Fatalf("%s %s: %v", method, path, r.err)
	}
	return r
}

func (w *world) get(path string) *reply { w.t.Helper(); return w.do(http.MethodGet, path, nil) }

// want fails the test unless the answer has the status.
func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.err != nil || r.status != status {
		r.t.Fatalf("status = %d (error %v), want %d; body %s", r.status, r.err, status, r.raw)
	}
	return r
}

// wantError fails the test unless the answer is a refusal in Graph's shape.
func (r *reply) wantError(status int, code string) *reply {
	r.t.Helper()
	r.want(status)
	if got := r.str("error.code"); got != code {
		r.t.Fatalf("error code = %q, want %q; body %s", got, code, r.raw)
	}
	if r.str("error.message") == "" {
		r.t.Errorf("the error has no message: %s", r.raw)
	}
	return r
}

// at digs a value out of a JSON body: "error.code", "value.0.id". Property names
// that hold a dot cannot be reached this way.
func (r *reply) at(path string) any {
	r.t.Helper()
	var v any
	if err := json.Unmarshal(r.raw, &v); err != nil {
		r.t.Fatalf("body is no JSON: %v\n%s", err, r.raw)
	}
	for key := range strings.SplitSeq(path, ".") {
		if key == "" {
			continue
		}
		switch node := v.(type) {
		case map[string]any:
			v = node[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
}

func (r *reply) str(path string) string {
	r.t.Helper()
	s, _ := r.at(path).(string)
	return s
}

func (r *reply) list(path string) []any {
	r.t.Helper()
	l, _ := r.at(path).([]any)
	return l
}

// eq fails the test unless the value at the path prints as wanted.
func (r *reply) eq(path string, want any) *reply {
	r.t.Helper()
	if got := fmt.Sprint(r.at(path)); got != fmt.Sprint(want) {
		r.t.Errorf("%s = %v, want %v; body %s", path, got, want, r.raw)
	}
	return r
}

// pass moves the emulated clock.
func (w *world) pass(d time.Duration) { w.e.Clock().Advance(d) }

// fault adds a rule that must be good.
func (w *world) fault(f emulator.Fault) string {
	w.t.Helper()
	id, err := w.e.AddFault(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// changes counts the changes of state so far.
func (w *world) changes() int {
	n := 0
	for _, entry := range w.e.Ledger(0).Entries {
		if entry.Kind == emulator.EntryChange {
			n++
		}
	}
	return n
}

// unchanged runs something that must not change any state.
func (w *world) unchanged(what func()) {
	w.t.Helper()
	before := w.changes()
	what()
	if after := w.changes(); after != before {
		w.t.Errorf("%d changes of state where there must be none", after-before)
	}
}

func mailboxes(users ...string) map[string]any {
	items := []any{}
	for _, u := range users {
		items = append(items, map[string]any{"directoryObjectId": u})
	}
	return map[string]any{"displayName": "Test policy", "mailboxProtectionUnits": items}
}

func add(user string) map[string]any { return map[string]any{"directoryObjectId": user} }

func remove(unit string) map[string]any {
	return map[string]any{"@removed": map[string]any{"reason": "changed"}, "id": unit}
}

func delta(items ...any) map[string]any {
	if items == nil {
		items = []any{}
	}
	return map[string]any{"mailboxProtectionUnits@delta": items}
}

// policyWith makes an Exchange policy and returns its id.
func (w *world) policyWith(users ...string) string {
	w.t.Helper()
	return w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes(users...)).want(http.StatusCreated).str("id")
}

// activePolicyWith makes one whose units have come to rest.
func (w *world) activePolicyWith(users ...string) string {
	w.t.Helper()
	id := w.policyWith(users...)
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(http.StatusAccepted)
	w.pass(5 * time.Minute)
	return id
}

func (w *world) policyStatus(id string) string {
	w.t.Helper()
	return w.get("/protectionPolicies/" + id).want(http.StatusOK).str("status")
}

// patch sends a delta and returns its items.
func (w *world) patch(policy string, items ...any) *reply {
	w.t.Helper()
	return w.do(http.MethodPatch, "/exchangeProtectionPolicies/"+policy, delta(items...))
}

func (w *world) unit(id string) *reply {
	w.t.Helper()
	return w.get("/protectionUnits/" + id).want(http.StatusOK)
}

func user(n int) string { return emulator.UserID(emulator.TenantA, n) }

func mailboxUnit(n int) string { return emulator.UnitID(emulator.TenantA, emulator.Exchange, n) }

// stranger is a well-formed id that nothing has.
const stranger = "99999999-9999-4999-8999-999999999999"
