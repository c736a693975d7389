package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ScenarioDemo is a small company with a month behind it: see [Seed.Scenario].
const ScenarioDemo = "demo"

// story lets a tenant live through what happened to it, by the operations that anybody else has. So nothing is in a
// scenario that could not have come about.
type story struct {
	e     *Emulator
	t     *tenant
	clock *Clock // stands still unless the story moves it
	admin string // who does things
}

// growScenario makes a tenant with a scenario.
func (e *Emulator) growScenario(s Seed) (*tenant, error) {
	if s.Scenario != ScenarioDemo {
		return nil, fmt.Errorf("scenario %q is unknown; there is %q", s.Scenario, ScenarioDemo)
	}
	if !isGUID(s.Tenant) {
		return nil, fmt.Errorf("tenant %q is not a GUID", s.Tenant)
	}
	id := strings.ToLower(s.Tenant)
	if others, err := json.Marshal(Seed{Tenant: s.Tenant, Scenario: s.Scenario}); err == nil {
		if all, err := json.Marshal(s); err != nil || string(all) != string(others) {
			return nil, fmt.Errorf("scenario %q stands alone: give it nothing but a tenant", s.Scenario)
		}
	}
	shared := e.clockOf(id)
	now := shared.Now()
	clock := newClock(e.opts.Base, now.Add(-demoAge), 0)
	seed := demoSeed(id, clock.Now()).withDefaults()
	if err := seed.check(); err != nil {
		return nil, err
	}
	t, err := e.build(seed, clock)
	if err != nil {
		return nil, err
	}
	// What happened before anybody looked is in no ledger.
	t.ledger = newLedger(1)
	demoStory(&story{e: e, t: t, clock: clock, admin: t.dir.user(demoAdmin).id})
	clock.Set(now)
	t.settle(now)
	t.ledger, t.clock, t.requests = e.ledger, shared, 0
	return t, nil
}

// at moves the story to a time after its beginning.
func (s *story) at(after time.Duration) {
	s.clock.Set(s.t.born.Add(after))
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.settle(s.t.now())
}

// do carries out an operation. It panics when that is refused: a story is a part of the program.
func (s *story) do(method, path string, body any) map[string]any {
	text := []byte{}
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			panic("emulator: own story: " + err.Error())
		}
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://graph.example/v1.0/solutions/backupRestore"+path, nil)
	if err != nil {
		panic("emulator: own story: " + err.Error())
	}
	c := &call{
		e: s.e, r: r, body: text, tenant: s.t, now: s.t.now(),
		caller: caller{tenant: s.t.id, app: DefaultApp, user: s.admin, delegated: true, permissions: allPermissions()},
	}
	refusal := c.findRoute()
	var a *answer
	if refusal == nil {
		a, refusal = c.perform()
	}
	if refusal != nil {
		panic(fmt.Sprintf("emulator: own story: %s %s: %v", method, path, refusal))
	}
	var said map[string]any
	if raw, err := json.Marshal(a.body); err != nil || json.Unmarshal(raw, &said) != nil {
		panic("emulator: own story: an answer is no object")
	}
	return said
}

// make is do for what has an id.
func (s *story) make(path string, body any) string {
	id, ok := s.do(http.MethodPost, path, body)["id"].(string)
	if !ok {
		panic("emulator: own story: nothing was made by " + path)
	}
	return id
}

// units are the items that add people, by number, or sites.
func (s *story) units(w Workload, numbers ...int) []any {
	items := []any{}
	for _, n := range numbers {
		items = append(items, map[string]any{w.info().idProperty: s.t.dir.objectID(w, n)})
	}
	return items
}

// artifacts are restores of the newest points of people or sites.
func (s *story) artifacts(w Workload, destination string, numbers ...int) []any {
	items := []any{}
	for _, n := range numbers {
		unit := s.t.findUnit(UnitID(s.t.id, w, n))
		for p := range unit.points(s.t.now(), time.Time{}, time.Time{}, true) {
			items = append(items, map[string]any{"restorePoint": map[string]any{"id": p.id()}, "destinationType": destination})
			break
		}
	}
	return items
}
