package emulator

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// clocks are those that tenants have of their own.
type clocks struct {
	mu  sync.Mutex
	own map[string]*Clock
}

// clockOf returns the clock that a tenant goes by.
func (e *Emulator) clockOf(tenant string) *Clock {
	e.clocks.mu.Lock()
	defer e.clocks.mu.Unlock()
	if c, own := e.clocks.own[tenant]; own {
		return c
	}
	return e.clock
}

// TenantClock returns a clock of one tenant's own. The first call makes it: from then on the tenant goes by it, and no
// longer by [Emulator.Clock], which stands where the new one begins. It refuses a tenant that is no GUID.
func (e *Emulator) TenantClock(tenant string) (*Clock, error) {
	if !isGUID(tenant) {
		return nil, fmt.Errorf("tenant %q is not a GUID", tenant)
	}
	tenant = strings.ToLower(tenant)
	t := e.tenant(tenant)
	e.clocks.mu.Lock()
	c, own := e.clocks.own[tenant]
	if !own {
		c = newClock(e.opts.Base, e.clock.Now(), e.clock.Speed())
		if e.clocks.own == nil {
			e.clocks.own = map[string]*Clock{}
		}
		e.clocks.own[tenant] = c
	}
	e.clocks.mu.Unlock()
	t.goBy(c)
	return c, nil
}

// ResetTenantClock gives a clock of a tenant's own up: the tenant goes by [Emulator.Clock] again.
func (e *Emulator) ResetTenantClock(tenant string) error {
	if !isGUID(tenant) {
		return fmt.Errorf("tenant %q is not a GUID", tenant)
	}
	tenant = strings.ToLower(tenant)
	e.clocks.mu.Lock()
	delete(e.clocks.own, tenant)
	e.clocks.mu.Unlock()
	e.tenant(tenant).goBy(e.clock)
	return nil
}

func (t *tenant) goBy(c *Clock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock = c
}

// reset goes back to a time and a speed, as a new clock has them.
func (c *Clock) reset(start time.Time, speed float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := newClock(c.base, start, speed)
	c.anchor, c.anchorAt, c.speed = fresh.anchor, fresh.anchorAt, fresh.speed
}

// ResetClock goes back to the time and the speed of the start. What has happened stays.
func (e *Emulator) ResetClock() { e.clock.reset(e.opts.Start, e.opts.Speed) }

// ResetTenant takes one tenant back to the start: as it was seeded there, without a clock of its own, without fault
// rules of its own, and with a ledger that begins now. Other tenants do not notice, but [Options.OnReset] is called.
// It refuses a tenant that is no GUID.
func (e *Emulator) ResetTenant(tenant string) error {
	if !isGUID(tenant) {
		return fmt.Errorf("tenant %q is not a GUID", tenant)
	}
	tenant = strings.ToLower(tenant)
	e.clocks.mu.Lock()
	delete(e.clocks.own, tenant)
	e.clocks.mu.Unlock()
	e.faults.forget(tenant)
	e.ledger.forget(tenant)
	t, err := e.grow(e.firstSeed(tenant))
	if err != nil {
		panic("emulator: " + err.Error()) // the seed was accepted before, or is the emulator's own
	}
	e.mu.Lock()
	e.tenants[tenant] = t
	e.mu.Unlock()
	if e.opts.OnReset != nil {
		e.opts.OnReset()
	}
	return nil
}

// firstSeed is what a tenant begins with.
func (e *Emulator) firstSeed(tenant string) Seed {
	first := Seed{Tenant: tenant}
	if tenant == TenantDemo {
		first.Scenario = ScenarioDemo
	}
	for _, s := range append(initialSeeds(), e.opts.Seeds...) {
		if strings.EqualFold(s.Tenant, tenant) {
			first = s
		}
	}
	return first
}

// SeedAll seeds several tenants, or none when one of the seeds is refused.
func (e *Emulator) SeedAll(seeds []Seed) error {
	grown := make([]*tenant, len(seeds))
	for i, s := range seeds {
		t, err := e.grow(s)
		if err != nil && len(seeds) > 1 {
			return fmt.Errorf("seed, entry %d: %w", i+1, err)
		}
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		grown[i] = t
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range grown {
		e.tenants[t.id] = t
	}
	return nil
}
