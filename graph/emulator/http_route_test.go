package emulator_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestPathsAreReadInEveryDocumentedSpelling(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	for _, path := range []string{
		root + "/protectionPolicies/" + id,
		root + "/ProtectionPolicies/" + strings.ToUpper(id),
		"/V1.0/SOLUTIONS/BACKUPRESTORE/PROTECTIONPOLICIES/" + id,
		root + "/protectionPolicies('" + id + "')",
		root + "/protectionPolicies(%27" + id + "%27)",
		root + "/protectionPolicies/" + id + "/",
	} {
		w.send(http.MethodGet, path, nil).want(200).eq("id", id)
	}
	w.send(http.MethodGet, root+"/protectionpolicies('"+id+"')", nil).want(200)
	w.send(http.MethodPost, root+"/protectionPolicies('"+id+"')/Activate", nil).want(202)
	w.send(http.MethodGet, root+"/protectionUnits/Microsoft.Graph.MailboxProtectionUnit", nil).want(200)
	w.send(http.MethodGet, root+"/protectionUnits('"+mailboxUnit(1)+"')", nil).want(200).eq("id", mailboxUnit(1))
}

func TestAnythingElseIsNotFound(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/", "/v1.0", "/v1.0/solutions", "/beta/solutions/backupRestore", "/v1.0/me", "/v1.0/users/x/y", root + "x",
		root + "/protectionPolicy", root + "/protectionPolicies/" + stranger + "/x", root + "//protectionPolicies",
		root + "/protectionPolicies/%zz", root + "/exchangeProtectionPolicies/" + stranger + "/driveProtectionUnits",
		root + "/protectionPolicies()", root + "/protectionPolicies('x", "/_emulatorx",
	} {
		if strings.Contains(path, "%zz") {
			continue // no client sends it; see the raw request below
		}
		w.send(http.MethodGet, path, nil).wantError(404, "ResourceNotFound")
	}
}

func TestMethodsThatAResourceDoesNotHave(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct{ method, path, allow string }{
		{http.MethodPut, "/protectionPolicies", "GET"},
		{http.MethodPatch, "/protectionPolicies/" + stranger, "GET, DELETE"},
		{http.MethodPut, "/exchangeProtectionPolicies", "POST, GET"},
		{http.MethodGet, "/protectionPolicies/" + stranger + "/activate", "POST"},
		{http.MethodDelete, "/emailNotificationsSetting", "GET, PATCH"},
		{http.MethodPost, mailboxCast, "GET"},
	} {
		r := w.do(tc.method, tc.path, "{}").wantError(405, "MethodNotAllowed")
		if got := r.header.Get("Allow"); got != tc.allow {
			t.Errorf("%s %s: Allow = %q, want %q", tc.method, tc.path, got, tc.allow)
		}
	}
}

func TestEveryAnswerCarriesItsIds(t *testing.T) {
	guid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	w := newWorld(t)
	seen := map[string]bool{}
	for _, path := range []string{"", "/protectionPolicies", "/protectionPolicies/x", "/nothing", "/serviceApps"} {
		const mine = "ABCDEF00-1111-4222-8333-444444444444"
		r := w.do(http.MethodGet, path, nil, "client-request-id", mine)
		id := r.header.Get("request-id")
		if !guid.MatchString(id) || seen[id] {
			t.Errorf("%q: request-id = %q", path, id)
		}
		seen[id] = true
		if got := r.header.Get("client-request-id"); got != mine {
			t.Errorf("%q: client-request-id = %q, want it echoed", path, got)
		}
		if got := r.header.Get("Date"); got != "Wed, 02 Jan 2030 03:04:05 GMT" {
			t.Errorf("%q: Date = %q, want the emulated one", path, got)
		}
		if r.status >= 400 {
			r.eq("error.innerError.request-id", id).eq("error.innerError.client-request-id", mine).
				eq("error.innerError.date", "2030-01-02T03:04:05")
		}
	}
	r := w.do(http.MethodGet, "", nil, "client-request-id", "no GUID")
	if got := r.header.Get("client-request-id"); got != r.header.Get("request-id") {
		t.Errorf("client-request-id = %q", got)
	}
}

func TestTheContentTypeOfABodyDoesNotMatter(t *testing.T) {
	w := newWorld(t)
	w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes(user(1)), "Content-Type", "text/plain").want(201)
}

// A request whose body never ends was not read, so it must not have happened.
func TestABodyThatBreaksOffIsNoRequest(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s/exchangeProtectionPolicies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"displayName\":", root)
	conn.(*net.TCPConn).CloseWrite()
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("status = %d", resp.StatusCode)
		}
	}
	conn.Close()
	if n := len(w.e.Ledger(0).Entries); n != 0 {
		t.Errorf("%d ledger entries, want none", n)
	}
}

func TestTheHandlerIsSafeForConcurrentUse(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.LedgerSize = 50 })
	policy := w.activePolicyWith(user(1))
	done := make(chan error)
	const clients = 8
	for n := range clients {
		go func() {
			for i := range 10 {
				body := strings.NewReader(fmt.Sprintf(`{"mailboxProtectionUnits@delta":[{"directoryObjectId":%q}]}`, user(20+n*10+i)))
				req, _ := http.NewRequest(http.MethodPatch, w.server.URL+root+"/exchangeProtectionPolicies/"+policy, body)
				resp, err := w.client.Do(req)
				if err != nil || resp.StatusCode != http.StatusOK {
					done <- fmt.Errorf("patch: %v %w", resp, err)
					return
				}
				resp.Body.Close()
				if resp, err = w.client.Get(w.server.URL + root + "/protectionUnits"); err != nil {
					done <- err
					return
				}
				resp.Body.Close()
				w.e.Clock().Advance(10e9)
				w.e.Ledger(0)
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	w.pass(3600e9)
	if n, _ := w.walk("/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits"); len(n) != 81 {
		t.Errorf("%d units, want 81", len(n))
	}
	w.wantPolicy(policy, "active")
}
