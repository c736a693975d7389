package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const controlRoot = "/_emulator"

// controlPath tells whether a path belongs to the emulator itself and what of it
// follows the root.
func controlPath(path string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, controlRoot)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.Trim(rest, "/"), true
}

// controlRequest is one control call.
type controlRequest struct {
	query  url.Values
	body   []byte
	origin string // scheme and host, as clients know them
}

// controlCall is what one control call does, and what it knows.
type controlCall struct {
	method, path string
	parameters   []string // of the query
	bodyless     bool     // a body would be a mistake
	about        string
	do           func(*Emulator, controlRequest) (any, error)
}

// done is what a control call answers that has nothing to say.
func done(err error) (any, error) { return struct{}{}, err }

// controlCalls lists them in the order of the index.
func controlCalls() []controlCall {
	return []controlCall{
		{http.MethodGet, "", nil, true, "this list, and fixed ids", (*Emulator).controlIndex},
		{http.MethodGet, "ready", nil, true, "whether it serves, which is when it answers", func(*Emulator, controlRequest) (any, error) {
			return map[string]bool{"ready": true}, nil
		}},
		{http.MethodPost, "reset", []string{"tenant"}, true, "back to the start: everything, or one tenant", (*Emulator).controlReset},
		{http.MethodPost, "seed", nil, false, "replace the content of a tenant, or of several", (*Emulator).controlSeed},
		{http.MethodGet, "clock", []string{"tenant"}, true, "the time", (*Emulator).controlClock},
		{http.MethodPut, "clock", []string{"tenant"}, false, "set, advance, speed up or stop it; with tenant for that one alone", (*Emulator).controlSetClock},
		{http.MethodPost, "clock", []string{"tenant"}, false, "the same", (*Emulator).controlSetClock},
		{http.MethodDelete, "clock", []string{"tenant"}, true, "back to the time of the start; with tenant to that of the emulator", (*Emulator).controlResetClock},
		{http.MethodGet, "faults", []string{"tenant"}, true, "fault rules and how often each acted", (*Emulator).controlFaults},
		{http.MethodPost, "faults", []string{"tenant"}, false, "add a rule or a list of them", (*Emulator).controlAddFaults},
		{http.MethodDelete, "faults", []string{"tenant", "id"}, true, "remove all rules, those of a tenant, or one", (*Emulator).controlClear},
		{http.MethodGet, "ledger", ledgerParameters(), true, "requests and changes of state, in order", (*Emulator).controlLedger},
		{http.MethodPut, "ledger", []string{"tenant"}, false, "whether it keeps headers and bodies", (*Emulator).controlRecording},
		{http.MethodPost, "ledger", []string{"tenant"}, false, "the same", (*Emulator).controlRecording},
		{http.MethodGet, "users", []string{"tenant", "top", "skip"}, true, "users of a tenant", (*Emulator).controlUsers},
		{http.MethodDelete, "users", []string{"tenant", "user"}, true, "delete a user from the directory", (*Emulator).controlDeleteUser},
		{http.MethodGet, "sites", []string{"tenant", "top", "skip"}, true, "sites of a tenant", (*Emulator).controlSites},
		{http.MethodGet, "groups", []string{"tenant", "group", "top", "skip"}, true, "groups of a tenant, or members of one", (*Emulator).controlGroups},
		{http.MethodPost, "groups", nil, false, "change the members of a group", (*Emulator).controlGroup},
		{http.MethodPost, "mail", nil, false, "put a message into a mailbox", (*Emulator).controlMail},
		{http.MethodPost, "files", nil, false, "put a file into a drive or site", (*Emulator).controlFiles},
		{http.MethodPost, "token", nil, false, "a signed token of a user or an application, without a credential", (*Emulator).controlToken},
	}
}

// serveControl answers the emulator's own API, in plain JSON.
func (e *Emulator) serveControl(w http.ResponseWriter, r *http.Request, rest string) {
	body, err := readBody(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if status, problem := body.controlProblem(); problem != nil {
		controlFailed(w, status, problem)
		return
	}
	found, status, err := findControl(r, rest)
	if err != nil {
		controlFailed(w, status, err)
		return
	}
	in := controlRequest{body: body.bytes, origin: (&call{e: e, r: r}).origin()}
	if in.query, err = found.readQuery(r.URL.RawQuery); err == nil && found.bodyless && !emptyBody(body.bytes) {
		err = fmt.Errorf("%s %s/%s takes no body", r.Method, controlRoot, rest)
	}
	var result any
	if err == nil {
		result, err = found.do(e, in)
	}
	if err != nil {
		controlFailed(w, http.StatusBadRequest, err)
		return
	}
	controlAnswer(w, http.StatusOK, result)
}

// findControl finds the call, or says why there is none.
func findControl(r *http.Request, rest string) (found controlCall, status int, err error) {
	status = http.StatusNotFound
	for _, call := range controlCalls() {
		switch {
		case call.path != rest:
		case call.method == r.Method:
			return call, 0, nil
		default:
			status = http.StatusMethodNotAllowed
		}
	}
	return found, status, fmt.Errorf("there is no %s %s/%s; see GET %s/", r.Method, controlRoot, rest, controlRoot)
}

// readQuery refuses what the call does not know, by name.
func (call *controlCall) readQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("the query string cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(call.parameters, name) {
			known := "none"
			if len(call.parameters) > 0 {
				known = strings.Join(call.parameters, ", ")
			}
			return nil, fmt.Errorf("%s %s/%s has no parameter %q; it has %s", call.method, controlRoot, call.path, name, known)
		}
		if len(query[name]) > 1 {
			return nil, fmt.Errorf("the parameter %q is given more than once", name)
		}
	}
	if tenant := query.Get("tenant"); query.Has("tenant") && !isGUID(tenant) {
		return nil, fmt.Errorf("tenant %q is not a GUID", tenant)
	}
	return query, nil
}

