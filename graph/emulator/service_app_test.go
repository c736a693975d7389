package emulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// Three applications besides the default one.
const (
	appX = "dddddddd-0000-4000-8000-0000000000a1"
	appY = "dddddddd-0000-4000-8000-0000000000a2"
	appZ = "dddddddd-0000-4000-8000-0000000000a3"
)

// app returns the world seen by an application in a tenant, with every
// permission.
func (w *world) app(tenant, id string) *world {
	return w.as(map[string]any{"tid": tenant, "appid": id})
}

func (w *world) register(tenant, id string) {
	w.t.Helper()
	w.app(tenant, id).do(http.MethodPost, "/serviceApps", "{}").want(201).eq("id", id)
}

func (w *world) activate(id string, in time.Duration) *reply {
	w.t.Helper()
	body := map[string]any{"effectiveDateTime": w.e.Clock().Now().Add(in).Format(time.RFC3339Nano)}
	return w.do(http.MethodPost, "/serviceApps/"+id+"/activate", body)
}

func (w *world) deactivate(id string) *reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/serviceApps/"+id+"/deactivate", nil)
}

func (w *world) unregister(id string) *reply {
	w.t.Helper()
	return w.do(http.MethodDelete, "/serviceApps/"+id, nil)
}

// wantApps checks the states of apps: pairs of id and status, "" for none.
func (w *world) wantApps(pairs ...string) {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		r := w.get("/serviceApps/" + pairs[i])
		if pairs[i+1] == "" {
			r.wantError(404, "ResourceNotFound")
		} else {
			r.want(200).eq("status", pairs[i+1])
		}
	}
}

func TestAnAppRegistersItself(t *testing.T) {
	w := newWorld(t).in(emulator.TenantB)
	r := w.app(emulator.TenantB, strings.ToUpper(appX)).do(http.MethodPost, "/serviceApps", "{}").want(201).
		eq("id", appX).eq("application.id", appX).eq("status", "inactive").eq("registrationDateTime", "2030-01-02T03:04:05.6000000Z").
		eq("effectiveDateTime", nil).eq("lastModifiedBy.application.id", strings.ToUpper(appX))
	if got, want := r.header.Get("Content-Location"), w.server.URL+root+"/serviceApps/"+appX; got != want {
		t.Errorf("Content-Location = %s, want %s", got, want)
	}
	w.pass(time.Hour)
	w.unchanged(func() {
		w.app(emulator.TenantB, appX).do(http.MethodPost, "/serviceApps", "{}").want(201).
			eq("registrationDateTime", "2030-01-02T03:04:05.6000000Z")
	})
	w.register(emulator.TenantB, appY)
	w.get("/serviceApps").want(200).eq("value.0.id", appX).eq("value.1.id", appY).eq("value.2", nil)
	if ids, pages := w.walk("/serviceApps?$top=1"); len(ids) != 2 || pages != 2 {
		t.Errorf("%v on %d pages", ids, pages)
	}
	w.get("/serviceApps/"+strings.ToUpper(appY)).want(200).eq("id", appY)
	w.wantApps(appZ, "")
	w.in(emulator.TenantA).wantApps(appX, "", emulator.DefaultApp, "active") // another tenant
	w.unregister(appX).want(204)
	w.wantApps(appX, "")
}

func TestServiceAppRefusals(t *testing.T) {
	w := newWorld(t)
	w.register(emulator.TenantA, appX)
	w.unchanged(func() {
		for _, body := range []string{"", "null", "[]", `{"id":"x"}`} {
			w.do(http.MethodPost, "/serviceApps", body).wantError(400, "BadRequest")
		}
		for _, op := range []string{"GET /serviceApps/%s", "DELETE /serviceApps/%s", "POST /serviceApps/%s/activate", "POST /serviceApps/%s/deactivate"} {
			method, path, _ := strings.Cut(op, " ")
			w.do(method, strings.Replace(path, "%s", "nothing", 1), nil).wantError(400, "BadRequest")
			w.do(method, strings.Replace(path, "%s", stranger, 1), nil).wantError(404, "ResourceNotFound")
		}
		for _, body := range []string{"", "{}", "null", "[]", `{"effectiveDateTime":null}`, `{"effectiveDateTime":"tomorrow"}`,
			`{"effectiveDateTime":"2030-01-12T00:00:00"}`, `{"effectiveDateTime":5}`, `{"effective":"2030-01-12T00:00:00Z"}`} {
			w.do(http.MethodPost, "/serviceApps/"+appX+"/activate", body).wantError(400, "BadRequest")
		}
		w.activate(appX, 7*day-time.Second).wantError(400, "BadRequest")
		w.activate(appX, 30*day+time.Second).wantError(400, "BadRequest")
		w.activate(appX, -day).wantError(400, "BadRequest")
		application := w.as(map[string]any{"tid": emulator.TenantA, "roles": []string{"BackupRestore-Control.ReadWrite.All"}})
		application.activate(appX, 10*day).wantError(403, "accessDenied")
		application.deactivate(appX).wantError(403, "accessDenied")
		application.get("/serviceApps").want(200)
		w.get("/serviceApps?$filter=x").wantError(400, "BadRequest")
	})
	for _, notice := range []time.Duration{7 * day, 30 * day} {
		w := newWorld(t)
		w.register(emulator.TenantA, appX)
		w.activate(appX, notice).want(202).eq("status", "pendingActive")
	}
}

