package emulator

import (
	"maps"
	"slices"
)

// unitSet holds a tenant's units of one workload. A seeded policy may have a
// million of them, so those are not stored: block is one unit that stands for
// all the seeded ones that nobody has touched, since they share every state.
// Whatever happens to a single one moves it out of the block first.
//
// Positions order a listing and never change: seeded units come first, the ones
// made later follow. No unit ever goes away, so a page token is just a position.
type unitSet struct {
	workload Workload
	block    *unit         // nil without a seeded policy; weight counts those still in it
	size     int           // how many were seeded
	chosen   []int         // numbers at the first positions, when a seed says which; nil: see numberAt
	rest     int           // and the number before that of the position after them
	dynamic  int           // the first so many of them are held by a dynamic rule
	planted  int           // how many those were when the tenant was seeded
	moved    map[int]*unit // seeded units that left the block, by position
	extra    []*unit       // made at run time; extra[i] has position size+1+i
	byID     map[string]*unit
}

func newUnitSet(w Workload) *unitSet {
	return &unitSet{workload: w, moved: map[int]*unit{}, byID: map[string]*unit{}}
}

// numberAt is the directory number of the seeded unit at a position. Seeded
// policies hold what can be protected, so users without a license are skipped.
func (s *unitSet) numberAt(position int) int {
	switch {
	case position <= len(s.chosen):
		return s.chosen[position-1]
	case s.chosen != nil:
		return s.rest + position - len(s.chosen)
	case s.workload != SharePoint && position >= UserNoLicense:
		return position + 1
	}
	return position
}

// positionOf undoes numberAt; 0 when the number is not seeded.
func (s *unitSet) positionOf(number int) int {
	position := number
	switch {
	case s.chosen != nil:
		position = slices.Index(s.chosen, number) + 1
		if number > s.rest {
			position = number - s.rest + len(s.chosen)
		}
	case s.workload == SharePoint:
	case number == UserNoLicense:
		return 0
	case number > UserNoLicense:
		position--
	}
	if position > s.size {
		return 0
	}
	return position
}

// last is the position of the last unit.
func (s *unitSet) last() int { return s.size + len(s.extra) }

// at returns the unit at a position between 1 and last. What it returns for a
// unit in the block is a copy: only look at it.
func (s *unitSet) at(t *tenant, position int) *unit {
	if position > s.size {
		return s.extra[position-s.size-1]
	}
	if u, ok := s.moved[position]; ok {
		return u
	}
	u := *s.block
	u.position, u.weight = position, 1
	u.number = s.numberAt(position)
	u.id = numberedID(s.workload.info().unitKind, t.dir.salt, u.number)
	u.object = t.dir.objectID(s.workload, u.number)
	u.sources = sources{manual: position > s.dynamic, dynamicRule: position <= s.dynamic}
	if s.block.policy == nil {
		u.sources = sources{}
	}
	return &u
}

// find looks a unit up by id; nil when there is none. As with at, only look.
func (s *unitSet) find(t *tenant, id string) *unit {
	if u, ok := s.byID[id]; ok {
		return u
	}
	number, ok := numberOf(s.workload.info().unitKind, t.dir.salt, id)
	if !ok {
		return nil
	}
	if position := s.positionOf(number); position > 0 {
		return s.at(t, position)
	}
	return nil
}

// take is find for a unit that is about to change: one in the block is moved out
// of it.
func (s *unitSet) take(t *tenant, id string) *unit {
	u := s.find(t, id)
	if u == nil || s.byID[u.id] != nil {
		return u
	}
	s.block.weight--
	s.moved[u.position] = u
	s.byID[u.id] = u
	// The block's own next step no longer covers this one.
	t.follow(u)
	return u
}

// follow gives a unit that left the block in the middle of a step the rest of
// that step.
func (t *tenant) follow(u *unit) {
	why := cause{at: u.modified}
	switch u.status {
	case unitProtectRequested:
		t.later(u, why, t.lengths.Protect, func(why cause) { t.setStatus(u, unitProtected, why); u.policy.rest() })
	case unitUnprotectRequested:
		t.later(u, why, t.lengths.Unprotect, func(why cause) { t.setStatus(u, unitUnprotected, why); u.policy.rest() })
	}
}

// unitID is the id that a unit for an object has or would have.
func (s *unitSet) unitID(t *tenant, o object) string {
	if o.number > 0 {
		return numberedID(s.workload.info().unitKind, t.dir.salt, o.number)
	}
	return hashedID(t.id, s.workload.info().unitType, o.id)
}

// takeOrAdd is take for the unit of an object, which is made if there is none
// yet. It is in no policy then.
func (s *unitSet) takeOrAdd(t *tenant, o object, why cause) *unit {
	id := s.unitID(t, o)
	if u := s.take(t, id); u != nil {
		return u
	}
	u := &unit{
		workload: s.workload, position: s.last() + 1, weight: 1,
		id: id, object: o.id, number: o.number,
		status:  unitUnprotected,
		created: why.at, modified: why.at, createdBy: why.by, modifiedBy: why.by,
	}
	s.extra = append(s.extra, u)
	s.byID[u.id] = u
	t.record(why, s.workload.info().unitType, u.id, "", unitUnprotected, 1)
	return u
}

// movedInOrder are the positions of the seeded units that left the block.
func (s *unitSet) movedInOrder() []int { return slices.Sorted(maps.Keys(s.moved)) }

// members calls each for every stored unit of a policy, the block being one.
func (s *unitSet) members(p *policy, each func(*unit)) {
	if s.block != nil && s.block.policy == p && s.block.weight > 0 {
		each(s.block)
	}
	// Ordered by position, so that two runs leave the same ledger.
	for _, position := range s.movedInOrder() {
		if u := s.moved[position]; u.policy == p {
			each(u)
		}
	}
	for _, u := range s.extra {
		if u.policy == p {
			each(u)
		}
	}
}

// findUnit looks through all workloads.
func (t *tenant) findUnit(id string) *unit {
	for _, s := range t.units {
		if u := s.find(t, id); u != nil {
			return u
		}
	}
	return nil
}
