package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// line prints what matters of an entry.
func line(e emulator.Entry) string {
	if e.Kind == emulator.EntryRequest {
		return fmt.Sprintf("%s -> %d", e.Operation, e.Status)
	}
	return fmt.Sprintf("%s %s>%s by %d", e.Resource, e.From, e.To, e.Cause)
}

func TestTheLedgerHasEverythingInOrder(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/activate", nil).want(202)
	w.pass(time.Hour)
	w.get("/nothing").want(404)
	w.fault(emulator.Fault{ID: "boom", Operation: "DELETE *", Status: 503})
	w.do(http.MethodDelete, "/protectionPolicies/"+id, nil).want(503)
	page := w.e.Ledger(0)
	want := []string{
		"POST /exchangeProtectionPolicies -> 201",
		"exchangeProtectionPolicy >inactive by 1",
		"mailboxProtectionUnit >unprotected by 1",
		"POST /protectionPolicies/{policyId}/activate -> 202",
		"mailboxProtectionUnit unprotected>protectRequested by 4",
		"exchangeProtectionPolicy inactive>updating by 4",
		"mailboxProtectionUnit protectRequested>protected by 0",
		"exchangeProtectionPolicy updating>active by 0",
		" -> 404",
		"DELETE /protectionPolicies/{policyId} -> 503",
	}
	var got []string
	for i, e := range page.Entries {
		got = append(got, line(e))
		if e.Seq != uint64(i+1) || e.Tenant != emulator.TenantA {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("ledger:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if at := page.Entries[6].Time; !at.Equal(start().Add(5 * time.Minute)) {
		t.Errorf("the step is noted at %v, not when it was due", at)
	}
	if last := page.Entries[9]; last.Fault != "boom" {
		t.Errorf("the rule is not named: %+v", last)
	}
	if page.Last != 10 || page.Dropped != 0 {
		t.Errorf("last %d, dropped %d", page.Last, page.Dropped)
	}
	if rest := w.e.Ledger(8); len(rest.Entries) != 2 || rest.Entries[0].Seq != 9 {
		t.Errorf("since 8: %+v", rest)
	}
	if none := w.e.Ledger(10); len(none.Entries) != 0 || none.Last != 10 {
		t.Errorf("since the last: %+v", none)
	}
}

func TestARequestIsNotedWithWhatIdentifiesItAndWithoutItsToken(t *testing.T) {
	w := newWorld(t).as(map[string]any{"tid": emulator.TenantC, "secret": "hush"})
	const mine = "11111111-2222-4333-8444-555555555555"
	r := w.do(http.MethodGet, "/protectionUnits?$top=3", nil, "client-request-id", mine)
	e := w.e.Ledger(0).Entries[0]
	if e.Tenant != emulator.TenantC || e.Method != http.MethodGet || e.Path != root+"/protectionUnits?$top=3" || e.Operation != "GET /protectionUnits" ||
		e.ClientRequestID != mine || e.RequestID != r.header.Get("request-id") || e.Status != 200 || !e.Time.Equal(start()) {
		t.Errorf("entry %+v", e)
	}
	raw := string(w.send(http.MethodGet, "/_emulator/ledger", nil).want(200).raw)
	token := strings.TrimPrefix(w.auth, "Bearer ")
	for part := range strings.SplitSeq(token, ".") {
		if part != "" && strings.Contains(raw, part) {
			t.Error("the token is in the ledger")
		}
	}
}

func TestTheLedgerIsBoundedAndSaysWhatItDropped(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.LedgerSize = 4 })
	for range 10 {
		w.get("").want(200)
	}
	page := w.e.Ledger(3)
	if len(page.Entries) != 4 || page.Entries[0].Seq != 7 || page.Last != 10 || page.Dropped != 3 {
		t.Errorf("page %+v", page)
	}
	if page := w.e.Ledger(6); len(page.Entries) != 4 || page.Dropped != 0 {
		t.Errorf("page %+v", page)
	}
	w.send(http.MethodGet, "/_emulator/ledger?since=7&limit=2", nil).want(200).eq("last", 9).eq("entries.0.seq", 8).eq("entries.2", nil)
}

func TestASeededMillionIsOneLineInTheLedger(t *testing.T) {
	w := newWorld(t)
	id := w.withUnits(1000)
	w.patch(id, remove(mailboxUnit(1))).want(200)
	w.pass(time.Hour)
	from := w.e.Ledger(0).Last
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/deactivate", nil).want(202)
	w.pass(time.Hour)
	var got []string
	for _, e := range w.e.Ledger(from).Entries {
		if e.Kind == emulator.EntryChange {
			got = append(got, fmt.Sprintf("%s %s %d", e.Resource, e.To, e.Count))
		}
	}
	want := "mailboxProtectionUnit unprotectRequested 999|exchangeProtectionPolicy updating 0|mailboxProtectionUnit unprotected 999|exchangeProtectionPolicy inactive 0"
	if strings.Join(got, "|") != want {
		t.Errorf("changes %v", got)
	}
}

func TestTwoRunsLeaveTheSameLedger(t *testing.T) {
	run := func() string {
		w := newWorld(t)
		id := w.activePolicyWith(user(1), user(2), stranger)
		w.patch(id, remove(mailboxUnit(1)), add(user(7)), remove(stranger)).want(200)
		w.pass(time.Hour)
		w.do(http.MethodPost, "/protectionPolicies/"+id+"/deactivate", nil).want(202)
		w.pass(time.Hour)
		return fmt.Sprintf("%+v", w.e.Ledger(0).Entries)
	}
	if a, b := run(), run(); a != b {
		t.Errorf("\n%s\n%s", a, b)
	}
}
