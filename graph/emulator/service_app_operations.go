package emulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// defaultAppName is what [DefaultApp] is called.
const defaultAppName = "Emulator default app"

// serviceAppOf finds the app that the path names. What is no GUID and no
// registered id either cannot be one.
func (c *call) serviceAppOf() (*serviceApp, *graphError) {
	id := c.param(0)
	if app := c.tenant.apps.find(id); app != nil {
		return app, nil
	}
	if !isGUID(id) {
		return nil, refuse(c.r.Method, codeBadRequest, "The service app id is not a GUID.")
	}
	return nil, refuse(c.r.Method, codeNotFound, "No service app %s is registered in this tenant.", id)
}

func (c *call) answerApp(app *serviceApp, status int) *answer {
	v := app.view()
	v.Context = c.context("/serviceApps/$entity")
	return &answer{status: status, contentLocation: c.url("/serviceApps/" + app.id), body: v}
}

func listServiceApps(c *call) (*answer, *graphError) {
	return locatedListing(c, "/serviceApps", c.tenant.apps.list,
		func(a *serviceApp) int { return a.order }, func(a *serviceApp) any { return a.view() })
}

// createServiceApp registers the calling application, once: a repetition finds
// it as it is.
func createServiceApp(c *call) (*answer, *graphError) {
	fields, ok := readObject(c.body)
	if !ok || unknownField(fields) != "" {
		return nil, refuse(c.r.Method, codeBadRequest, "The body must be an empty JSON object.")
	}
	t, id := c.tenant, c.caller.app
	if isGUID(id) {
		id = strings.ToLower(id)
	}
	app := t.apps.find(id)
	if app == nil {
		app = t.register(id, appInactive, c.cause())
		t.record(c.cause(), "serviceApp", app.id, "", appInactive, 1)
	}
	return c.answerApp(app, http.StatusCreated), nil
}

func getServiceApp(c *call) (*answer, *graphError) {
	app, err := c.serviceAppOf()
	if err != nil {
		return nil, err
	}
	return c.answerApp(app, http.StatusOK), nil
}

func deleteServiceApp(c *call) (*answer, *graphError) {
	app, err := c.serviceAppOf()
	if err != nil {
		return nil, err
	}
	if app.status == appPendingInactive {
		return nil, refuse(c.r.Method, codeNotAllowed, "The app is pendingInactive; it cannot be removed before its change has happened.")
	}
	c.tenant.unregister(app, c.cause())
	return &answer{status: http.StatusNoContent}, nil
}

// activateServiceApp makes an app the controller: at once if there is none, else
// at the date that the request gives.
func activateServiceApp(c *call) (*answer, *graphError) {
	app, err := c.serviceAppOf()
	if err != nil {
		return nil, err
	}
	effective, given, err := readEffective(c)
	if err != nil {
		return nil, err
	}
	t := c.tenant
	switch {
	case t.apps.changing():
		return nil, refuse(c.r.Method, codeNotAllowed, "A change of the controller is under way already.")
	case app.status == appActive:
	case !t.controlled():
		t.takeOver(app, c.cause())
	case !given:
		return nil, refuse(c.r.Method, codeBadRequest, "effectiveDateTime is needed, since the service has a controller.").about("effectiveDateTime")
	case effective.Before(c.now.Add(minControllerNotice)) || effective.After(c.now.Add(maxControllerNotice)):
		return nil, refuse(c.r.Method, codeBadRequest, "effectiveDateTime must be 7 to 30 days ahead.").about("effectiveDateTime")
	default:
		t.announce(app, effective, c.cause())
	}
	return c.answerApp(app, http.StatusAccepted), nil
}

// readEffective reads the body of an activation, which may be empty.
func readEffective(c *call) (effective time.Time, given bool, _ *graphError) {
	if len(c.body) == 0 {
		return effective, false, nil
	}
	fields, ok := readObject(c.body)
	if !ok || unknownField(fields, "effectiveDateTime") != "" {
		return effective, false, refuse(c.r.Method, codeBadRequest, "The body must be a JSON object with effectiveDateTime.")
	}
	raw, given := fields["effectiveDateTime"]
	if !given {
		return effective, false, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at.UTC(), true, nil
		}
	}
	return effective, false, refuse(c.r.Method, codeBadRequest, "effectiveDateTime is not a date and time with a zone.").about("effectiveDateTime")
}

func deactivateServiceApp(c *call) (*answer, *graphError) {
	app, err := c.serviceAppOf()
	if err != nil {
		return nil, err
	}
	switch app.status {
	case appActive:
		return nil, refuse(c.r.Method, codeNotAllowed, "The app is active: activate another one, or remove this one.")
	case appPendingActive:
		c.tenant.recall(app, c.cause())
	}
	return c.answerApp(app, http.StatusAccepted), nil
}
