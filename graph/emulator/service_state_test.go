package emulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func enableBody(tenant any) map[string]any { return map[string]any{"appOwnerTenantId": tenant} }

func TestATenantIsEnabledOnceItsDataStoreIsReady(t *testing.T) {
	w := newWorld(t).in(emulator.TenantB)
	enable := func() *reply { return w.do(http.MethodPost, "/enable", enableBody(emulator.TenantA)) }
	w.get("").want(200).eq("serviceStatus.status", "disabled").eq("serviceStatus.disableReason", "none")
	w.unchanged(func() { enable().wantError(403, "OperationNotAllowed") })
	w.get("/protectionPolicies").want(200)
	w.pass(4 * time.Minute)
	enable().wantError(403, "OperationNotAllowed")
	w.get("/protectionPolicies").want(200) // does not begin anew
	w.pass(time.Minute)
	enable().want(200).eq("status", "enabled").eq("backupServiceConsumer", "thirdparty").
		eq("lastModifiedDateTime", "2030-01-02T03:09:05.6000000Z")
	w.get("/").want(200).eq("serviceStatus.status", "enabled")
	w.unchanged(func() { enable().want(200).eq("status", "enabled") })
}

func TestEnableRefusesTheAppOwnerBeforeAnythingElse(t *testing.T) {
	for _, tenant := range []string{emulator.TenantA, emulator.TenantB} {
		w := newWorld(t).in(tenant)
		w.unchanged(func() {
			for _, owner := range []any{nil, "", "contoso.com", stranger, emulator.TenantA + "0"} {
				w.do(http.MethodPost, "/enable", enableBody(owner)).wantError(400, "InvalidAppOwnerTenantId")
			}
			w.do(http.MethodPost, "/enable", "{}").wantError(400, "InvalidAppOwnerTenantId")
			w.do(http.MethodPost, "/enable", "null").wantError(400, "InvalidAppOwnerTenantId")
			w.do(http.MethodPost, "/enable", "").wantError(400, "BadRequest")
			w.do(http.MethodPost, "/enable", enableBody(5)).wantError(400, "BadRequest")
		})
	}
}

func TestBillingErrorsComeFromFaultRulesOnly(t *testing.T) {
	for _, tc := range []struct {
		operation, code string
		status          int
	}{
		{"POST /enable", "InvalidBillingProfile", 402},
		{"POST /enable", "UnableToReadBillingProfile", 403},
		{"POST /enable", "Forbidden", 403},
		{"GET /", "Forbidden", 403},
		{"POST /serviceApps", "Forbidden", 403},
		{"DELETE /serviceApps/{id}", "Forbidden", 403},
	} {
		t.Run(tc.operation+" "+tc.code, func(t *testing.T) {
			w := newWorld(t)
			w.fault(emulator.Fault{Operation: tc.operation, Code: tc.code, Times: 1})
			method, path, _ := strings.Cut(tc.operation, " ")
			act := func() *reply { return w.do(method, path, enableBody(emulator.TenantA)) }
			w.unchanged(func() { act().wantError(tc.status, tc.code) })
			if r := act(); r.status == tc.status {
				t.Errorf("the error stays: %s", r.raw)
			}
		})
	}
}

func TestTheServiceStateDecidesWhatWorks(t *testing.T) {
	const yes, no = 0, 403
	operations := []struct {
		name   string
		method string
		path   string
		body   any
	}{
		{"root", http.MethodGet, "", nil},
		{"list policies", http.MethodGet, "/protectionPolicies", nil},
		{"get policy", http.MethodGet, "/protectionPolicies/" + stranger, nil},
		{"list units", http.MethodGet, mailboxCast, nil},
		{"create policy", http.MethodPost, "/exchangeProtectionPolicies", map[string]any{"displayName": "x"}},
		{"update policy", http.MethodPatch, "/exchangeProtectionPolicies/" + stranger, map[string]any{"displayName": "x"}},
		{"activate policy", http.MethodPost, "/protectionPolicies/" + stranger + "/activate", nil},
		{"delete policy", http.MethodDelete, "/protectionPolicies/" + stranger, nil},
	}
	for status, want := range map[string][]int{
		"enabled":                {yes, yes, yes, yes, yes, yes, yes, yes},
		"disabled":               {yes, yes, no, no, no, no, no, no},
		"protectionChangeLocked": {yes, yes, yes, yes, no, no, no, no},
		"restoreLocked":          {yes, yes, yes, yes, no, no, no, no},
	} {
		for i, op := range operations {
			t.Run(op.name+" while "+status, func(t *testing.T) {
				w := newWorld(t)
				if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: status}); err != nil {
					t.Fatal(err)
				}
				r := w.do(op.method, op.path, op.body)
				if want[i] == no {
					r.wantError(403, "OperationNotAllowed")
				} else if r.status == 403 {
					t.Errorf("refused: %s", r.raw)
				}
			})
		}
	}
}

