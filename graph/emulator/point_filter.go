package emulator

import (
	"cmp"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// pointFilter is which restore points a listing asks for. A zero bound is open, and
// both bounds belong to the range.
type pointFilter struct {
	unit     *unit
	policy   string // that the unit must belong to; "" for any
	from, to time.Time
}

// readPointFilter reads $expand and $filter. The unit, without which nothing is
// listed, stands in one of two forms:
//
//	$expand=protectionUnit($filter=id eq '…')&$filter=protectionDateTime lt …
//	$expand=protectionUnit&$filter=protectionDateTime lt … and protectionUnit/id eq '…'
//
// The second one can have protectionUnit/policyId eq '…' as well.
func (c *call) readPointFilter(expand, filter string) (want pointFilter, _ *graphError) {
	id, err := c.expandedUnit(expand)
	if err != nil {
		return want, err
	}
	where := "$expand"
	if id == nil {
		where = "$filter"
	}
	if err := c.pointComparisons(filter, &id, &want); err != nil {
		return want, err
	}
	if id == nil {
		return want, c.badSearch("The unit is required, in $expand=protectionUnit($filter=id eq '…') or as protectionUnit/id in $filter.").about("$expand")
	}
	if !isUnitID(*id) {
		return want, refuse(c.r.Method, "InvalidProtectionUnitId", "The protection unit id in %s is malformed.", where).about(cmp.Or(*id, where))
	}
	if want.unit = c.tenant.findUnit(canonicalUnitID(*id)); want.unit == nil {
		return want, c.badSearch("This tenant has no protection unit '%s'.", *id).about(*id)
	}
	return want, nil
}

// expandedUnit reads $expand, and the id of the unit if it is there.
func (c *call) expandedUnit(expand string) (id *string, _ *graphError) {
	if len(expand) > expression.MaxLength {
		return nil, refuse(c.r.Method, expression.CodeTooLong, "The $filter in $expand is too long.")
	}
	if strings.TrimSpace(expand) == "protectionUnit" {
		return nil, nil
	}
	words, _ := expression.Split(strings.ReplaceAll(expand, "$filter=", " $filter= "), expression.Brackets) // none without an end
	shape := []string{"protectionUnit", "(", "$filter=", "id", "eq", "", ")"}
	for i, w := range shape {
		if len(words) != len(shape) || w != "" && words[i] != w {
			return nil, c.badSearch("$expand=protectionUnit($filter=id eq '…') is required.").about("$expand")
		}
	}
	text, quoted := expression.Unquote(words[5])
	if !quoted {
		text = ""
	}
	return &text, nil
}

// pointComparisons reads comparisons that are joined by and.
func (c *call) pointComparisons(text string, id **string, want *pointFilter) *graphError {
	if len(text) > expression.MaxLength {
		return refuse(c.r.Method, expression.CodeTooLong, "The $filter is too long.")
	}
	words, _ := expression.Split(text, expression.Brackets)
	if len(words)%4 != 3 {
		return c.badSearch("$filter is required: protectionDateTime lt <time>.").about("$filter")
	}
	if (len(words)+1)/4 > maxFilterTerms {
		return refuse(c.r.Method, expression.CodeTooLong, "The $filter has too many comparisons.")
	}
	timed := false
	for i := 0; i < len(words); i += 4 {
		if i > 0 && words[i-1] != "and" {
			return c.badSearch("The $filter joins comparisons by something other than and.").about("$filter")
		}
		var err *graphError
		switch property, operator, value := words[i], words[i+1], words[i+2]; property {
		case "protectionDateTime":
			timed = true
			err = want.compareTime(c, operator, value)
		case "protectionUnit/id", "protectionUnit/policyId":
			literal, quoted := expression.Unquote(value)
			switch {
			case operator != "eq" || !quoted:
				err = c.badSearch("The $filter compares %s with a text by eq only.", property).about("$filter")
			case property == "protectionUnit/id" && *id == nil:
				*id = &literal
			case property == "protectionUnit/policyId" && want.policy == "":
				if want.policy = literal; !isGUID(literal) {
					err = c.badSearch("protectionUnit/policyId is not compared with a GUID.").about("policyId")
				}
			default:
				err = c.badSearch("%s is given more than once.", property).about("$filter")
			}
		default:
			err = c.badSearch("The $filter has something other than protectionDateTime, protectionUnit/id and protectionUnit/policyId.").about("$filter")
		}
		if err != nil {
			return err
		}
	}
	if !timed {
		return c.badSearch("$filter is required: protectionDateTime lt <time>.").about("$filter")
	}
	return nil
}

// compareTime narrows the range. Points stand at whole seconds, so a nanosecond is
// all that < and <= differ by.
func (want *pointFilter) compareTime(c *call, operator, value string) *graphError {
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return c.badSearch("The $filter compares protectionDateTime with something other than a time.").about("$filter")
	}
	if at.IsZero() {
		at = at.Add(time.Second) // zero would be an open bound; no point is that old either way
	}
	low, high := time.Time{}, time.Time{}
	switch operator {
	case "lt":
		high = at.Add(-1)
	case "le":
		high = at
	case "gt":
		low = at.Add(1)
	case "ge":
		low = at
	case "eq":
		low, high = at, at
	default:
		return c.badSearch("The $filter knows no operator %q.", operator).about("$filter")
	}
	if want.from.IsZero() || low.After(want.from) {
		want.from = low
	}
	if !high.IsZero() && (want.to.IsZero() || high.Before(want.to)) {
		want.to = high
	}
	return nil
}

// within reports whether a unit belongs to a policy; "" is any policy, and none.
func (u *unit) within(policy string) bool {
	return policy == "" || u.policy != nil && strings.EqualFold(u.policy.id, policy)
}
