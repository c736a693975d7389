package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// maxFilterTerms is how many comparisons a $filter can have. Microsoft documents
// that there is a limit, not where it is.
const maxFilterTerms = 20

// filter is a parsed $filter on protection units, with "and" and "or".
type filter = expression.Tree[filterComparison]

// filterComparison is
//
//	property ("eq" | "ne") literal
//
// with the properties id, status, directoryObjectId, siteId, displayName and
// email, as far as the units have them. A literal is quoted, with a quote inside
// doubled; a status may stand bare.
type filterComparison struct {
	property, value string
	not             bool
}

// holds compares with what the caller sees: a name that is hidden equals
// nothing.
func (c *filterComparison) holds(v *unitView) bool { return c.equals(v) != c.not }

func (c *filterComparison) equals(v *unitView) bool {
	var have string
	switch c.property {
	case "id":
		return strings.EqualFold(v.ID, c.value)
	case "status":
		have = v.Status
	case "directoryObjectId":
		return v.ObjectID != "" && strings.EqualFold(v.ObjectID, c.value)
	case "siteId":
		return v.SiteID != "" && strings.EqualFold(v.SiteID, c.value)
	case "displayName":
		have = v.DisplayName
	case "email":
		return v.Email != "" && strings.EqualFold(v.Email, c.value)
	}
	return have != "" && have == c.value
}

// pinned are the ids of the only units of a set that a filter can let through; ok
// is false when it can let through any.
func pinned(t *tenant, f *filter, s *unitSet) (ids []string, ok bool) {
	if f == nil {
		return nil, false
	}
	if c := f.Comparison; c != nil {
		switch {
		case c.not:
		case c.property == "id":
			return []string{canonicalUnitID(c.value)}, true
		case c.property == s.workload.info().idProperty:
			return []string{s.unitID(t, t.objectByID(s.workload, c.value))}, true
		}
		return nil, false
	}
	for _, part := range f.Parts {
		of, one := pinned(t, part, s)
		switch {
		case one && !f.Or:
			return of, true
		case !one && f.Or:
			return nil, false
		}
		ids, ok = append(ids, of...), ok || one
	}
	return ids, ok
}

// mayHold tells whether a filter can let through a unit of which only the status
// is known.
func mayHold(f *filter, status string) bool {
	return f == nil || f.Matches(func(c *filterComparison) bool {
		return c.property != "status" || c.holds(&unitView{Status: status})
	})
}

// parseFilter reads a $filter for units of the given sets; "" is none.
func parseFilter(text string, sets []*unitSet) (*filter, *graphError) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	f, err := readFilter(text, sets)
	if err != nil {
		return nil, refuse(http.MethodGet, cmp.Or(err.Code, codeBadRequest), "%s", err.Message).about(cmp.Or(err.Target, "$filter"))
	}
	return f, nil
}

func readFilter(text string, sets []*unitSet) (*filter, *expression.SyntaxError) {
	if len(text) > expression.MaxLength {
		return nil, &expression.SyntaxError{Code: expression.CodeTooLong, Message: "The $filter is too long."}
	}
	words, ok := expression.Split(text, expression.Brackets)
	if !ok {
		return nil, expression.Wrong("The $filter has a literal without an end.")
	}
	r := &expression.Words{Left: words}
	terms := 0
	p := &expression.Parser[filterComparison]{
		Words: r, And: "and", Or: "or", Brackets: maxFilterTerms,
		TooDeep:  &expression.SyntaxError{Code: expression.CodeTooLong, Message: "The $filter is nested too deep."},
		Unclosed: func(string) *expression.SyntaxError { return expression.Wrong("The $filter lacks a closing bracket.") },
		Comparison: func() (*filterComparison, *expression.SyntaxError) {
			if terms++; terms > maxFilterTerms {
				return nil, &expression.SyntaxError{Code: expression.CodeTooLong, Message: "The $filter has too many comparisons."}
			}
			return readFilterComparison(r, sets)
		},
	}
	f, err := p.Read()
	if err == nil && r.Peek() != "" {
		err = expression.Wrong("The $filter has something after its end.")
	}
	return f, err
}

func readFilterComparison(r *expression.Words, sets []*unitSet) (*filterComparison, *expression.SyntaxError) {
	c := &filterComparison{property: r.Next()}
	if !slices.ContainsFunc(sets, func(s *unitSet) bool { return filterable(s.workload, c.property) }) {
		problem := expression.Wrong("The $filter names no property that can be filtered by.")
		problem.Target = c.property
		return nil, problem
	}
	switch r.Next() {
	case "eq":
	case "ne":
		c.not = true
	default:
		return nil, expression.Wrong("The $filter knows the operators eq and ne only.")
	}
	var quoted bool
	c.value, quoted = expression.Unquote(r.Next())
	switch {
	case c.property == "status" && !isUnitStatus(c.value):
		return nil, expression.Wrong("The $filter compares status with an unknown value.")
	case c.property == "id" && quoted && !isUnitID(c.value):
		return nil, &expression.SyntaxError{
			Code: "InvalidProtectionUnitId", Message: "The $filter has a malformed protection unit id.", Target: c.value,
		}
	case c.property != "status" && !quoted:
		return nil, expression.Wrong("The $filter has a literal without quotes.")
	}
	return c, nil
}

func filterable(w Workload, property string) bool {
	switch property {
	case "id", "status":
		return true
	case "siteId":
		return w == SharePoint
	case "directoryObjectId", "displayName", "email":
		return w != SharePoint
	}
	return false
}

func isUnitStatus(s string) bool {
	switch s {
	case unitProtectRequested, unitProtected, unitUnprotectRequested, unitUnprotected, unitRemoveRequested,
		unitOffboardRequested, unitOffboarded, unitCancelRequested:
		return true
	}
	return false
}
