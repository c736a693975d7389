package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestPermissions(t *testing.T) {
	const read, write = "BackupRestore-Configuration.Read.All", "BackupRestore-Configuration.ReadWrite.All"
	const control = "BackupRestore-Control.ReadWrite.All"
	scp := func(s string) map[string]any { return map[string]any{"tid": emulator.TenantA, "scp": s} }
	roles := func(s ...string) map[string]any {
		return map[string]any{"tid": emulator.TenantA, "roles": append([]string{}, s...)}
	}
	for _, tc := range []struct {
		name    string
		claims  map[string]any
		method  string
		path    string
		allowed bool
	}{
		{"the least permission is enough", scp(read), http.MethodGet, "/protectionPolicies", true},
		{"as one of several", scp("openid " + read), http.MethodGet, "/protectionPolicies", true},
		{"as an application permission too", roles(read), http.MethodGet, "/protectionPolicies", true},
		{"ReadWrite includes Read", roles(write), http.MethodGet, "/protectionPolicies", true},
		{"Read does not include ReadWrite", scp(read), http.MethodPost, "/exchangeProtectionPolicies", false},
		{"another family does not count", scp(control), http.MethodGet, "/protectionPolicies", false},
		{"no scope is no permission", scp(""), http.MethodGet, "/protectionPolicies", false},
		{"no role is no permission", roles(), http.MethodGet, "/protectionPolicies", false},
		{"roles of the wrong type are no permission", map[string]any{"roles": "x"}, http.MethodGet, "/protectionPolicies", false},
		{"a token with neither may do everything", map[string]any{"tid": emulator.TenantA}, http.MethodPost, "/enable", true},
		{"reading the mail settings takes ReadWrite", scp("BackupRestore-Control.Read.All"), http.MethodGet, "/emailNotificationsSetting", false},
		{"delegated callers change the mail settings", scp(control), http.MethodPatch, "/emailNotificationsSetting", true},
		{"applications do not", roles(control), http.MethodPatch, "/emailNotificationsSetting", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).as(tc.claims)
			var body any
			if tc.method != http.MethodGet {
				body = "{}"
			}
			r := w.do(tc.method, tc.path, body)
			if !tc.allowed {
				r.wantError(403, "accessDenied")
			} else if r.status == 403 {
				t.Errorf("refused: %s", r.raw)
			}
		})
	}
}

func TestNamesAreShownToDelegatedCallersOnly(t *testing.T) {
	const read = "BackupRestore-Configuration.Read.All"
	for _, tc := range []struct {
		name   string
		claims map[string]any
		shown  bool
	}{
		{"a caller without a token", nil, true},
		{"a caller with an unrestricted token", map[string]any{"tid": emulator.TenantC}, true},
		{"a delegated caller", map[string]any{"tid": emulator.TenantC, "scp": read}, true},
		{"an application", map[string]any{"tid": emulator.TenantC, "roles": []string{read}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(o *emulator.Options) { o.DefaultTenant = emulator.TenantC })
			if tc.claims != nil {
				w = w.as(tc.claims)
			}
			one := w.unit(emulator.UnitCManual)
			listed := w.get(mailboxCast + "?$top=1").want(200)
			for field, value := range map[string]string{
				"email": one.str("email"), "displayName": one.str("displayName"),
				"listed email": listed.str("value.0.email"), "listed displayName": listed.str("value.0.displayName"),
			} {
				if shown := value != ""; shown != tc.shown {
					t.Errorf("%s shown = %v, want %v", field, shown, tc.shown)
				}
			}
			filtered := w.get(mailboxCast + query("$filter", "email eq 'chidi.costa.2@c.example'")).want(200)
			if found := len(filtered.list("value")) == 1; found != tc.shown {
				t.Errorf("a filter by a name found %d units", len(filtered.list("value")))
			}
		})
	}
}

