package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
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
	operations := map[string]func([]byte) (any, error){
		"GET ":        func([]byte) (any, error) { return e.index(), nil },
		"POST reset":  func([]byte) (any, error) { e.Reset(); return struct{}{}, nil },
		"POST seed":   e.controlSeed,
		"POST mail":   e.controlMail,
		"POST files":  e.controlFiles,
		"GET clock":   func([]byte) (any, error) { return e.clockView(), nil },
		"PUT clock":   e.controlClock,
		"POST clock":  e.controlClock,
		"GET faults":  func([]byte) (any, error) { return map[string]any{"faults": e.Faults()}, nil },
		"POST faults": e.controlFaults,
		"DELETE faults": func([]byte) (any, error) {
			return e.controlClear(r.URL.Query().Get("id"))
		},
		"POST groups": e.controlGroup,
		"GET groups": func([]byte) (any, error) {
			return e.controlMembers(r.URL.Query().Get("tenant"), r.URL.Query().Get("group"))
		},
		"GET ledger": func([]byte) (any, error) {
			return e.controlLedger(r.URL.Query().Get("since"), r.URL.Query().Get("limit"))
		},
	}
	operation, found := operations[r.Method+" "+rest]
	if !found {
		status := http.StatusNotFound
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if _, other := operations[method+" "+rest]; other {
				status = http.StatusMethodNotAllowed
			}
		}
		controlFailed(w, status, fmt.Errorf("there is no %s %s/%s; see GET %s/", r.Method, controlRoot, rest, controlRoot))
		return
	}
	result, err := operation(body.bytes)
	if err != nil {
		controlFailed(w, http.StatusBadRequest, err)
		return
	}
	controlAnswer(w, http.StatusOK, result)
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

type clockView struct {
	Now   time.Time `json:"now"`
	Speed float64   `json:"speed"`
}

func (e *Emulator) clockView() clockView {
	return clockView{Now: e.clock.Now(), Speed: e.clock.Speed()}
}

// controlClock sets the speed, then the time, then advances: each as far as it
// is given.
func (e *Emulator) controlClock(body []byte) (any, error) {
	var in struct {
		Now     *time.Time `json:"now"`
		Speed   *float64   `json:"speed"`
		Advance Duration   `json:"advance"`
	}
	if err := decodeStrict(body, &in); err != nil {
		return nil, fmt.Errorf("clock: %w", err)
	}
	if in.Speed != nil {
		if err := e.clock.SetSpeed(*in.Speed); err != nil {
			return nil, err
		}
	}
	if in.Now != nil {
		e.clock.Set(*in.Now)
	}
	if in.Advance != 0 {
		e.clock.Advance(time.Duration(in.Advance))
	}
	return e.clockView(), nil
}

func (e *Emulator) controlSeed(body []byte) (any, error) {
	var in Seed
	if err := decodeStrict(body, &in); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	if err := e.Seed(in); err != nil {
		return nil, err
	}
	ids := []string{}
	for _, p := range in.Policies {
		ids = append(ids, SeededPolicyID(in.Tenant, p.Workload))
	}
	return map[string]any{"policyIds": ids}, nil
}

func (e *Emulator) controlFaults(body []byte) (any, error) {
	ids, err := e.LoadFaults(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	return map[string]any{"ids": ids}, nil
}

func (e *Emulator) controlClear(id string) (any, error) {
	if id == "" {
		e.ClearFaults()
	} else if !e.RemoveFault(id) {
		return nil, fmt.Errorf("there is no fault rule %q", id)
	}
	return struct{}{}, nil
}

func (e *Emulator) controlLedger(since, limit string) (any, error) {
	var after uint64
	var most int
	var err error
	if since != "" {
		if after, err = strconv.ParseUint(since, 10, 64); err != nil {
			return nil, fmt.Errorf("since: %w", err)
		}
	}
	if limit != "" {
		if most, err = strconv.Atoi(limit); err != nil || most < 1 {
			return nil, fmt.Errorf("limit %q is not a positive number", limit)
		}
	}
	e.settle()
	return e.ledger.since(after, most), nil
}

// index says what there is.
func (e *Emulator) index() any {
	return map[string]any{
		"operations": []string{
			"GET /_emulator/", "POST /_emulator/reset", "POST /_emulator/seed",
			"POST /_emulator/mail", "POST /_emulator/files",
			"GET|PUT|POST /_emulator/clock", "GET|POST /_emulator/faults", "DELETE /_emulator/faults[?id=]",
			"GET /_emulator/groups?tenant=&group=", "POST /_emulator/groups",
			"GET /_emulator/ledger[?since=N&limit=N]",
		},
		"ids": map[string]string{
			"tenantA": TenantA, "tenantB": TenantB, "tenantC": TenantC, "defaultApp": DefaultApp,
			"userA1": UserA1, "userA2": UserA2, "userA3": UserA3, "userANoLicense": UserANoLicense,
			"userARestoreFails": UserARestoreFails, "userAPreservationLock": UserAPreservationLock,
			"siteA1": SiteA1, "siteA2": SiteA2, "siteA3": SiteA3,
			"groupA1": GroupA1, "groupA2": GroupA2, "groupANested": GroupANested,
			"policyC": PolicyC, "unitCDynamic": UnitCDynamic, "unitCManual": UnitCManual,
		},
		"userAssertions": map[string]string{
			"tenantA": UserAssertion(TenantA, 1), "tenantB": UserAssertion(TenantB, 1), "tenantC": UserAssertion(TenantC, 1),
		},
		"clock": e.clockView(),
	}
}