func TestALockedServiceCanBeEnabledAgain(t *testing.T) {
	w := newWorld(t)
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: "protectionChangeLocked"}); err != nil {
		t.Fatal(err)
	}
	w.get("").want(200).eq("serviceStatus.disableReason", "userRequested")
	w.do(http.MethodPost, "/enable", enableBody(emulator.TenantA)).want(200).eq("status", "enabled").eq("disableReason", "none")
}

func TestNotifications(t *testing.T) {
	custom := func(emails ...string) map[string]any {
		list := []any{}
		for _, e := range emails {
			list = append(list, map[string]any{"email": e})
		}
		return map[string]any{"customRecipients": list}
	}
	recipients := func(r map[string]any) map[string]any { return map[string]any{"recipients": r} }
	t.Run("begin with their defaults", func(t *testing.T) {
		w := newWorld(t)
		w.get("/emailNotificationsSetting").want(200).eq("isEnabled", true).eq("additionalEvents", "none").
			eq("recipients.role", "custom").eq("recipients.customRecipients", "[]")
	})
	t.Run("change in parts and stay changed", func(t *testing.T) {
		w := newWorld(t)
		w.do(http.MethodPatch, "/emailNotificationsSetting", recipients(custom("ada@a.example"))).want(200).
			eq("recipients.customRecipients.0.email", "ada@a.example").eq("isEnabled", true)
		w.do(http.MethodPatch, "/emailNotificationsSetting", map[string]any{
			"isEnabled": false, "additionalEvents": "restoreAndPolicyUpdates", "recipients": map[string]any{"role": "custom"},
		}).want(200)
		w.get("/emailNotificationsSetting").want(200).eq("isEnabled", false).eq("additionalEvents", "restoreAndPolicyUpdates").
			eq("recipients.customRecipients.0.email", "ada@a.example")
	})
	t.Run("let the first party choose a role", func(t *testing.T) {
		w := newWorld(t)
		if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: "enabled", Consumer: "firstparty"}); err != nil {
			t.Fatal(err)
		}
		w.do(http.MethodPatch, "/emailNotificationsSetting", recipients(custom("ada@a.example"))).want(200)
		w.do(http.MethodPatch, "/emailNotificationsSetting", recipients(map[string]any{"role": "globalAdmins,backupAdmins"})).want(200).
			eq("recipients.role", "globalAdmins,backupAdmins").eq("recipients.customRecipients", "[]")
		w.do(http.MethodPatch, "/emailNotificationsSetting", recipients(custom("ada@a.example"))).wantError(400, "BadRequest")
	})
	for name, body := range map[string]any{
		"a role other than the third party's": recipients(map[string]any{"role": "allAdmins"}),
		"an unknown role":                     recipients(map[string]any{"role": "everybody"}),
		"an unknown event":                    map[string]any{"additionalEvents": "all"},
		"an address that is none":             recipients(custom("ada")),
		"an address without a domain":         recipients(custom("ada@")),
		"an address with two @":               recipients(custom("ada@a@a.example")),
		"a misspelt property":                 map[string]any{"enabled": true},
		"null":                                "null",
		"nothing":                             "",
	} {
		t.Run("refuse "+name, func(t *testing.T) {
			w := newWorld(t)
			w.unchanged(func() {
				w.do(http.MethodPatch, "/emailNotificationsSetting", body).wantError(400, "BadRequest")
			})
		})
	}
}
