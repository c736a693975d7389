package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// Limits of a $filter. Microsoft documents that there is one, not where it is.
const (
	maxFilterTerms  = 20
	maxFilterLength = 4096 // bytes
)

// filter is a parsed $filter on protection units:
//
//	or   = and { "or" and }
//	and  = term { "and" term }
//	term = "(" or ")" | property "eq" literal
//
// with the properties id, status, directoryObjectId, siteId, displayName and
// email, as far as the units have them. A literal is quoted, with a quote inside
// doubled; a status may stand bare.
type filter struct {
	property string // set in a comparison
	value    string
	or       bool
	parts    []*filter
}

// matches compares with what the caller sees: a name that is hidden equals
// nothing.
func (f *filter) matches(v *unitView) bool {
	if f.property != "" {
		var have string
		switch f.property {
		case "id":
			return strings.EqualFold(v.ID, f.value)
		case "status":
			have = v.Status
		case "directoryObjectId":
			return v.DirectoryObjectID != "" && strings.EqualFold(v.DirectoryObjectID, f.value)
		case "siteId":
			return v.SiteID != "" && strings.EqualFold(v.SiteID, f.value)
		case "displayName":
			have = v.DisplayName
		case "email":
			return v.Email != "" && strings.EqualFold(v.Email, f.value)
		}
		return have != "" && have == f.value
	}
	for _, part := range f.parts {
		if part.matches(v) == f.or {
			return f.or
		}
	}
	return !f.or
}

// pinned tells whether a filter lets at most one unit of a set through, and how
// to get that one's id.
func pinned(f *filter, s *unitSet) (id func(*tenant) string, ok bool) {
	if f == nil || f.or {
		return nil, false
	}
	switch f.property {
	case "id":
		return func(*tenant) string { return canonicalUnitID(f.value) }, true
	case "directoryObjectId", "siteId":
		if f.property != s.workload.info().idProperty {
			return nil, false
		}
		return func(t *tenant) string {
			object, number := t.canonicalObject(s.workload, f.value)
			return s.unitID(t, object, number)
		}, true
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
	if f.property == "status" {
		return f.value, true
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
	if len(text) > maxFilterLength {
		return nil, refuse(http.MethodGet, "FilterLengthExceeded", "The $filter is too long.")
	}
	p := &filterParser{words: filterWords(text), sets: sets}
	if p.words == nil {
		return nil, p.bad("The $filter has a literal without an end.")
	}
	f, err := p.or(0)
	if err == nil && p.next() != "" {
		err = p.bad("The $filter has something after its end.")
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// filterWords cuts a filter into brackets, words and quoted literals. It returns
// nil for a literal that does not end.
func filterWords(text string) []string {
	words := []string{}
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '(', ')':
			words = append(words, text[i:i+1])
			i++
		case '\'':
			end := i + 1
			for ; end < len(text); end++ {
				if text[end] != '\'' {
					continue
				}
				if end+1 < len(text) && text[end+1] == '\'' {
					end++
					continue
				}
				break
			}
			if end >= len(text) {
				return nil
			}
			words = append(words, text[i:end+1])
			i = end + 1
		default:
			end := i + strings.IndexAny(text[i:]+" ", " \t\r\n()'")
			words = append(words, text[i:end])
			i = end
		}
	}
	return words
}

type filterParser struct {
	words []string
	sets  []*unitSet
	terms int
}

func (p *filterParser) bad(message string) *graphError {
	return refuse(http.MethodGet, codeBadRequest, "%s", message)
}

func (p *filterParser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *filterParser) accept(word string) bool {
	if len(p.words) > 0 && p.words[0] == word {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *filterParser) or(depth int) (*filter, *graphError) {
	return p.list("or", func() (*filter, *graphError) {
		return p.list("and", func() (*filter, *graphError) { return p.term(depth) })
	})
}

func (p *filterParser) list(word string, element func() (*filter, *graphError)) (*filter, *graphError) {
	f := &filter{or: word == "or"}
	for {
		part, err := element()
		if err != nil {
			return nil, err
		}
		f.parts = append(f.parts, part)
		if !p.accept(word) {
			break
		}
	}
	if len(f.parts) == 1 {
		return f.parts[0], nil
	}
	return f, nil
}

func (p *filterParser) term(depth int) (*filter, *graphError) {
	if p.accept("(") {
		if depth == maxFilterTerms {
			return nil, refuse(http.MethodGet, "FilterLengthExceeded", "The $filter is nested too deep.")
		}
		f, err := p.or(depth + 1)
		if err == nil && !p.accept(")") {
			err = p.bad("The $filter lacks a closing bracket.")
		}
		return f, err
	}
	if p.terms++; p.terms > maxFilterTerms {
		return nil, refuse(http.MethodGet, "FilterLengthExceeded", "The $filter has too many comparisons.")
	}
	f := &filter{property: p.next()}
	if !slices.ContainsFunc(p.sets, func(s *unitSet) bool { return filterable(s.workload, f.property) }) {
		return nil, p.bad("The $filter names no property that can be filtered by.")
	}
	if p.next() != "eq" {
		return nil, p.bad("The $filter knows the operator eq only.")
	}
	literal := p.next()
	quoted := len(literal) >= 2 && literal[0] == '\''
	if quoted {
		f.value = strings.ReplaceAll(literal[1:len(literal)-1], "''", "'")
	} else {
		f.value = literal
	}
	switch {
	case f.property == "status" && !isUnitStatus(f.value):
		return nil, p.bad("The $filter compares status with an unknown value.")
	case f.property == "id" && quoted && !isUnitID(f.value):
		return nil, refuse(http.MethodGet, "InvalidProtectionUnitId", "The $filter has a malformed protection unit id.")
	case f.property != "status" && !quoted:
		return nil, p.bad("The $filter has a literal without quotes.")
	}
	return f, nil
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
