package emulator

import (
	"net/http"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// directoryComparison is
//
//	property ("eq" | "ne") literal
//	property "in" ( literal {, literal} )
//	("startswith" | "endswith" | "contains") ( property , literal )
//
// Texts are compared in any case of letters, as Graph's directory does.
type directoryComparison struct {
	property, operator string
	values             []string // in lower case
}

// directoryFilter is a parsed $filter on users, groups or sites.
type directoryFilter struct {
	*expression.Tree[directoryComparison]
}

func (x *directoryComparison) holds(shown, more directoryObject) bool {
	have, known := shown[x.property]
	if !known {
		have = more[x.property]
	}
	text, isText := have.(string)
	if truth, isBool := have.(bool); isBool {
		text, isText = map[bool]string{true: "true", false: "false"}[truth], true
	}
	if !isText {
		text = "null"
	}
	text = strings.ToLower(text)
	for _, value := range x.values {
		switch x.operator {
		case "eq", "in":
			if text == value {
				return true
			}
		case "ne":
			return text != value
		case "startswith":
			return isText && strings.HasPrefix(text, value)
		case "endswith":
			return isText && strings.HasSuffix(text, value)
		case "contains":
			return isText && strings.Contains(text, value)
		}
	}
	return false
}

// pinned are the only members that a filter can let through, as far as that is known without a look at each.
func (f *directoryFilter) pinned(only func(property, value string) ([]int, bool)) ([]int, bool) {
	return pinnedIn(f.Tree, only)
}

func pinnedIn(x *expression.Tree[directoryComparison], only func(property, value string) ([]int, bool)) (numbers []int, ok bool) {
	if c := x.Comparison; c != nil {
		if c.operator != "eq" && c.operator != "in" {
			return nil, false
		}
		for _, value := range c.values {
			some, one := only(c.property, value)
			if !one {
				return nil, false
			}
			numbers = append(numbers, some...)
		}
		return numbers, true
	}
	for _, part := range x.Parts {
		some, one := pinnedIn(part, only)
		switch {
		case one && !x.Or:
			return some, true
		case !one && x.Or:
			return nil, false
		}
		numbers, ok = append(numbers, some...), ok || one
	}
	return numbers, ok
}

// directoryProperties are those that a filter can name.
func directoryProperties(typ string) []string {
	switch typ {
	case "user":
		return []string{"id", "displayName", "mail", "userPrincipalName", "givenName", "surname", "jobTitle", "accountEnabled", "userType"}
	case "group":
		return []string{"id", "displayName", "mailNickname", "securityEnabled", "mailEnabled"}
	case "site":
		return []string{"id", "displayName", "name", "webUrl"}
	}
	return []string{"id", "displayName"}
}

// parseDirectoryFilter reads a $filter; nil is none.
func parseDirectoryFilter(text, typ string) (*directoryFilter, *graphError) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	tree, err := readDirectoryFilter(text, typ)
	if err != nil {
		return nil, refuse(http.MethodGet, codeBadRequest, "%s", "Invalid filter clause: "+err.Message).about("$filter")
	}
	return &directoryFilter{tree}, nil
}

func readDirectoryFilter(text, typ string) (*expression.Tree[directoryComparison], *expression.SyntaxError) {
	if len(text) > expression.MaxLength {
		return nil, expression.Wrong("It is too long.")
	}
	words, ok := expression.Split(text, "(),")
	if !ok {
		return nil, expression.Wrong("A literal has no end.")
	}
	r := &expression.Words{Left: words}
	p := &expression.Parser[directoryComparison]{
		Words: r, And: "and", Or: "or", Brackets: maxFilterTerms,
		TooDeep:    expression.Wrong("It is nested too deep."),
		Unclosed:   func(string) *expression.SyntaxError { return expression.Wrong("A closing bracket is missing.") },
		Comparison: func() (*directoryComparison, *expression.SyntaxError) { return readDirectoryComparison(r, typ) },
	}
	tree, err := p.Read()
	if err == nil && r.Peek() != "" {
		err = expression.Wrong("'%s' stands after its end.", r.Peek())
	}
	return tree, err
}

func readDirectoryComparison(r *expression.Words, typ string) (*directoryComparison, *expression.SyntaxError) {
	x := &directoryComparison{property: r.Next()}
	function := false
	switch x.property {
	case "startswith", "endswith", "contains":
		function = true
		x.operator = x.property
		if !r.Accept("(") {
			return nil, expression.Wrong("'%s' needs brackets.", x.operator)
		}
		x.property = r.Next()
	}
	if !slices.Contains(directoryProperties(typ), x.property) {
		return nil, expression.Wrong("The emulator knows no property '%s' here.", x.property)
	}
	separator := ","
	if !function {
		x.operator, separator = r.Next(), ""
	}
	switch {
	case separator != "" && !r.Accept(separator):
		return nil, expression.Wrong("'%s' needs a property and a text.", x.operator)
	case x.operator == "in":
		if !r.Accept("(") {
			return nil, expression.Wrong("'in' needs a list in brackets.")
		}
		for x.add(r.Next()); r.Accept(","); {
			x.add(r.Next())
		}
	case x.operator == "eq", x.operator == "ne", function:
		x.add(r.Next())
	default:
		return nil, expression.Wrong("The emulator knows no operator '%s'.", x.operator)
	}
	if (function || x.operator == "in") && !r.Accept(")") {
		return nil, expression.Wrong("A closing bracket is missing.")
	}
	if len(x.values) == 0 {
		return nil, expression.Wrong("'%s' is compared with nothing that can be read.", x.property)
	}
	return x, nil
}

// add notes a literal: a text in quotes, or true, false or null.
func (x *directoryComparison) add(word string) {
	text, quoted := expression.Unquote(word)
	if quoted || word == "true" || word == "false" || word == "null" {
		x.values = append(x.values, strings.ToLower(text))
	}
}