func TestAnAppBecomesActiveAtOnceWithoutAController(t *testing.T) {
	w := newWorld(t).in(emulator.TenantB)
	w.register(emulator.TenantB, appX)
	w.register(emulator.TenantB, appY)
	w.do(http.MethodPost, "/serviceApps/"+appX+"/activate", nil).want(202).eq("status", "active").eq("effectiveDateTime", nil)
	w.unchanged(func() { w.activate(appX, 0).want(202).eq("status", "active") }) // it is already
	w.activate(appY, 10*day).want(202).eq("status", "pendingActive")
	w.wantApps(appX, "pendingInactive", appY, "pendingActive")
}

func TestEnablingGivesAServiceItsController(t *testing.T) {
	w := newWorld(t)
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantB, DataStoreReady: true}); err != nil {
		t.Fatal(err)
	}
	w.register(emulator.TenantB, appX)
	w.app(emulator.TenantB, appX).do(http.MethodPost, "/enable", enableBody(emulator.TenantB)).want(200)
	b := w.in(emulator.TenantB)
	b.wantApps(appX, "active", emulator.DefaultApp, "")
	w.app(emulator.TenantB, appY).do(http.MethodPost, "/enable", enableBody(emulator.TenantB)).want(200) // has one
	b.wantApps(appX, "active", appY, "")
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantB, DataStoreReady: true}); err != nil {
		t.Fatal(err)
	}
	w.app(emulator.TenantB, appY).do(http.MethodPost, "/enable", enableBody(emulator.TenantB)).want(200)
	b.wantApps(appX, "", appY, "active")
}

func TestTheControllerChangesAtItsDate(t *testing.T) {
	w := newWorld(t)
	w.register(emulator.TenantA, appX)
	w.register(emulator.TenantA, appY)
	w.activate(appX, 10*day).want(202).eq("status", "pendingActive").eq("effectiveDateTime", "2030-01-12T03:04:05.6000000Z")
	w.wantApps(emulator.DefaultApp, "pendingInactive", appX, "pendingActive")
	w.unchanged(func() {
		w.activate(appX, 10*day).wantError(403, "OperationNotAllowed")
		w.activate(appY, 10*day).wantError(403, "OperationNotAllowed")
		w.activate(emulator.DefaultApp, 10*day).wantError(403, "OperationNotAllowed")
		w.deactivate(emulator.DefaultApp).want(202).eq("status", "pendingInactive") // nothing happens
		w.unregister(emulator.DefaultApp).wantError(403, "OperationNotAllowed")
		w.deactivate(appY).want(202).eq("status", "inactive")
	})
	w.register(emulator.TenantA, appZ)
	w.unregister(appZ).want(204) // has nothing to do with it
	w.pass(10*day - time.Second)
	w.wantApps(emulator.DefaultApp, "pendingInactive", appX, "pendingActive")
	w.pass(time.Second)
	w.wantApps(emulator.DefaultApp, "inactive", appX, "active", appY, "inactive")
	w.get("/serviceApps/"+appX).eq("effectiveDateTime", nil).eq("lastModifiedDateTime", "2030-01-12T03:04:05.6000000Z")
	w.unchanged(func() {
		w.deactivate(appX).wantError(403, "OperationNotAllowed")
		w.deactivate(emulator.DefaultApp).want(202)
	})
	w.unregister(emulator.DefaultApp).want(204)
	w.get("").want(200).eq("serviceStatus.status", "enabled")
}

func TestAChangeOfTheControllerIsCancelled(t *testing.T) {
	for name, cancel := range map[string]func(*world) string{
		"by deactivating the app to come": func(w *world) string {
			w.deactivate(appX).want(202).eq("status", "inactive").eq("effectiveDateTime", nil)
			return "inactive"
		},
		"by removing the app to come": func(w *world) string { w.unregister(appX).want(204); return "" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.register(emulator.TenantA, appX)
			w.register(emulator.TenantA, appY)
			w.activate(appX, 10*day).want(202)
			w.pass(9 * day)
			after := cancel(w)
			w.wantApps(emulator.DefaultApp, "active", appX, after)
			w.activate(appY, 8*day).want(202)
			w.pass(2 * day) // the first date is over
			w.wantApps(emulator.DefaultApp, "pendingInactive", appX, after, appY, "pendingActive")
			w.pass(6 * day)
			w.wantApps(emulator.DefaultApp, "inactive", appX, after, appY, "active")
		})
	}
}