func TestWhoAsksIsReadFromTheToken(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header string
		tenant string
		app    string
		user   any
	}{
		{"no token", "", emulator.TenantA, emulator.DefaultApp, emulator.UserA1},
		{"another scheme", "Basic eDp5", emulator.TenantA, emulator.DefaultApp, emulator.UserA1},
		{"an opaque token", "Bearer abc", emulator.TenantA, emulator.DefaultApp, emulator.UserA1},
		{"a token that is no base64", "Bearer a.%.c", emulator.TenantA, emulator.DefaultApp, emulator.UserA1},
		{"a token that is no JSON", "Bearer a.YWJj.c", emulator.TenantA, emulator.DefaultApp, emulator.UserA1},
		{"a v1 token of an application", bearer(map[string]any{"tid": emulator.TenantC, "appid": "my-app",
			"roles": []string{"BackupRestore-Configuration.ReadWrite.All"}}), emulator.TenantC, "my-app", nil},
		{"a v2 token of a user", bearer(map[string]any{"tid": strings.ToUpper(emulator.TenantC), "azp": "my-app", "oid": "me",
			"scp": "BackupRestore-Configuration.ReadWrite.All"}), emulator.TenantC, "my-app", "me"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.auth = tc.header
			r := w.do(http.MethodPost, "/oneDriveForBusinessProtectionPolicies", map[string]any{"displayName": "x"}).want(201)
			r.eq("createdBy.application.id", tc.app).eq("createdBy.user.id", tc.user)
			entries := w.e.Ledger(0).Entries
			if got := entries[len(entries)-1].Tenant; got != tc.tenant {
				t.Errorf("tenant = %s, want %s", got, tc.tenant)
			}
		})
	}
	t.Run("a tenant that is no GUID", func(t *testing.T) {
		w := newWorld(t).in("contoso.com")
		w.get("/protectionPolicies").wantError(401, "InvalidAuthenticationToken")
	})
}

func TestTenantsAreSeparate(t *testing.T) {
	w := newWorld(t)
	c := w.in(emulator.TenantC)
	id := w.policyWith(user(1))
	c.get("/protectionPolicies/"+id).wantError(404, "PolicyNotFound")
	c.unit(mailboxUnit(1)).eq("error.code", "ProtectionUnitNotFound")
	c.patch(emulator.PolicyC, add(user(1))).want(200) // to tenant C, A's user is a stranger
	w.pass(5 * 60e9)
	c.wantPolicy(emulator.PolicyC, "activeWithErrors")
	w.wantPolicy(id, "inactive")
	if n := len(w.get("/protectionPolicies").want(200).list("value")); n != 1 {
		t.Errorf("tenant A has %d policies, want 1", n)
	}
}

func TestAnUnknownTenantComesToLifeLikeB(t *testing.T) {
	w := newWorld(t)
	fresh := w.in(stranger)
	w.do(http.MethodPost, "/enable", enableBody(stranger)).wantError(400, "InvalidAppOwnerTenantId")
	fresh.get("").want(200).eq("serviceStatus.status", "disabled")
	w.do(http.MethodPost, "/enable", enableBody(stranger)).want(200) // now it is known
	fresh.get("/protectionPolicies").want(200)
	fresh.pass(5 * 60e9)
	fresh.do(http.MethodPost, "/enable", enableBody(stranger)).want(200)
	id := fresh.activePolicyWith(emulator.UserID(stranger, 1), emulator.UserID(stranger, 200))
	fresh.wantPolicy(id, "active")
	fresh.patch(id, add(emulator.UserID(stranger, 201))).want(200)
	fresh.pass(5 * 60e9)
	fresh.wantPolicy(id, "activeWithErrors")
}

func TestAUserAssertionNamesTenantAndUser(t *testing.T) {
	w := newWorld(t)
	w.auth = "Bearer " + emulator.UserAssertion(strings.ToUpper(emulator.TenantC), 3)
	w.do(http.MethodPost, "/sharePointProtectionPolicies", `{"displayName":"p"}`).want(201).
		eq("createdBy.user.id", emulator.UserID(emulator.TenantC, 3))
}
