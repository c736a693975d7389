package emulator_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// hits searches a mailbox and returns how many messages its newest point holds;
// 0 when no point holds any.
func (w *world) hits(n int, query string) int {
	w.t.Helper()
	r := w.search(map[string]any{
		"protectionUnitIds": []string{mailboxUnit(n)},
		"artifactQuery":     map[string]any{"queryExpression": query, "artifactType": "message"},
	}).want(200)
	count, _ := r.at("searchResults.0.artifactHitCount").(float64)
	if (count == 0) != (len(r.list("noResultProtectionUnitIds")) == 1) {
		w.t.Errorf("%v hits, but: %s", count, r.raw)
	}
	return int(count)
}

func (w *world) mail(m emulator.Message) {
	w.t.Helper()
	m.Tenant = emulator.TenantA
	if err := w.e.AddMessage(m); err != nil {
		w.t.Fatal(err)
	}
}

func TestMailQueries(t *testing.T) {
	w := restorable(t)
	w.mail(emulator.Message{User: user(9), Sender: "abc@contoso.example", Subject: "You should Check email now", HasAttachment: true,
		Received: start().Add(-time.Hour), Deleted: start().Add(-time.Minute)})
	w.mail(emulator.Message{User: user(9), Sender: "abc@contoso.example", Subject: " Important", Received: start().Add(-time.Hour)})
	w.mail(emulator.Message{User: user(9), Sender: "o'hara@contoso.example", Subject: "a*b", Received: start().Add(-time.Hour)})
	for _, tc := range []struct {
		name, query string
		want        int
	}{
		{"Microsoft's sample", "(Sender -eq 'abc@contoso.example') -and (Subject -like '*Check email*' -or Subject -like ' Important') -and (HasAttachment -eq 'true') -and (PitrDumpsterActionTriggeredTime -gt '{2024-09-21T08:20:00.0000000Z}')", 1},
		{"any case of letters", "sender -EQ 'ABC@contoso.example'", 2},
		{"or", "Subject -eq ' Important' -OR Subject -eq 'A*B'", 2},
		{"and binds tighter than or", "Subject -eq ' Important' -or Sender -eq 'x' -and Sender -eq 'y'", 1},
		{"brackets", "(Subject -eq ' Important' -or Sender -eq 'x') -and Sender -eq 'y'", 0},
		{"a quote in a literal", "Sender -eq 'o''hara@contoso.example'", 1},
		{"a pattern without a star is the whole text", "Subject -like 'Check email'", 0},
		{"a star at the end", "Sender -like 'abc@*'", 2},
		{"stars around", "Sender -like '*@contoso.*'", 3},
		{"a star in the middle", "Subject -like 'you*now'", 1},
		{"no attachment", "HasAttachment -eq 'False' -and Sender -like '*@contoso.example'", 2},
		{"deleted at a moment", "PitrDumpsterActionTriggeredTime -ge '2030-01-02T03:03:05.6Z' -and PitrDumpsterActionTriggeredTime -le '2030-01-02T03:03:05.6Z'", 1},
		{"deleted before", "PitrDumpsterActionTriggeredTime -lt '2030-01-02T03:03:05.6Z'", 0},
		{"what nobody sent", "Sender -eq 'nobody'", 0},
		{"the computed mail from outside", "Sender -eq 'news@partner.example'", 8}, // user 9 has 25 messages
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := w.within(t).hits(9, tc.query); got != tc.want {
				t.Errorf("%d hits, want %d", got, tc.want)
			}
		})
	}
	for _, bad := range []string{
		"Sender", "Sender -eq", "Sender -eq x", "Sender -gt 'x'", "From -eq 'x'", "Sender -eq 'x", "Sender -eq 'x' and Sender -eq 'y'",
		"(Sender -eq 'x'", "Sender -eq 'x')", "HasAttachment -eq 'yes'", "PitrDumpsterActionTriggeredTime -gt '{soon}'", "-and", "()",
	} {
		w.search(map[string]any{
			"protectionUnitIds": []string{mailboxUnit(9)}, "artifactQuery": map[string]any{"queryExpression": bad},
		}).wantError(400, "InvalidSearchRequest")
	}
}