func TestTheFirstPartyHandsOver(t *testing.T) {
	w := newWorld(t)
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: "enabled", Consumer: "firstparty"}); err != nil {
		t.Fatal(err)
	}
	w.register(emulator.TenantA, appX)
	w.do(http.MethodPost, "/serviceApps/"+appX+"/activate", "{}").wantError(400, "BadRequest") // somebody controls it
	w.activate(appX, 7*day).want(202).eq("status", "pendingActive")
	w.get("").eq("serviceStatus.backupServiceConsumer", "firstparty")
	w.pass(7 * day)
	w.wantApps(appX, "active")
	w.get("").eq("serviceStatus.backupServiceConsumer", "thirdparty")
}

func TestWithoutItsLastControllerTheServiceEnds(t *testing.T) {
	w := newWorld(t)
	policy := w.activePolicyWith(user(1))
	since := w.e.Ledger(0).Last
	w.register(emulator.TenantA, appX)
	w.unregister(emulator.DefaultApp).want(204)
	other := w.app(emulator.TenantA, appY) // never registered
	status := func(want string) { t.Helper(); other.get("").want(200).eq("serviceStatus.status", want) }
	w.get("/protectionPolicies/"+policy).wantError(403, "OperationNotAllowed") // the default app gave up its access
	other.get("/protectionPolicies/" + policy).want(200)
	w.unchanged(func() { w.activate(appX, 10*day).wantError(403, "OperationNotAllowed") })
	w.pass(7*day - time.Second)
	status("enabled")
	w.pass(time.Second)
	status("protectionChangeLocked")
	other.get("").eq("serviceStatus.disableReason", "unknownFutureValue")
	other.do(http.MethodGet, "", nil, "Prefer", "include-unknown-enum-members").eq("serviceStatus.disableReason", "controllerServiceAppDeleted")
	w.pass(30*day - time.Second)
	status("protectionChangeLocked")
	w.pass(time.Second)
	status("disabled")
	other.get("/protectionPolicies/"+policy).wantError(403, "OperationNotAllowed")
	var got []string
	for _, e := range w.e.Ledger(since).Entries {
		if e.Kind == emulator.EntryChange {
			got = append(got, cutCause(line(e)))
		}
	}
	want := []string{"serviceApp >inactive", "serviceApp active>", "serviceStatus enabled>protectionChangeLocked", "serviceStatus protectionChangeLocked>disabled"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("ledger:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnotherAppSavesTheService(t *testing.T) {
	w := newWorld(t)
	w.register(emulator.TenantA, appX)
	w.unregister(emulator.DefaultApp).want(204)
	w.pass(20 * day)
	w.activate(appX, 0).want(202).eq("status", "active") // at once: nobody controls it
	w.pass(20 * day)
	w.get("").want(200).eq("serviceStatus.status", "protectionChangeLocked")
	w.app(emulator.TenantA, appX).do(http.MethodPost, "/enable", enableBody(emulator.TenantA)).want(200).eq("status", "enabled")
	w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes()).wantError(403, "OperationNotAllowed") // still the default app
	w.get("/protectionPolicies/"+stranger).wantError(403, "OperationNotAllowed")
	w.register(emulator.TenantA, emulator.DefaultApp)
	w.get("/protectionPolicies/"+stranger).wantError(404, "PolicyNotFound")                                 // reads again
	w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes()).wantError(403, "OperationNotAllowed") // inactive now
	w.app(emulator.TenantA, appX).do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes()).want(201)
	w.pass(100 * day)
	w.get("").eq("serviceStatus.status", "enabled")
}

func TestTheStateOfAnAppDecidesWhatItMayDo(t *testing.T) {
	w := newWorld(t)
	policy := w.policyWith(user(1))
	w.register(emulator.TenantA, appX)
	w.register(emulator.TenantA, appY)
	w.activate(appX, 10*day).want(202)
	for app, may := range map[string]bool{
		emulator.DefaultApp: true,  // pendingInactive
		appX:                false, // pendingActive
		appY:                false, // inactive
		appZ:                true,  // never registered
	} {
		w := w.app(emulator.TenantA, app)
		w.get("/protectionPolicies/" + policy).want(200)
		w.get("").want(200)
		r := w.patch(policy)
		if may {
			r.want(200)
		} else {
			r.wantError(403, "OperationNotAllowed")
		}
	}
}

func TestPowerShellIsRefusedByAFaultRule(t *testing.T) {
	for _, op := range []string{"POST /serviceApps", "DELETE /serviceApps/{id}"} {
		w := newWorld(t)
		w.fault(emulator.Fault{Operation: op, Code: "Forbidden", Times: 1})
		method, path, _ := strings.Cut(op, " ")
		path = strings.Replace(path, "{id}", emulator.DefaultApp, 1)
		w.unchanged(func() { w.do(method, path, "{}").wantError(403, "Forbidden") })
		w.wantApps(emulator.DefaultApp, "active")
	}
}
