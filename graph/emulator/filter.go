package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Limits of a $filter. Microsoft documents that there is one, not where it is.
const (
	maxFilterTerms  = 20
	maxFilterLength = 4096 // bytes
)

// filter is a parsed $filter on protection units, with "and" and "or".
type filter = boolExpr[filterComparison]

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
	if c := f.comparison; c != nil {
		switch {
		case c.not:
		case c.property == "id":
			return []string{canonicalUnitID(c.value)}, true
		case c.property == s.workload.info().idProperty:
			return []string{s.unitID(t, t.objectByID(s.workload, c.value))}, true
		}
		return nil, false
	}
	for _, part := range f.parts {
		of, one := pinned(t, part, s)
		switch {
		case one && !f.or:
			return of, true
		case !one && f.or:
			return nil, false
		}
		ids, ok = append(ids, of...), ok || one
	}
	return ids, ok
}

// mayHold tells whether a filter can let through a unit of which only the status
// is known.
func mayHold(f *filter, status string) bool {
	return f == nil || f.matches(func(c *filterComparison) bool {
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
		return nil, refuse(http.MethodGet, cmp.Or(err.code, codeBadRequest), "%s", err.message).about(cmp.Or(err.target, "$filter"))
	}
	return f, nil
}

func readFilter(text string, sets []*unitSet) (*filter, *syntaxError) {
	if len(text) > maxFilterLength {
		return nil, &syntaxError{code: codeFilterLength, message: "The $filter is too long."}
	}
	words, ok := splitWords(text, brackets)
	if !ok {
		return nil, wrong("The $filter has a literal without an end.")
	}
	r := &wordReader{words: words}
	terms := 0
	p := &boolParser[filterComparison]{
		words: r, and: "and", or: "or", brackets: maxFilterTerms,
		tooDeep:  &syntaxError{code: codeFilterLength, message: "The $filter is nested too deep."},
		unclosed: func(string) *syntaxError { return wrong("The $filter lacks a closing bracket.") },
		comparison: func() (*filterComparison, *syntaxError) {
			if terms++; terms > maxFilterTerms {
				return nil, &syntaxError{code: codeFilterLength, message: "The $filter has too many comparisons."}
			}
			return readFilterComparison(r, sets)
		},
	}
	f, err := p.read()
	if err == nil && r.peek() != "" {
		err = wrong("The $filter has something after its end.")
	}
	return f, err
}

func readFilterComparison(r *wordReader, sets []*unitSet) (*filterComparison, *syntaxError) {
	c := &filterComparison{property: r.next()}
	if !slices.ContainsFunc(sets, func(s *unitSet) bool { return filterable(s.workload, c.property) }) {
		problem := wrong("The $filter names no property that can be filtered by.")
		problem.target = c.property
		return nil, problem
	}
	switch r.next() {
	case "eq":
	case "ne":
		c.not = true
	default:
		return nil, wrong("The $filter knows the operators eq and ne only.")
	}
	var quoted bool
	c.value, quoted = unquote(r.next())
	switch {
	case c.property == "status" && !isUnitStatus(c.value):
		return nil, wrong("The $filter compares status with an unknown value.")
	case c.property == "id" && quoted && !isUnitID(c.value):
		return nil, &syntaxError{"InvalidProtectionUnitId", "The $filter has a malformed protection unit id.", c.value}
	case c.property != "status" && !quoted:
		return nil, wrong("The $filter has a literal without quotes.")
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
