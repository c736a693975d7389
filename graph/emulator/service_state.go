package emulator

import (
	"encoding/json"
	"strings"
	"time"
)

// States of the service in a tenant.
const (
	serviceDisabled      = "disabled"
	serviceEnabled       = "enabled"
	serviceChangeLocked  = "protectionChangeLocked"
	serviceRestoreLocked = "restoreLocked"
)

// service is the tenant's service state and its data store.
type service struct {
	status        string
	disableReason string
	consumer      string
	modified      time.Time
	by            identitySet

	storeAsked bool // somebody listed the policies
	storeReady bool
}

type serviceStatusView struct {
	Context       string      `json:"@odata.context,omitempty"`
	Type          string      `json:"@odata.type,omitempty"`
	Status        string      `json:"status"`
	DisableReason string      `json:"disableReason"`
	Consumer      string      `json:"backupServiceConsumer"`
	ModifiedAt    string      `json:"lastModifiedDateTime"`
	ModifiedBy    identitySet `json:"lastModifiedBy"`
}

func (s *service) view() serviceStatusView {
	return serviceStatusView{
		Status: s.status, DisableReason: s.disableReason, Consumer: s.consumer,
		ModifiedAt: graphTime(s.modified), ModifiedBy: s.by.twice(),
	}
}

type rootView struct {
	Context string            `json:"@odata.context"`
	Service serviceStatusView `json:"serviceStatus"`
}

func getRoot(c *call) (*answer, *graphError) {
	return ok(rootView{Context: c.context("/$entity"), Service: c.tenant.service.view()}), nil
}

// enableService turns the service on. It is idempotent. What is wrong with the
// request is told before what is wrong with the state.
func enableService(c *call) (*answer, *graphError) {
	var fields map[string]json.RawMessage // null has no properties
	var owner string
	if json.Unmarshal(c.body, &fields) != nil || unknownField(fields, "appOwnerTenantId") != "" || !readField(fields, "appOwnerTenantId", &owner) {
		return nil, refuse(c.r.Method, codeBadRequest, "The body is not a JSON object with appOwnerTenantId alone.")
	}
	if !isGUID(owner) || !c.e.knowsTenant(strings.ToLower(owner)) {
		return nil, refuse(c.r.Method, "InvalidAppOwnerTenantId", "appOwnerTenantId must be the GUID of the tenant that owns the calling app.").about("appOwnerTenantId")
	}
	s := &c.tenant.service
	if !s.storeReady {
		return nil, refuse(c.r.Method, codeNotAllowed, "The tenant's data store is not ready: list the protection policies first and wait.")
	}
	if s.status != serviceEnabled {
		why := c.cause()
		c.tenant.record(why, "serviceStatus", c.tenant.id, s.status, serviceEnabled, 1)
		s.status, s.disableReason = serviceEnabled, "none"
		s.modified, s.by = why.at, why.by
		c.tenant.adopt(c.caller.app, why)
		c.tenant.stir(why.at)
	}
	view := s.view()
	view.Context, view.Type = c.context("/serviceStatus"), "#microsoft.graph.serviceStatus"
	return ok(view), nil
}

// prepareStore begins to make the tenant's data store, once.
func (t *tenant) prepareStore(why cause) {
	if t.service.storeAsked {
		return
	}
	t.service.storeAsked = true
	t.record(why, "dataStore", t.id, "", "initialising", 1)
	t.steps.schedule(why.at.Add(t.lengths.DataStore), func(at time.Time) {
		t.service.storeReady = true
		t.record(cause{at: at}, "dataStore", t.id, "initialising", "ready", 1)
	})
}
