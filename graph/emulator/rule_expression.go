package emulator

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a membership expression.
const (
	maxRuleGroups    = 100
	maxStaticGroups  = 3
	maxSiteKeywords  = 10
	minKeyword       = 3 // Unicode code points
	maxKeyword       = 255
	maxRuleNesting   = 20
	maxDynamicUsers  = 6000
	codeBadRule      = "InvalidRuleExpression"
	codeInvalidGroup = "invalidGroupId"
)

// ruleExpression is a parsed membership expression:
//
//	or   = and { "-or" and }
//	and  = term { "-and" term }
//	term = "(" or ")" | comparison
//
// where a comparison of a mailbox or drive rule is
//
//	"memberOf" "-any" "(" "group.id" "-in" "[" guid { "," guid } "]" ")"
//
// and one of a site rule
//
//	( "displayName" | "webUrl" ) "-contains" keyword
//	"lastModifiedDateTime" "-ge" date-time
//
// Guids, keywords and date-times are quoted with ', which is doubled inside.
// White space may stand between any two words.
type ruleExpression struct {
	property string // set in a comparison
	groups   []string
	keyword  string // in lower case
	since    time.Time
	or       bool
	parts    []*ruleExpression
}

// matches tells whether a site fits; modified is when it last changed.
func (x *ruleExpression) matches(s site, modified time.Time) bool {
	switch x.property {
	case "displayName":
		return strings.Contains(strings.ToLower(s.name), x.keyword)
	case "webUrl":
		return strings.Contains(strings.ToLower(s.webURL), x.keyword)
	case "lastModifiedDateTime":
		return !modified.Before(x.since)
	}
	for _, part := range x.parts {
		if part.matches(s, modified) == x.or {
			return x.or
		}
	}
	return !x.or
}

// parseRule reads the expression of a rule of a workload.
func parseRule(text string, w Workload, dynamic bool) (*ruleExpression, *graphError) {
	p := &ruleParser{workload: w}
	var ok bool
	if p.words, ok = ruleWords(text); !ok {
		return nil, p.bad("The expression has a literal without an end.")
	}
	x, err := p.or(0)
	switch {
	case err != nil:
		return nil, err
	case p.peek() != "":
		return nil, p.bad("The expression has %.60q after its end.", p.peek())
	case p.groups > maxRuleGroups:
		return nil, refuse(http.MethodPost, "InvalidRuleExpressionGroupLimitExceeded",
			"The expression has %d group ids; at most %d are allowed.", p.groups, maxRuleGroups)
	case !dynamic && p.groups > maxStaticGroups:
		return nil, p.bad("The expression of a static rule has %d group ids; at most %d are allowed.", p.groups, maxStaticGroups)
	case p.keywords > maxSiteKeywords:
		return nil, p.bad("The expression has %d keywords; at most %d are allowed.", p.keywords, maxSiteKeywords)
	}
	return x, nil
}

// ruleWords cuts an expression into punctuation, bare words and literals, the
// latter with their first quote so that they can be told apart.
func ruleWords(text string) (words []string, ok bool) {
	const space, punctuation = " \t\r\n", "()[],"
	for text = strings.TrimLeft(text, space); text != ""; text = strings.TrimLeft(text, space) {
		switch {
		case strings.ContainsRune(punctuation, rune(text[0])):
			words, text = append(words, text[:1]), text[1:]
		case text[0] == '\'':
			end := 1
			for {
				quote := strings.IndexByte(text[end:], '\'')
				if quote < 0 {
					return nil, false
				}
				end += quote + 1
				if !strings.HasPrefix(text[end:], "'") {
					break
				}
				end++
			}
			words = append(words, "'"+strings.ReplaceAll(text[1:end-1], "''", "'"))
			text = text[end:]
		default:
			end := strings.IndexAny(text, space+punctuation+"'")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
		}
	}
	return words, true
}

type ruleParser struct {
	workload         Workload
	words            []string
	groups, keywords int
}

func (p *ruleParser) bad(format string, args ...any) *graphError {
	return refuse(http.MethodPost, codeBadRule, format, args...)
}

// peek returns the next word; "" at the end.
func (p *ruleParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *ruleParser) next() string {
	word := p.peek()
	if word != "" {
		p.words = p.words[1:]
	}
	return word
}

// expect reads words that must stand in this order.
func (p *ruleParser) expect(words ...string) *graphError {
	for _, want := range words {
		if got := p.next(); got != want {
			return p.bad("The expression has %.60q where %q must stand.", got, want)
		}
	}
	return nil
}

func (p *ruleParser) or(depth int) (*ruleExpression, *graphError) {
	return p.chain("-or", func() (*ruleExpression, *graphError) {
		return p.chain("-and", func() (*ruleExpression, *graphError) { return p.term(depth) })
	})
}

// chain reads operands with one operator between them.
func (p *ruleParser) chain(operator string, operand func() (*ruleExpression, *graphError)) (*ruleExpression, *graphError) {
	x := &ruleExpression{or: operator == "-or"}
	for {
		part, err := operand()
		if err != nil {
			return nil, err
		}
		x.parts = append(x.parts, part)
		if p.peek() != operator {
			break
		}
		p.next()
	}
	if len(x.parts) == 1 {
		return x.parts[0], nil
	}
	return x, nil
}

func (p *ruleParser) term(depth int) (*ruleExpression, *graphError) {
	if depth >= maxRuleNesting {
		return nil, p.bad("The expression has more than %d levels of brackets.", maxRuleNesting)
	}
	if p.peek() != "(" {
		return p.comparison()
	}
	p.next()
	x, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	return x, p.expect(")")
}

func (p *ruleParser) comparison() (*ruleExpression, *graphError) {
	x := &ruleExpression{property: p.next()}
	switch {
	case p.workload != SharePoint && x.property == "memberOf":
		return x, p.membership(x)
	case p.workload == SharePoint && (x.property == "displayName" || x.property == "webUrl"):
		keyword, err := p.literal("-contains")
		if n := utf8.RuneCountInString(keyword); err == nil && (n < minKeyword || n > maxKeyword) {
			err = p.bad("A keyword must have %d to %d characters.", minKeyword, maxKeyword)
		}
		x.keyword = strings.ToLower(keyword)
		p.keywords++
		return x, err
	case p.workload == SharePoint && x.property == "lastModifiedDateTime":
		text, err := p.literal("-ge")
		if err != nil {
			return nil, err
		}
		at, failed := time.Parse(time.RFC3339, text)
		if failed != nil {
			return nil, p.bad("%.60q is not a date and time with a zone.", text)
		}
		x.since = at
		return x, nil
	}
	return nil, p.bad("A %s expression has no property %.60q.", p.workload.info().thing, x.property)
}

// literal reads an operator and the literal after it.
func (p *ruleParser) literal(operator string) (string, *graphError) {
	if err := p.expect(operator); err != nil {
		return "", err
	}
	text, quoted := strings.CutPrefix(p.next(), "'")
	if !quoted {
		return "", p.bad("After %s a literal in quotes must stand.", operator)
	}
	return text, nil
}

func (p *ruleParser) membership(x *ruleExpression) *graphError {
	if err := p.expect("-any", "(", "group.id", "-in", "["); err != nil {
		return err
	}
	for {
		id, quoted := strings.CutPrefix(p.next(), "'")
		if !quoted || !isGUID(id) {
			return p.bad("%.60q is not a group id in quotes.", id)
		}
		x.groups = append(x.groups, strings.ToLower(id))
		p.groups++
		if p.peek() != "," {
			return p.expect("]", ")")
		}
		p.next()
	}
}
