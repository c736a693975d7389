package emulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

	// People, OwnSites and OwnGroups are users, sites and groups with names of their own, at most 10,000 each. They come
	// before those that are computed, of which there are none then unless Users, Sites and Groups say how many more. JSON
	// has OwnSites and OwnGroups as lists under sites and groups.
	People    []Person `json:"people,omitempty"`
	OwnSites  []Site   `json:"ownSites,omitempty"`
	OwnGroups []Group  `json:"ownGroups,omitempty"`
	// Messages and Files are in mailboxes, drives and sites; their tenant is the seed's. Who has some here has only these
	// and nothing computed.
	Messages []Message `json:"messages,omitempty"`
	Files    []File    `json:"files,omitempty"`
	// Apps are the applications that the token authority knows; without any it hands out tokens to every one.
	Apps []App `json:"apps,omitempty"`
	// Scenario is a content that has a name, [ScenarioDemo]; it cannot stand beside anything but Tenant.
	Scenario string `json:"scenario,omitempty"`
}

// maxOwn is how many people, sites or groups a seed can name.
const maxOwn = 10_000

// UnmarshalJSON reads sites and groups as numbers or as lists.
func (s *Seed) UnmarshalJSON(data []byte) error {
	type plain Seed
	in := struct {
		*plain
		Sites  json.RawMessage `json:"sites"`
		Groups json.RawMessage `json:"groups"`
	}{plain: (*plain)(s)}
	if err := decodeStrict(data, &in); err != nil {
		return err
	}
	if err := numberOrList(in.Sites, &s.Sites, &s.OwnSites); err != nil {
		return fmt.Errorf("sites: %w", err)
	}
	if err := numberOrList(in.Groups, &s.Groups, &s.OwnGroups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	return nil
}

func numberOrList(raw json.RawMessage, number, list any) error {
	switch {
	case raw == nil:
		return nil
	case raw[0] == '[':
		return forPeople(decodeStrict(raw, list))
	case json.Unmarshal(raw, number) != nil:
		return errors.New("must be a whole number or a list")
	}
	return nil
}

// PolicySeed is a policy that exists from the start, with the tenant's first
// Units users (those without a license left out) or sites, or with its Members.
type PolicySeed struct {
	Workload    Workload `json:"workload"`
	DisplayName string   `json:"displayName,omitempty"` // empty is "Seeded policy"
	Units       int      `json:"units,omitempty"`
	// Members are the users by address or id, the sites by URL or id; they stand in place of Units. Each must be one that
	// can be protected, and not deleted.
	Members []string `json:"members,omitempty"`
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
	s.Users = withOwn(s.Users, defaultUsers, len(s.People))
	s.Sites = withOwn(s.Sites, defaultSites, len(s.OwnSites))
	s.Groups = withOwn(s.Groups, defaultGroups, len(s.OwnGroups))
	s.ServiceStatus = cmp.Or(s.ServiceStatus, serviceDisabled)
	s.Consumer = cmp.Or(s.Consumer, "thirdparty")
	return s
}

// withOwn is how many objects there are, of which a seed names some. Negative stays negative, for check to refuse.
func withOwn(computed, usual, named int) int {
	switch {
	case named > 0 && computed >= 0:
		return named + computed
	case computed == 0:
		return usual
	}
	return computed
}

func (s Seed) check() error {
	if !isGUID(s.Tenant) {
		return fmt.Errorf("tenant %q is not a GUID", s.Tenant)
	}
	if most := max(len(s.People), len(s.OwnSites), len(s.OwnGroups)); most > maxOwn {
		return fmt.Errorf("a seed names at most %d people, sites and groups of each", maxOwn)
	}
	if (s.Users < minUsers && len(s.People) == 0) || s.Users < 1 || s.Users > maxSeeded {
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
		if len(p.Members) > 0 && p.Units > 0 {
			return fmt.Errorf("policy for %v: units and members exclude each other", p.Workload)
		}
		room := s.room(p.Workload)
		if p.Units < 0 || p.Units > room {
			return fmt.Errorf("policy for %v: units %d is not between 0 and %d", p.Workload, p.Units, room)
		}
		if p.DynamicRuleUnits < 0 || p.DynamicRuleUnits > min(max(p.Units, len(p.Members)), maxDynamicUsers) {
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

// room is how many units a seeded policy can have: how many users with a license there are, or how many sites.
func (s Seed) room(w Workload) int {
	if w == SharePoint {
		return s.Sites
	}
	if len(s.People) == 0 {
		return s.Users - 1
	}
	room := s.Users
	for _, p := range s.People {
		if p.Deleted || p.Licensed != nil && !*p.Licensed {
			room--
		}
	}
	return room
}

// Seed replaces a tenant's content. A tenant that did not exist does then.
// Requests that are at work in the tenant end in the old content. A clock that
// the tenant has of its own stays.
func (e *Emulator) Seed(s Seed) error { return e.SeedAll([]Seed{s}) }

// grow makes the tenant that a seed describes.
func (e *Emulator) grow(s Seed) (*tenant, error) {
	if s.Scenario != "" {
		return e.growScenario(s)
	}
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return nil, err
	}
	return e.build(s, e.clockOf(s.Tenant))
}

// build makes a tenant. What is computed takes the same time whatever the numbers are.
func (e *Emulator) build(s Seed, clock *Clock) (*tenant, error) {
	t := &tenant{
		id: s.Tenant, dir: newDirectory(s.Tenant, s.Users, s.Sites, s.Groups),
		lengths: e.opts.Lengths, ledger: e.ledger, notify: defaultNotifications(), clock: clock,
	}
	var err error
	if t.dir.own, err = newOwn(&t.dir, &s); err != nil {
		return nil, err
	}
	if t.known, err = readApps(s.Apps); err != nil {
		return nil, err
	}
	admin := caller{tenant: s.Tenant, app: DefaultApp, user: t.dir.user(1).id}
	why := cause{at: clock.Now(), by: admin.identitySet(t.dir)}
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
		if err := t.plant(p, why); err != nil {
			return nil, fmt.Errorf("policy for %v: %w", p.Workload, err)
		}
	}
	return t, t.furnish(s, why.at)
}

// furnish puts the mail and files of a seed in place.
func (t *tenant) furnish(s Seed, now time.Time) error {
	for i, m := range s.Messages {
		n, err := t.addMessage(m, now)
		if err != nil {
			return fmt.Errorf("messages, entry %d: %w", i+1, err)
		}
		t.vault.ownMail[n] = true
	}
	for i, f := range s.Files {
		p, err := t.placeNamed(f.Object)
		if err != nil {
			return fmt.Errorf("files, entry %d: %w", i+1, err)
		}
		t.vault.ownFiles[p.object] = true
		if _, err := t.addFile(f, now); err != nil {
			return fmt.Errorf("files, entry %d: %w", i+1, err)
		}
	}
	return nil
}

// plant makes a seeded policy and the block of its units.
func (t *tenant) plant(s PolicySeed, why cause) error {
	if s.DisplayName == "" {
		s.DisplayName = "Seeded policy"
	}
	set := t.units[s.Workload]
	if err := t.choose(set, s); err != nil {
		return err
	}
	if len(s.Members) > 0 {
		s.Units = len(s.Members)
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
	set.block, set.size, set.dynamic = block, s.Units, s.DynamicRuleUnits
	t.plantRule(p, set, why)
	return nil
}

// choose says which users or sites the units of a seeded policy are, when the rule of [unitSet.numberAt] does not.
func (t *tenant) choose(set *unitSet, s PolicySeed) error {
	for _, name := range s.Members {
		o := t.objectByID(s.Workload, name)
		if o.number == 0 {
			o = t.objectByName(s.Workload, name)
		}
		if !t.licensed(s.Workload, o) {
			return fmt.Errorf("member %q is no %s that can be protected", name, s.Workload.info().thing)
		}
		if slices.Contains(set.chosen, o.number) {
			return fmt.Errorf("member %q is there twice", name)
		}
		set.chosen = append(set.chosen, o.number)
	}
	set.rest = t.dir.users
	if len(s.Members) == 0 && s.Workload != SharePoint && len(t.dir.own.people) > 0 {
		set.chosen, set.rest = []int{}, len(t.dir.own.people)
		for n := 1; n <= set.rest; n++ {
			if t.licensed(s.Workload, object{number: n}) {
				set.chosen = append(set.chosen, n)
			}
		}
	}
	return nil
}