// tenant is the tenant that a call names, empty when it names none.
func (in *controlRequest) tenant() string { return strings.ToLower(in.query.Get("tenant")) }

// read reads the body, which must be a JSON value that has nothing but what the target has.
func (in *controlRequest) read(into any) error {
	if len(in.body) == 0 {
		return errors.New("the body is empty, it must be JSON")
	}
	return forPeople(decodeStrict(in.body, into))
}

func controlFailed(w http.ResponseWriter, status int, err error) {
	controlAnswer(w, status, map[string]any{"error": map[string]string{"message": err.Error()}})
}

func controlAnswer(w http.ResponseWriter, status int, body any) {
	data, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("emulator: own answer cannot be encoded: %v", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

func (e *Emulator) controlReset(in controlRequest) (any, error) {
	if in.tenant() == "" {
		e.Reset()
		return done(nil)
	}
	return done(e.ResetTenant(in.tenant()))
}

func (e *Emulator) controlSeed(in controlRequest) (any, error) {
	var seeds []Seed
	if trimmed := strings.TrimSpace(string(in.body)); strings.HasPrefix(trimmed, "[") {
		if err := in.read(&seeds); err != nil {
			return nil, fmt.Errorf("seed: %w", err)
		}
	} else {
		seeds = make([]Seed, 1)
		if err := in.read(&seeds[0]); err != nil {
			return nil, fmt.Errorf("seed: %w", err)
		}
	}
	if err := e.SeedAll(seeds); err != nil {
		return nil, err
	}
	ids := []string{}
	for _, s := range seeds {
		for _, p := range s.Policies {
			ids = append(ids, SeededPolicyID(s.Tenant, p.Workload))
		}
	}
	return map[string]any{"policyIds": ids}, nil
}

func (e *Emulator) controlFaults(in controlRequest) (any, error) {
	return map[string]any{"faults": e.faults.states(in.tenant())}, nil
}

func (e *Emulator) controlAddFaults(in controlRequest) (any, error) {
	ids, err := e.loadFaults(in.body, in.tenant())
	if err != nil {
		return nil, err
	}
	return map[string]any{"ids": ids}, nil
}

func (e *Emulator) controlClear(in controlRequest) (any, error) {
	id, tenant := in.query.Get("id"), in.tenant()
	if in.query.Has("id") && id == "" {
		return nil, errors.New("the parameter \"id\" is empty")
	}
	removed, err := e.faults.clear(tenant, id)
	if err != nil {
		return nil, err
	}
	if id != "" && removed == 0 {
		return nil, fmt.Errorf("there is no fault rule %q", id)
	}
	return done(nil)
}

func (e *Emulator) controlToken(in controlRequest) (any, error) {
	var r TokenRequest
	if err := in.read(&r); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	token, err := e.token(r, in.origin)
	if err != nil {
		return nil, err
	}
	return map[string]string{"token": token}, nil
}

// controlIndex says what there is.
func (e *Emulator) controlIndex(controlRequest) (any, error) {
	var operations []string
	about := map[string]string{}
	for _, call := range controlCalls() {
		text := call.method + " " + controlRoot + "/" + call.path
		if len(call.parameters) > 0 {
			text += "[?" + strings.Join(call.parameters, "=&") + "=]"
		}
		operations = append(operations, text)
		about[text] = call.about
	}
	return map[string]any{
		"operations": operations, "about": about,
		"ids": map[string]string{
			"tenantA": TenantA, "tenantB": TenantB, "tenantC": TenantC, "tenantDemo": TenantDemo, "defaultApp": DefaultApp,
			"userA1": UserA1, "userA2": UserA2, "userA3": UserA3, "userANoLicense": UserANoLicense,
			"userARestoreFails": UserARestoreFails, "userAPreservationLock": UserAPreservationLock,
			"siteA1": SiteA1, "siteA2": SiteA2, "siteA3": SiteA3,
			"groupA1": GroupA1, "groupA2": GroupA2, "groupANested": GroupANested,
			"policyC": PolicyC, "unitCDynamic": UnitCDynamic, "unitCManual": UnitCManual,
		},
		"userAssertions": map[string]string{
			"tenantA": UserAssertion(TenantA, 1), "tenantB": UserAssertion(TenantB, 1), "tenantC": UserAssertion(TenantC, 1),
			"tenantDemo": UserAssertion(TenantDemo, 1),
		},
		"defaultTenant": e.opts.DefaultTenant,
		"clock":         viewClock(e.clock),
	}, nil
}
