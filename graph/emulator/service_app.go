package emulator

import (
	"slices"
	"strings"
	"time"
)

// States of a service app.
const (
	appInactive        = "inactive"
	appActive          = "active"
	appPendingActive   = "pendingActive"
	appPendingInactive = "pendingInactive"
)

// How long changes of the controller take.
const (
	minControllerNotice = 7 * day  // also the change that an active app's removal starts
	maxControllerNotice = 30 * day // also how long a service outlives its last controller
)

// serviceApp is an application that registered to control the tenant's service.
type serviceApp struct {
	order      int // of registration, from 1
	id         string
	status     string
	effective  time.Time // when the change under way happens; zero without one
	registered time.Time
	modified   time.Time
	by         identitySet
}

// serviceApps are a tenant's registrations. At most one app is the controller:
// active, or pendingInactive while another one is pendingActive.
type serviceApps struct {
	list    []*serviceApp
	made    int
	leaving bool // the controller was removed and its seven days run
	gone    map[string]bool
}

func (a *serviceApps) find(id string) *serviceApp {
	for _, app := range a.list {
		if strings.EqualFold(app.id, id) {
			return app
		}
	}
	return nil
}

func (a *serviceApps) withStatus(statuses ...string) *serviceApp {
	for _, app := range a.list {
		if slices.Contains(statuses, app.status) {
			return app
		}
	}
	return nil
}

func (a *serviceApps) controller() *serviceApp {
	return a.withStatus(appActive, appPendingInactive)
}

// changing tells whether a change of the controller is under way.
func (a *serviceApps) changing() bool {
	return a.leaving || a.withStatus(appPendingActive) != nil
}

// controlled tells whether somebody controls the service: an app, or the first
// party while the service is not disabled.
func (t *tenant) controlled() bool {
	return t.apps.controller() != nil || t.apps.leaving ||
		t.service.consumer == "firstparty" && t.service.status != serviceDisabled
}

// register adds an app. One that had been removed has access again as far as its
// state allows.
func (t *tenant) register(id, status string, why cause) *serviceApp {
	t.apps.made++
	app := &serviceApp{
		order: t.apps.made, id: id, status: status,
		registered: why.at, modified: why.at, by: why.by,
	}
	t.apps.list = append(t.apps.list, app)
	delete(t.apps.gone, strings.ToLower(id))
	return app
}

func (t *tenant) setApp(app *serviceApp, to string, effective time.Time, why cause) {
	t.record(why, "serviceApp", app.id, app.status, to, 1)
	app.status, app.effective = to, effective
	why.sign(&app.modified, &app.by)
}

// takeOver makes an app the controller and ends the term of the one before it.
func (t *tenant) takeOver(app *serviceApp, why cause) {
	if old := t.apps.controller(); old != nil {
		t.setApp(old, appInactive, time.Time{}, why)
	}
	t.setApp(app, appActive, time.Time{}, why)
	t.service.consumer = "thirdparty"
}

// announce begins a change of the controller.
func (t *tenant) announce(app *serviceApp, effective time.Time, why cause) {
	if old := t.apps.controller(); old != nil {
		t.setApp(old, appPendingInactive, effective, why)
	}
	t.setApp(app, appPendingActive, effective, why)
	t.steps.schedule(effective, func(at time.Time) {
		// The change may have been recalled, and another one announced.
		if app.status == appPendingActive && app.effective.Equal(effective) {
			t.takeOver(app, cause{at: at})
		}
	})
}

// recall ends an announced change: all is as before it.
func (t *tenant) recall(app *serviceApp, why cause) {
	t.setApp(app, appInactive, time.Time{}, why)
	if old := t.apps.withStatus(appPendingInactive); old != nil {
		t.setApp(old, appActive, time.Time{}, why)
	}
}

// unregister removes an app. The removal of the controller is a change of its
// own: seven days later the service is locked, and thirty days after that
// disabled, unless another app has taken over until then.
func (t *tenant) unregister(app *serviceApp, why cause) {
	was := app.status
	if was == appPendingActive {
		t.recall(app, why)
	}
	t.record(why, "serviceApp", app.id, app.status, "", 1)
	t.apps.list = slices.DeleteFunc(t.apps.list, func(a *serviceApp) bool { return a == app })
	if was != appActive {
		return
	}
	t.apps.leaving = true
	if t.apps.gone == nil {
		t.apps.gone = map[string]bool{}
	}
	t.apps.gone[strings.ToLower(app.id)] = true
	t.steps.schedule(why.at.Add(minControllerNotice), func(at time.Time) {
		t.apps.leaving = false
		if t.service.status != serviceEnabled {
			return
		}
		t.setService(serviceChangeLocked, at)
		t.steps.schedule(at.Add(maxControllerNotice), func(at time.Time) {
			if t.apps.controller() == nil && t.service.status == serviceChangeLocked {
				t.setService(serviceDisabled, at)
			}
		})
	})
}

// setService is a change of the service's state because its app was deleted.
func (t *tenant) setService(to string, at time.Time) {
	t.record(cause{at: at}, "serviceStatus", t.id, t.service.status, to, 1)
	t.service.status, t.service.disableReason, t.service.modified = to, "controllerServiceAppDeleted", at
}

// adopt makes the app that enabled the service its controller when it has none:
// an enabled service always has one.
func (t *tenant) adopt(id string, why cause) {
	if t.controlled() {
		return
	}
	if app := t.apps.find(id); app != nil {
		t.takeOver(app, why)
		return
	}
	app := t.register(id, appActive, why)
	t.record(why, "serviceApp", app.id, "", appActive, 1)
}

// barred tells why the calling app may not do what the gate stands for. An app
// that never registered is not restricted: whoever does not care for service apps
// need not know of them.
func (c *call) barred() *graphError {
	if c.route.gate == gateOpen {
		return nil
	}
	if c.tenant.apps.gone[strings.ToLower(c.caller.app)] {
		return refuse(c.r.Method, codeNotAllowed, "The calling app gave up its registration.")
	}
	app := c.tenant.apps.find(c.caller.app)
	if app == nil || app.status == appActive || app.status == appPendingInactive || c.route.gate == gateRead {
		return nil
	}
	return refuse(c.r.Method, codeNotAllowed, "The calling app is %s and may only read.", app.status)
}

// serviceAppView is a service app on the wire.
type serviceAppView struct {
	Context      string      `json:"@odata.context,omitempty"`
	Type         string      `json:"@odata.type"`
	ID           string      `json:"id"`
	Application  identity    `json:"application"`
	Status       string      `json:"status"`
	RegisteredAt string      `json:"registrationDateTime"`
	EffectiveAt  string      `json:"effectiveDateTime,omitempty"`
	ModifiedAt   string      `json:"lastModifiedDateTime"`
	ModifiedBy   identitySet `json:"lastModifiedBy"`
}

func (a *serviceApp) view() serviceAppView {
	v := serviceAppView{
		Type: odataType("serviceApp"), ID: a.id, Application: identity{ID: a.id}, Status: a.status,
		RegisteredAt: graphTime(a.registered), ModifiedAt: graphTime(a.modified), ModifiedBy: a.by,
	}
	if a.id == DefaultApp {
		v.Application.DisplayName = defaultAppName
	}
	if !a.effective.IsZero() {
		v.EffectiveAt = graphTime(a.effective)
	}
	return v
}
