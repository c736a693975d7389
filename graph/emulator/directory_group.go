package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seedGroup numbers the groups whose members the dynamic rules of seeded policies
// hold, above all groups of any directory.
const seedGroup = 0x5eed0001

// SeededGroupID returns the id of the group that the dynamic rule of a tenant's
// seeded policy names: its members are the users of the policy's first
// [PolicySeed.DynamicRuleUnits] units.
func SeededGroupID(tenant string, w Workload) string {
	return GroupID(tenant, seedGroup+int(w))
}

// GroupChange changes who is in a group. Adding a member again, or removing what
// is no member, does nothing.
type GroupChange struct {
	// Tenant is the tenant's GUID; empty is [Options.DefaultTenant].
	Tenant string `json:"tenant"`
	// Group is the group's object id.
	Group string `json:"group"`
	// Add and Remove are ids of users and groups of the tenant. What is in both
	// is removed.
	Add    []string `json:"add"`
	Remove []string `json:"remove"`
}

// ChangeGroup changes a group and has the tenant's dynamic rules evaluated at
// once. It refuses a group or a member that the directory does not have.
func (e *Emulator) ChangeGroup(change GroupChange) error {
	return e.inDirectory(change.Tenant, func(t *tenant, now time.Time) error {
		return t.changeGroup(change, cause{at: now})
	})
}

// GroupMembers returns the ids of a group's members; an empty tenant is
// [Options.DefaultTenant].
func (e *Emulator) GroupMembers(tenantID, group string) ([]string, error) {
	var members []string
	err := e.inDirectory(tenantID, func(t *tenant, _ time.Time) error {
		g, ok := t.group(group)
		if !ok {
			return fmt.Errorf("tenant %s has no group %q", t.id, group)
		}
		members = append([]string{}, g.members...)
		return nil
	})
	return members, err
}

// inDirectory is inTenant for groups, where an empty id is the default tenant.
func (e *Emulator) inDirectory(id string, do func(*tenant, time.Time) error) error {
	if err := e.inTenant(cmp.Or(id, e.opts.DefaultTenant), do); err != nil {
		return fmt.Errorf("group: %w", err)
	}
	return nil
}

func (e *Emulator) controlGroup(in controlRequest) (any, error) {
	var change GroupChange
	if err := in.read(&change); err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	if err := e.ChangeGroup(change); err != nil {
		return nil, err
	}
	return e.controlMembers(change.Tenant, change.Group)
}

func (e *Emulator) controlMembers(tenant, group string) (any, error) {
	members, err := e.GroupMembers(tenant, group)
	if err != nil {
		return nil, err
	}
	return map[string]any{"members": members}, nil
}

// group finds a group with the members that it has now.
func (t *tenant) group(id string) (group, bool) {
	id = strings.ToLower(id)
	g, ok := t.dir.groupByID(id)
	for w := range t.units {
		if id == SeededGroupID(t.id, Workload(w)) && t.units[w].planted > 0 {
			g, ok = group{id: id, name: "Seeded policy " + Workload(w).String()}, true
			for position := 1; position <= t.units[w].planted; position++ {
				g.members = append(g.members, t.dir.objectID(Workload(w), t.units[w].numberAt(position)))
			}
		}
	}
	if members, changed := t.groups[id]; changed {
		g.members = members
	}
	return g, ok
}

func (t *tenant) changeGroup(change GroupChange, why cause) error {
	g, ok := t.group(change.Group)
	if !ok {
		return fmt.Errorf("tenant %s has no group %q", t.id, change.Group)
	}
	removed := map[string]bool{}
	for _, id := range change.Remove {
		if !t.isMemberID(id) {
			return fmt.Errorf("tenant %s has no user or group %q", t.id, id)
		}
		removed[strings.ToLower(id)] = true
	}
	there := map[string]bool{}
	members := slices.Clone(g.members)
	for _, id := range members {
		there[id] = true
	}
	for _, id := range change.Add {
		if !t.isMemberID(id) {
			return fmt.Errorf("tenant %s has no user or group %q", t.id, id)
		}
		if id = strings.ToLower(id); id == g.id {
			return errors.New("a group cannot be its own member")
		}
		if !there[id] {
			there[id] = true
			members = append(members, id)
		}
	}
	members = slices.DeleteFunc(members, func(id string) bool { return removed[id] })
	if slices.Equal(members, g.members) {
		return nil
	}
	if t.groups == nil {
		t.groups = map[string][]string{}
	}
	t.groups[g.id] = members
	t.record(why, "group", g.id, strconv.Itoa(len(g.members))+" members", strconv.Itoa(len(members))+" members", 1)
	for _, p := range t.policies {
		for _, r := range p.rules {
			t.reevaluate(r, why)
		}
	}
	return nil
}

func (t *tenant) isMemberID(id string) bool {
	if _, ok := t.dir.userByID(id); ok {
		return true
	}
	_, ok := t.group(id)
	return ok
}

// groupWalk collects the users of groups, each once.
type groupWalk struct {
	t        *tenant
	nested   bool // groups within groups are walked too
	groups   map[string]bool
	users    map[int]bool
	numbers  []int
	problems []publicError
}

func (w *groupWalk) enter(id string) {
	if w.groups[id] {
		return
	}
	w.groups[id] = true
	g, ok := w.t.group(id)
	if !ok {
		w.fail(id, "The tenant has no such group.")
		return
	}
	flat := true
	for _, member := range g.members {
		if u, ok := w.t.dir.everyUserByID(member); ok {
			if !w.users[u.number] && !w.t.dir.deleted(u) {
				w.users[u.number] = true
				w.numbers = append(w.numbers, u.number)
			}
			continue
		}
		flat = false
		if w.nested {
			w.enter(member)
		}
	}
	if !flat && !w.nested {
		w.fail(id, "The group holds other groups, whose members a dynamic rule leaves out.")
	}
}

func (w *groupWalk) fail(id, message string) {
	w.problems = append(w.problems, publicError{Code: codeInvalidGroup, Message: message, Target: id})
}
