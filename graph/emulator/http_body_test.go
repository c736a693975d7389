package emulator_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBodiesPackedWithGzipAreRead(t *testing.T) {
	w := newWorld(t)
	body := packed(t, `{"displayName":"packed"}`)
	for _, coding := range []string{"gzip", "GZIP", "x-gzip"} {
		w.do(http.MethodPost, "/exchangeProtectionPolicies", body, "Content-Encoding", coding).want(201).eq("displayName", "packed")
	}
	w.do(http.MethodPost, "/exchangeProtectionPolicies", `{"displayName":"as it is"}`, "Content-Encoding", "identity").want(201)
	// Microsoft's SDK for Go packs empty bodies too.
	for _, nothing := range []string{packed(t, ""), ""} {
		w.do(http.MethodPost, "/sharePointRestoreSessions", nothing, "Content-Encoding", "gzip").want(201)
	}
	// A rule that names an item sees it in a body that was packed.
	w.fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Item: user(1), Status: 503})
	w.do(http.MethodPost, "/exchangeProtectionPolicies", packed(t, `{"x":"`+user(1)+`"}`), "Content-Encoding", "gzip").want(503)
}

func TestOtherCodingsOfBodiesAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, coding := range []string{"deflate", "br", "gzip, gzip", "x"} {
		w.unchanged(func() {
			r := w.do(http.MethodPost, "/exchangeProtectionPolicies", `{"displayName":"x"}`, "Content-Encoding", coding)
			r.wantError(415, "UnsupportedMediaType").eq("error.target", "Content-Encoding")
			if r.header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("Accept-Encoding = %q", r.header.Get("Accept-Encoding"))
			}
		})
	}
	// A GET has no body that anybody would read.
	w.do(http.MethodGet, "", nil, "Content-Encoding", "br").want(200)
}

func TestPackedBodiesThatAreBrokenAreRefused(t *testing.T) {
	w := newWorld(t)
	whole := packed(t, `{"displayName":"`+strings.Repeat("x", 1000)+`"}`)
	for name, body := range map[string]string{
		"no gzip": `{"displayName":"x"}`, "half of it": whole[:len(whole)/2], "a wrong sum": whole[:len(whole)-8] + "12345678",
		"something after it": whole + "x",
	} {
		t.Run(name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() {
				w.do(http.MethodPost, "/exchangeProtectionPolicies", body, "Content-Encoding", "gzip").wantError(400, "BadRequest")
			})
		})
	}
}

// TestPackedBodiesAreBounded sends 5 MB of blanks in a few thousand bytes.
func TestPackedBodiesAreBounded(t *testing.T) {
	w := newWorld(t)
	body := packed(t, `{"displayName":"x"`+strings.Repeat(" ", emulator.MaxBody)+`}`)
	w.do(http.MethodPost, "/exchangeProtectionPolicies", body, "Content-Encoding", "gzip").wantError(400, "InvalidCreateRequest")
	w.do(http.MethodPost, "/exchangeRestoreSessions", body, "Content-Encoding", "gzip").wantError(413, "RequestEntityTooLarge")
	if r := w.send(http.MethodPost, "/_emulator/seed", body, "Content-Encoding", "gzip"); r.status != 413 {
		t.Errorf("a control call: %d", r.status)
	}
}

func TestControlCallsReadPackedBodies(t *testing.T) {
	w := newWorld(t)
	before := w.e.Clock().Now()
	if r := w.send(http.MethodPost, "/_emulator/clock", packed(t, `{"advance":"1h"}`), "Content-Encoding", "gzip"); r.status != 200 {
		t.Errorf("status %d: %s", r.status, r.raw)
	}
	if got := w.e.Clock().Now().Sub(before).Hours(); got != 1 {
		t.Errorf("%v h later", got)
	}
	if r := w.send(http.MethodPost, "/_emulator/clock", `{}`, "Content-Encoding", "br"); r.status != 415 {
		t.Errorf("status %d: %s", r.status, r.raw)
	}
}

func TestHeadIsAGetWithoutItsBody(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	for _, path := range []string{"", "/protectionPolicies/" + id, "/protectionUnits", "/protectionPolicies/" + stranger} {
		get, head := w.get(path), w.do(http.MethodHead, path, nil)
		if head.status != get.status || len(head.raw) > 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") ||
			head.header.Get("Content-Length") != get.header.Get("Content-Length") {
			t.Errorf("%s: HEAD %d %v %q, GET %d %v", path, head.status, head.header, head.raw, get.status, get.header)
		}
	}
	if r := w.do(http.MethodHead, "/protectionPolicies/"+id+"/activate", nil); r.status != 405 {
		t.Errorf("HEAD of an action: %d", r.status)
	}
	entries := w.e.Ledger(0).Entries
	if last := entries[len(entries)-2]; last.Method != http.MethodHead || last.Operation != "GET /protectionPolicies/{policyId}" {
		t.Errorf("the ledger has %+v", last)
	}
	// A rule for the GET meets it, also one that cuts.
	w.fault(emulator.Fault{Operation: "GET /", Status: 503, Times: 1})
	w.do(http.MethodHead, "", nil).want(503)
	w.fault(emulator.Fault{Operation: "GET /", Cut: "within", Times: 1})
	if r := w.send(http.MethodHead, root, nil); r.status != 200 && r.err == nil {
		t.Errorf("cut within: %d, %v", r.status, r.err)
	}
}

func TestAnswersSayTheirTypes(t *testing.T) {
	w := restorable(t)
	for _, k := range sessionKinds() {
		made := w.do(http.MethodPost, k.sessions, nil).want(201)
		typed := func(r *reply, path string) {
			if want := `"@odata.type":"#microsoft.graph.` + strings.TrimSuffix(strings.TrimPrefix(path, "/"), "s") + `"`; !strings.Contains(string(r.raw), want) {
				t.Errorf("no %s in %s", want, r.raw)
			}
		}
		typed(made, k.sessions)
		path, body := w.bulk(k, []string{k.name})
		request := w.do(http.MethodPost, path, body).want(201)
		request.eq("createdBy.user.identity", user(1)).eq("createdBy.user.id", user(1))
		typed(w.get(path+"/"+request.str("id")).eq("lastModifiedBy.user.identity", user(1)), k.requests)
		typed(w.get(path), k.requests)
	}
}

func TestUsersHaveTheirIdentityWhereExamplesHaveIt(t *testing.T) {
	w := newWorld(t)
	w.do(http.MethodPost, "/enable", `{"appOwnerTenantId":"`+emulator.TenantA+`"}`).want(200).eq("lastModifiedBy.user.identity", user(1))
	w.get("").want(200).eq("serviceStatus.lastModifiedBy.user.identity", user(1)).eq("serviceStatus.lastModifiedBy.user.id", user(1))
	_, path := w.mailboxRules()
	rule := w.settled(path, of(group(1)), true)
	w.do(http.MethodPost, rule+"/deleteAndUnprotect", nil).want(202).eq("createdBy.user.identity", user(1))
}

func TestErrorsOfOffboardingHaveDetails(t *testing.T) {
	w := newWorld(t)
	w.policyWith(user(1))
	for _, action := range []string{"offboard", "cancelOffboard"} {
		w.do(http.MethodPost, "/protectionUnits/"+mailboxUnit(1)+"/"+action, nil).wantError(403, "OperationNotAllowed").eq("error.details", "[]")
	}
	if r := w.do(http.MethodPost, "/protectionPolicies/x/activate", nil); strings.Contains(string(r.raw), "details") {
		t.Errorf("another error has details: %s", r.raw)
	}
}
