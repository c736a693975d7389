package emulator

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Sizes of a tenant's directory.
const (
	defaultUsers  = 200
	defaultSites  = 50
	defaultGroups = 10
	minUsers      = 10 // so that the special ones are there
	maxSeeded     = 10_000_000
)

// Seed is the content that a tenant starts with. It replaces all that the tenant
// had. Directory and protected units are computed, so their numbers cost
// nothing.
type Seed struct {
	// Tenant is the tenant's GUID.
	Tenant string `json:"tenant"`
	// Users, Sites and Groups are the size of the directory; 0 is 200, 50 and
	// 10. Users are at least 10, and each at most 10,000,000.
	Users  int `json:"users,omitempty"`
	Sites  int `json:"sites,omitempty"`
	Groups int `json:"groups,omitempty"`
	// ServiceStatus is disabled (the default), enabled, protectionChangeLocked
	// or restoreLocked.
	ServiceStatus string `json:"serviceStatus,omitempty"`
	// Consumer is who controls the service: thirdparty (the default) or
	// firstparty.
	Consumer string `json:"consumer,omitempty"`
	// DataStoreReady makes the data store ready in a tenant whose service is
	// disabled; else it always is.
	DataStoreReady bool `json:"dataStoreReady,omitempty"`
	// Policies that exist already, at most one per workload.
	Policies []PolicySeed `json:"policies,omitempty"`
}

// PolicySeed is a policy that exists from the start, with the tenant's first
// Units users (the one without a license left out) or sites.
type PolicySeed struct {
	Workload    Workload `json:"workload"`
	DisplayName string   `json:"displayName,omitempty"` // empty is "Seeded policy"
	Units       int      `json:"units"`
	// DynamicRuleUnits of the Units, the first ones and at most 6,000, are held
	// by a dynamic rule rather than by hand: the rule [SeededRuleID], which names
	// the group [SeededGroupID]. Rules for sites are static, yet Microsoft
	// documents the refusal to remove such a unit for sites too: sites are held
	// without a rule.
	DynamicRuleUnits int `json:"dynamicRuleUnits,omitempty"`
	// Inactive leaves the policy inactive and its units unprotected.
	Inactive bool `json:"inactive,omitempty"`
	// ProtectedFor is how long the units have been protected already, at most
	// ten years, so that there are restore points from the start.
	ProtectedFor Duration `json:"protectedFor,omitempty"`
}

func initialSeeds() []Seed {
	return []Seed{
		{Tenant: TenantA, ServiceStatus: serviceEnabled},
		{Tenant: TenantB},
		{Tenant: TenantC, ServiceStatus: serviceEnabled, Policies: []PolicySeed{
			{Workload: Exchange, DisplayName: "Mailboxes at work", Units: 20, DynamicRuleUnits: 2},
		}},
	}
}

func (s Seed) withDefaults() Seed {
	s.Tenant = strings.ToLower(s.Tenant)
	s.Users = cmp.Or(s.Users, defaultUsers)
	s.Sites = cmp.Or(s.Sites, defaultSites)
	s.Groups = cmp.Or(s.Groups, defaultGroups)
	s.ServiceStatus = cmp.Or(s.ServiceStatus, serviceDisabled)
	s.Consumer = cmp.Or(s.Consumer, "thirdparty")
	return s
}

