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
//	property "eq" literal
//
// with the properties id, status, directoryObjectId, siteId, displayName and
// email, as far as the units have them. A literal is quoted, with a quote inside
// doubled; a status may stand bare.
type filterComparison struct{ property, value string }

// holds compares with what the caller sees: a name that is hidden equals
// nothing.
func (c *filterComparison) holds(v *unitView) bool {
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

// pinned tells whether a filter lets at most one unit of a set through, and how
// to get that one's id.
func pinned(f *filter, s *unitSet) (id func(*tenant) string, ok bool) {
	if f == nil || f.or {
		return nil, false
	}
	if c := f.comparison; c != nil {
		switch c.property {
		case "id":
			return func(*tenant) string { return canonicalUnitID(c.value) }, true
		case s.workload.info().idProperty:
			return func(t *tenant) string {
				return s.unitID(t, t.objectByID(s.workload, c.value))
			}, true
		}
	}
	for _, part := range f.parts {
		if id, ok = pinned(part, s); ok {
			return id, true
		}
	}
	return nil, false
}

// requiredStatus tells whether a filter lets units of one status through only.
func requiredStatus(f *filter) (status string, one bool) {
	if f == nil || f.or {
		return "", false
	}
	if c := f.comparison; c != nil && c.property == "status" {
		return c.value, true
	}
	for _, part := range f.parts {
		if status, one = requiredStatus(part); one {
			return status, true
		}
	}
	return "", false
}

// parseFilter reads a $filter for units of the given sets; "" is none.
func parseFilter(text string, sets []*unitSet) (*filter, *graphError) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	f, err := readFilter(text, sets)
	if err != nil {
		return nil, refuse(http.MethodGet, cmp.Or(err.code, codeBadRequest), "%s", err.message)
	}
	return f, nil
}

func readFilter(text string, sets []*unitSet) (*filter, *syntaxError) {
	if len(text) > maxFilterLength {
		return nil, &syntaxError{codeFilterLength, "The $filter is too long."}
	}
	words, ok := splitWords(text, brackets)
	if !ok {
		return nil, wrong("The $filter has a literal without an end.")
	}
	r := &wordReader{words: words}
	terms := 0
	p := &boolParser[filterComparison]{
		words: r, and: "and", or: "or", brackets: maxFilterTerms,
		tooDeep:  &syntaxError{codeFilterLength, "The $filter is nested too deep."},
		unclosed: func(string) *syntaxError { return wrong("The $filter lacks a closing bracket.") },
		comparison: func() (*filterComparison, *syntaxError) {
			if terms++; terms > maxFilterTerms {
				return nil, &syntaxError{codeFilterLength, "The $filter has too many comparisons."}
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
		return nil, wrong("The $filter names no property that can be filtered by.")
	}
	if r.next() != "eq" {
		return nil, wrong("The $filter knows the operator eq only.")
	}
	var quoted bool
	c.value, quoted = unquote(r.next())
	switch {
	case c.property == "status" && !isUnitStatus(c.value):
		return nil, wrong("The $filter compares status with an unknown value.")
	case c.property == "id" && quoted && !isUnitID(c.value):
		return nil, &syntaxError{"InvalidProtectionUnitId", "The $filter has a malformed protection unit id."}
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