func TestASearchLooksForPointsThatHoldWhatItAsksFor(t *testing.T) {
	w := restorable(t)
	search := func(preference string) *reply {
		return w.search(map[string]any{
			"protectionUnitIds": []string{mailboxUnit(9)}, "restorePointPreference": preference,
			"artifactQuery": map[string]any{"queryExpression": "Subject -eq 'secret'"},
		}).want(200)
	}
	w.mail(emulator.Message{User: user(9), Subject: "secret", Received: start().Add(-2 * time.Hour), Deleted: start().Add(-time.Hour)})
	search("latest").eq("searchResults.0.artifactHitCount", 1).
		eq("searchResults.0.restorePoint.protectionDateTime", "2030-01-02T01:59:06.0000000Z")
	search("oldest").eq("searchResults.0.restorePoint.protectionDateTime", "2030-01-02T01:09:06.0000000Z")
	w.mail(emulator.Message{User: user(9), Subject: "secret"}) // now: in no point yet
	search("latest").eq("searchResults.0.restorePoint.protectionDateTime", "2030-01-02T01:59:06.0000000Z")
	w.pass(10 * time.Minute)
	search("latest").eq("searchResults.0.restorePoint.protectionDateTime", "2030-01-02T03:09:06.0000000Z")
}

func TestTheReadmesMailAndFilesAreAccepted(t *testing.T) {
	found := regexp.MustCompile(`(?s)localhost:8080(/_emulator/(?:mail|files)) -d '(.*?)'`).FindAllStringSubmatch(readme(t), -1)
	if len(found) != 2 {
		t.Fatalf("%d requests in the README", len(found))
	}
	for _, m := range found {
		newWorld(t).send(http.MethodPost, m[1], m[2]).want(200)
	}
}

func TestMailAndFilesAreAddedOverHTTP(t *testing.T) {
	w := restorable(t)
	post := func(what string, body map[string]any) *reply {
		body["tenant"] = emulator.TenantA
		return w.send(http.MethodPost, "/_emulator/"+what, body)
	}
	hour := "2030-01-02T02:00:00Z"
	post("mail", map[string]any{"user": user(1), "subject": "by hand", "sender": "x@y", "hasAttachment": true, "received": hour}).want(200)
	if n := w.hits(1, "Subject -eq 'by hand'"); n != 1 {
		t.Errorf("%d hits, want 1", n)
	}
	if n := w.in(emulator.TenantC).hits(1, "Subject -eq 'by hand'"); n != 0 {
		t.Errorf("another tenant sees it: %d hits", n)
	}
	key := post("files", map[string]any{"object": user(1), "path": "Documents/A/B/new.txt", "size": 7, "created": hour}).want(200).str("itemKey")
	b := w.browsing("/oneDriveForBusinessBrowseSessions", driveUnit(1))
	w.do(http.MethodPost, "/oneDriveForBusinessBrowseSessions/"+b+"/browse", map[string]any{"filter": "(name -contains 'NEW')"}).
		want(200).eq("value.0.itemKey", key).eq("value.0.sizeInBytes", "7").eq("value.1", nil)
	post("files", map[string]any{"object": emulator.SiteA1, "path": "Site Assets/folder", "folder": true}).want(200)
	for name, body := range map[string]map[string]any{
		"a user without a mailbox":      {"user": emulator.UserANoLicense},
		"an unknown user":               {"user": stranger},
		"a deletion before the arrival": {"user": user(1), "received": hour, "deleted": "2030-01-01T00:00:00Z"},
		"a misspelt property":           {"user": user(1), "Subjekt": "x"},
		"a time that is none":           {"user": user(1), "received": "yesterday"},
	} {
		t.Run("mail with "+name, func(t *testing.T) { post("mail", body).want(400) })
	}
	for name, body := range map[string]map[string]any{
		"an unknown object":         {"object": stranger, "path": "Documents/x"},
		"a user without a drive":    {"object": emulator.UserANoLicense, "path": "Documents/x"},
		"a path without a library":  {"object": user(1), "path": "x"},
		"an unknown library":        {"object": user(1), "path": "Site Assets/x"},
		"an empty part":             {"object": user(1), "path": "Documents//x"},
		"what is there":             {"object": user(1), "path": "Documents/A/B/new.txt"},
		"a folder that is there":    {"object": user(1), "path": "Documents/Reports", "folder": true},
		"a file as a folder":        {"object": user(1), "path": "Documents/A/B/new.txt/x"},
		"a folder that has a size":  {"object": user(1), "path": "Documents/y", "folder": true, "size": 1},
		"a size below nothing":      {"object": user(1), "path": "Documents/y", "size": -1},
		"a misspelt property":       {"object": user(1), "Path": "Documents/y", "x": 1},
		"a library as a plain file": {"object": user(1), "path": "Documents/"},
	} {
		t.Run("a file with "+name, func(t *testing.T) { post("files", body).want(400) })
	}
	if err := w.e.AddMessage(emulator.Message{Tenant: "x"}); err == nil {
		t.Error("a tenant that is no GUID was accepted")
	}
}