func (s Seed) check() error {
	if !isGUID(s.Tenant) {
		return fmt.Errorf("tenant %q is not a GUID", s.Tenant)
	}
	if s.Users < minUsers || s.Users > maxSeeded {
		return fmt.Errorf("users %d is not between %d and %d", s.Users, minUsers, maxSeeded)
	}
	if s.Sites < 1 || s.Sites > maxSeeded || s.Groups < 1 || s.Groups > maxSeeded {
		return fmt.Errorf("sites and groups must be between 1 and %d", maxSeeded)
	}
	switch s.ServiceStatus {
	case serviceDisabled, serviceEnabled, serviceChangeLocked, serviceRestoreLocked:
	default:
		return fmt.Errorf("serviceStatus %q is unknown", s.ServiceStatus)
	}
	if s.Consumer != "thirdparty" && s.Consumer != "firstparty" {
		return fmt.Errorf("consumer %q is neither thirdparty nor firstparty", s.Consumer)
	}
	seen := map[Workload]bool{}
	for _, p := range s.Policies {
		if p.Workload < Exchange || p.Workload > SharePoint {
			return fmt.Errorf("policy of an unknown workload %v", p.Workload)
		}
		if seen[p.Workload] {
			return fmt.Errorf("more than one policy for %v", p.Workload)
		}
		seen[p.Workload] = true
		room := s.Users - 1
		if p.Workload == SharePoint {
			room = s.Sites
		}
		if p.Units < 0 || p.Units > room {
			return fmt.Errorf("policy for %v: units %d is not between 0 and %d", p.Workload, p.Units, room)
		}
		if p.DynamicRuleUnits < 0 || p.DynamicRuleUnits > min(p.Units, maxDynamicUsers) {
			return fmt.Errorf("policy for %v: dynamicRuleUnits %d is out of range", p.Workload, p.DynamicRuleUnits)
		}
		if p.ProtectedFor < 0 || p.ProtectedFor > Duration(10*365*day) {
			return fmt.Errorf("policy for %v: protectedFor %v is not between 0 and ten years", p.Workload, time.Duration(p.ProtectedFor))
		}
		if p.DisplayName != "" && !validDisplayName(p.DisplayName) {
			return fmt.Errorf("policy for %v: displayName is too long", p.Workload)
		}
	}
	return nil
}

// Seed replaces a tenant's content. A tenant that did not exist does then.
// Requests that are at work in the tenant end in the old content.
func (e *Emulator) Seed(s Seed) error {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	t := e.build(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tenants[s.Tenant] = t
	return nil
}

// build makes a tenant. It takes the same time whatever the numbers are.
func (e *Emulator) build(s Seed) *tenant {
	t := &tenant{
		id: s.Tenant, dir: newDirectory(s.Tenant, s.Users, s.Sites, s.Groups),
		lengths: e.opts.Lengths, ledger: e.ledger, notify: defaultNotifications(),
	}
	admin := caller{tenant: s.Tenant, app: DefaultApp, user: UserID(s.Tenant, 1)}
	why := cause{at: e.clock.Now(), by: admin.identitySet(t.dir)}
	t.born = why.at
	ready := s.DataStoreReady || s.ServiceStatus != serviceDisabled
	t.service = service{
		status: s.ServiceStatus, disableReason: "none", consumer: s.Consumer,
		modified: why.at, by: why.by, storeAsked: ready, storeReady: ready,
	}
	if s.ServiceStatus == serviceChangeLocked || s.ServiceStatus == serviceRestoreLocked {
		t.service.disableReason = "userRequested"
	}
	if s.ServiceStatus != serviceDisabled && s.Consumer == "thirdparty" {
		t.register(DefaultApp, appActive, why)
	}
	for w := range t.units {
		t.units[w] = newUnitSet(Workload(w))
	}
	t.vault = newVault(why.at)
	for _, p := range s.Policies {
		t.plant(p, why)
	}
	return t
}

// plant makes a seeded policy and the block of its units.
func (t *tenant) plant(s PolicySeed, why cause) {
	if s.DisplayName == "" {
		s.DisplayName = "Seeded policy"
	}
	p := t.newPolicy(s.Workload, SeededPolicyID(t.id, s.Workload), s.DisplayName, why)
	p.on = !s.Inactive
	block := &unit{
		workload: s.Workload, weight: s.Units, policy: p, status: unitProtected,
		created: why.at, modified: why.at, createdBy: why.by, modifiedBy: why.by,
		protectedSince: why.at.Add(-time.Duration(s.ProtectedFor)),
	}
	if s.Inactive {
		block.status, block.protectedSince = unitUnprotected, time.Time{}
	}
	p.tally[block.status] = s.Units
	p.told = p.status()
	set := t.units[s.Workload]
	set.block, set.size, set.dynamic = block, s.Units, s.DynamicRuleUnits
	t.plantRule(p, set, why)
}
