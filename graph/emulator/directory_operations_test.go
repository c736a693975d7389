package emulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// look reads a path of Graph's directory.
func (w *world) look(path string, options ...string) *reply {
	w.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(options); i += 2 {
		q.Set(options[i], options[i+1])
	}
	if len(q) > 0 {
		path += "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
	}
	return w.send(http.MethodGet, "/v1.0"+path, nil)
}

func TestTheDirectoryIsPaged(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	next := "/v1.0/users?$top=70"
	for pages := 1; next != ""; pages++ {
		r := w.send(http.MethodGet, next, nil).want(200)
		for _, u := range r.list("value") {
			seen[u.(map[string]any)["id"].(string)] = true
		}
		var page map[string]any
		page, _ = r.at("").(map[string]any)
		next, _ = page["@odata.nextLink"].(string)
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d users, want 200", len(seen))
	}
	w.look("/users", "$top", "0").wantError(400, "BadRequest")
	w.look("/users", "$skiptoken", "x").wantError(400, "BadRequest")
	w.look("/users", "$orderby", "mail").wantError(400, "BadRequest")
	w.look("/sites").want(200).eq("value.49.displayName", "Site 50")
}

func TestTheDirectoryIsFiltered(t *testing.T) {
	w := newWorld(t)
	for filter, want := range map[string]int{
		"mail eq 'BRUNO.berg.1@a.example'": 1, "mail eq 'nobody@a.example'": 0, "mail in ('bruno.berg.1@a.example','chidi.costa.2@a.example','x')": 2,
		"startswith(displayName,'Bruno ')": 13, "startsWith(displayName,'x')": -1, "endswith(mail,'.1@a.example')": 1, "accountEnabled eq true": 200,
		"accountEnabled eq false": 0, "id eq '" + emulator.UserA3 + "'": 1, "id eq 'x'": 0, "mail eq 'bruno.berg.1@a.example' or id eq '" + emulator.UserA2 + "'": 2,
		"mail eq 'bruno.berg.1@a.example' and surname eq 'Costa'": 0, "(givenName eq 'Bruno' or givenName eq 'Ada') and surname ne 'Berg'": 23,
		"nickname eq 'x'": -1, "mail eq": -1, "mail eq 'x": -1, "mail gt 'x'": -1, "jobTitle eq null": 200, "mail in ()": -1, "(mail eq 'x'": -1,
		"mail eq 'x' mail": -1,
	} {
		r := w.look("/users", "$filter", filter, "$top", "999", "$count", "true")
		if want < 0 {
			if r.status != 400 || r.str("error.target") != "$filter" {
				t.Errorf("%s: %d %s", filter, r.status, r.raw)
			}
			continue
		}
		var page map[string]any
		page, _ = r.want(200).at("").(map[string]any)
		if got := len(r.list("value")); got != want || page["@odata.count"] != float64(want) {
			t.Errorf("%s: %d users, count %v, want %d", filter, got, page["@odata.count"], want)
		}
	}
	w.look("/groups", "$filter", "displayName eq 'Group 5'").want(200).eq("value.0.id", emulator.GroupANested).eq("value.1", nil)
	w.look("/sites", "search", "site 4").want(200).eq("value.0.displayName", "Site 4").eq("value.1.displayName", "Site 40")
	w.look("/sites", "search", "*", "$top", "2").want(200).eq("value.1.displayName", "Site 2")
}

func TestTheDirectoryShowsWhatIsSelected(t *testing.T) {
	w := newWorld(t)
	r := w.look("/users/"+emulator.UserA1, "$select", "id,mail,accountEnabled,assignedLicenses").want(200).
		eq("mail", "bruno.berg.1@a.example").eq("accountEnabled", true).eq("displayName", nil)
	if len(r.list("assignedLicenses")) != 1 {
		t.Errorf("the licenses are %s", r.raw)
	}
	if n := len(w.look("/users/"+emulator.UserANoLicense, "$select", "assignedLicenses").want(200).list("assignedLicenses")); n != 0 {
		t.Errorf("user 4 has %d licenses", n)
	}
	w.look("/users", "$select", "nick").wantError(400, "BadRequest")
	w.look("/groups/"+emulator.GroupA1+"/members", "$select", "id", "$top", "1").want(200).eq("value.0.id", emulator.UserA1).eq("value.0.mail", nil)
	w.look("/groups/"+emulator.GroupANested).want(200).eq("displayName", "Group 5")
	w.look("/groups/"+stranger).wantError(404, "Request_ResourceNotFound")
	w.look("/groups/"+stranger+"/members").wantError(404, "Request_ResourceNotFound")
	w.look("/sites/"+emulator.SiteA1).want(200).eq("webUrl", "https://a.sharepoint.example/sites/site-1")
	w.look("/sites/a.sharepoint.example:/sites/site-3").want(200).eq("id", emulator.SiteA3)
	w.look("/sites/a.sharepoint.example:/sites/site-99").wantError(404, "itemNotFound")
	w.look("/sites/"+stranger).wantError(404, "itemNotFound")
	w.send(http.MethodPost, "/v1.0/users", map[string]any{}).want(405)
}

func TestTheDirectoryNeedsPermissions(t *testing.T) {
	w := newWorld(t)
	none := w.as(map[string]any{"tid": emulator.TenantA, "roles": []string{"BackupRestore-Control.ReadWrite.All"}})
	none.look("/users").wantError(403, "Authorization_RequestDenied")
	none.look("/sites").wantError(403, "accessDenied")
	for permission, path := range map[string]string{
		"User.Read.All": "/users", "User.ReadWrite.All": "/users", "Directory.Read.All": "/groups", "GroupMember.Read.All": "/groups/" + emulator.GroupA1 + "/members",
		"Sites.Read.All": "/sites",
	} {
		w.as(map[string]any{"tid": emulator.TenantA, "roles": []string{permission}}).look(path).want(200)
	}
	// A tenant's directory does not depend on its service.
	w.in(emulator.TenantB).look("/users").want(200)
}

func TestAFaultMeetsTheDirectory(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "GET /users", Code: "TooManyRequests", RetryAfter: []string{"3"}, Times: 1})
	w.look("/users").wantError(429, "TooManyRequests")
	w.look("/users").want(200)
	if op := w.e.Ledger(0).Entries[0].Operation; op != "GET /users" {
		t.Errorf("the ledger has %q", op)
	}
}

func TestTheControlApiListsTheDirectory(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodGet, "users?skip=3&top=2", nil).want(200).eq("total", 200).eq("users.0.number", 4).eq("users.0.licensed", false).
		eq("users.1.restoreFails", true).eq("users.1.mailboxUnitId", mailboxUnit(5)).eq("users.2", nil)
	w.control(http.MethodGet, "sites?tenant="+emulator.TenantB, nil).want(200).eq("sites.0.id", emulator.SiteID(emulator.TenantB, 1)).eq("total", 50)
	w.control(http.MethodGet, "groups", nil).want(200).eq("groups.4.members.0", emulator.GroupA1).eq("groups.4.displayName", "Group 5")
	w.control(http.MethodGet, "users?top=many", nil).want(400)
}
