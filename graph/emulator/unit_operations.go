package emulator

import (
	"iter"
	"slices"
)

// getUnit answers an unknown unit the documented way: with 200 and the error
// inside.
func getUnit(c *call) (*answer, *graphError) {
	id := c.param(0)
	if !isUnitID(id) {
		return nil, refuse(c.r.Method, "InvalidProtectionUnitId", "The protection unit id is malformed.")
	}
	id = canonicalUnitID(id)
	u := c.tenant.findUnit(id)
	v := unitView{ID: id}
	if u != nil {
		v = c.tenant.view(u, c.caller.seesNames())
		v.Type = odataType(u.workload.info().unitType)
	} else {
		v.Error = &publicError{Code: "ProtectionUnitNotFound", Message: "This tenant has no such protection unit.", Target: id}
	}
	if in := c.itemFault(id, v.ObjectID, v.SiteID); in != nil {
		v.Error = in.on("")
	}
	if u == nil {
		return ok(v), nil
	}
	return ok(struct {
		Context string `json:"@odata.context"`
		unitView
	}{c.context("/protectionUnits/$entity"), v}), nil
}

func listAllUnits(c *call) (*answer, *graphError) {
	return listUnits(c, nil, "/protectionUnits", c.tenant.units[:]...)
}

func listWorkloadUnits(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		return listUnits(c, nil, "/protectionUnits/microsoft.graph."+w.info().unitType, c.tenant.units[w])
	}
}

func listPolicyUnits(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		p, err := c.policyOfWorkload(w)
		if err != nil {
			return nil, err
		}
		return listUnits(c, p, "/"+w.info().policies+"('"+p.id+"')/"+w.info().units, c.tenant.units[w])
	}
}

// listUnits is one page of the units of the given sets, of one policy unless p
// is nil.
func listUnits(c *call, p *policy, where string, sets ...*unitSet) (*answer, *graphError) {
	q, err := c.readQuery("$top", "$filter")
	if err != nil {
		return nil, err
	}
	only, err := parseFilter(q.filter, sets)
	if err != nil {
		return nil, err
	}
	page := collection{Context: c.context(where), Value: []unitView{}}
	views := make([]unitView, 0, min(q.top, 128))
	fits := func(u *unit) (unitView, bool) {
		if p != nil && u.policy != p {
			return unitView{}, false
		}
		v := c.tenant.view(u, c.caller.seesNames())
		return v, only == nil || only.Matches(func(x *filterComparison) bool { return x.holds(&v) })
	}
	if c.shape.count {
		n := 0
		for _, s := range sets {
			for position := range s.candidates(c.tenant, p, only, 0) {
				if _, ok := fits(s.at(c.tenant, position)); ok {
					n++
				}
			}
		}
		page.Count = &n
	}
	for i := q.from.set; i < len(sets); i++ {
		after := 0
		if i == q.from.set {
			after = q.from.position
		}
		for position := range sets[i].candidates(c.tenant, p, only, after) {
			v, ok := fits(sets[i].at(c.tenant, position))
			if !ok {
				continue
			}
			if len(views) == q.top {
				// One more than fits: there is a next page, and it starts after
				// the last one shown.
				page.NextLink = c.nextPage(q)
				page.Value = views
				return c.answerPage(page), nil
			}
			views = append(views, c.listed(v, sets[i]))
			q.from = mark{set: i, position: position}
		}
	}
	page.Value = views
	return c.answerPage(page), nil
}

// candidates are the positions after the given one that are worth a look, in
// order. A filter that names units leads straight to them. All units of the
// block have the same policy and status, so unless these fit, the block is
// passed over at once, whatever its size.
func (s *unitSet) candidates(t *tenant, p *policy, only *filter, after int) iter.Seq[int] {
	if ids, ok := pinned(t, only, s); ok {
		var positions []int
		for _, id := range ids {
			if u := s.find(t, id); u != nil && u.position > after {
				positions = append(positions, u.position)
			}
		}
		slices.Sort(positions)
		return slices.Values(slices.Compact(positions))
	}
	blockFits := s.block != nil && (p == nil || s.block.policy == p)
	blockFits = blockFits && mayHold(only, s.block.status)
	return func(yield func(int) bool) {
		if !blockFits {
			for _, position := range s.movedInOrder() {
				if position > after && !yield(position) {
					return
				}
			}
			after = max(after, s.size)
		}
		for position := after + 1; position <= s.last(); position++ {
			if !yield(position) {
				return
			}
		}
	}
}

// listed completes a unit for a listing.
func (c *call) listed(v unitView, s *unitSet) unitView {
	v.Type = odataType(s.workload.info().unitType)
	if in := c.itemFault(v.ID, v.ObjectID, v.SiteID); in != nil {
		v.Error = in.on("")
	}
	return v
}
