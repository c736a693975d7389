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

// ruleExpression is a parsed membership expression, with "-and" and "-or".
type ruleExpression = boolExpr[ruleComparison]

// ruleComparison of a mailbox or drive rule is
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
type ruleComparison struct {
	property string
	groups   []string
	keyword  string // in lower case
	since    time.Time
}

// fits tells whether a site does; modified is when it last changed.
func (x *ruleComparison) fits(s site, modified time.Time) bool {
	switch x.property {
	case "displayName":
		return strings.Contains(strings.ToLower(s.name), x.keyword)
	case "webUrl":
		return strings.Contains(strings.ToLower(s.webURL), x.keyword)
	}
	return !modified.Before(x.since)
}

// parseRule reads the expression of a rule of a workload.
func parseRule(text string, w Workload, dynamic bool) (*ruleExpression, *graphError) {
	words, ok := splitWords(text, brackets+"[],")
	if !ok {
		return nil, badRule("The expression has a literal without an end.")
	}
	p := &ruleParser{workload: w, wordReader: wordReader{words: words}}
	x, err := (&boolParser[ruleComparison]{
		words: &p.wordReader, and: "-and", or: "-or",
		brackets:   maxRuleNesting - 1, // the outermost level needs none
		tooDeep:    wrong("The expression has more than %d levels of brackets.", maxRuleNesting),
		unclosed:   func(instead string) *syntaxError { return misplaced(instead, ")") },
		comparison: p.comparison,
	}).read()
	switch {
	case err != nil:
		return nil, badRule("%s", err.message)
	case p.peek() != "":
		return nil, badRule("The expression has %.60q after its end.", p.peek())
	case p.groups > maxRuleGroups:
		return nil, refuse(http.MethodPost, "InvalidRuleExpressionGroupLimitExceeded",
			"The expression has %d group ids; at most %d are allowed.", p.groups, maxRuleGroups)
	case !dynamic && p.groups > maxStaticGroups:
		return nil, badRule("The expression of a static rule has %d group ids; at most %d are allowed.", p.groups, maxStaticGroups)
	case p.keywords > maxSiteKeywords:
		return nil, badRule("The expression has %d keywords; at most %d are allowed.", p.keywords, maxSiteKeywords)
	}
	return x, nil
}

func badRule(format string, args ...any) *graphError {
	return refuse(http.MethodPost, codeBadRule, format, args...)
}

func misplaced(got, want string) *syntaxError {
	return wrong("The expression has %.60q where %q must stand.", got, want)
}

type ruleParser struct {
	wordReader
	workload         Workload
	groups, keywords int
}

// expect reads words that must stand in this order.
func (p *ruleParser) expect(words ...string) *syntaxError {
	for _, want := range words {
		if got := p.next(); got != want {
			return misplaced(got, want)
		}
	}
	return nil
}

func (p *ruleParser) comparison() (*ruleComparison, *syntaxError) {
	x := &ruleComparison{property: p.next()}
	switch {
	case p.workload != SharePoint && x.property == "memberOf":
		return x, p.membership(x)
	case p.workload == SharePoint && (x.property == "displayName" || x.property == "webUrl"):
		keyword, err := p.literal("-contains")
		if n := utf8.RuneCountInString(keyword); err == nil && (n < minKeyword || n > maxKeyword) {
			err = wrong("A keyword must have %d to %d characters.", minKeyword, maxKeyword)
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
			return nil, wrong("%.60q is not a date and time with a zone.", text)
		}
		x.since = at
		return x, nil
	}
	return nil, wrong("A %s expression has no property %.60q.", p.workload.info().thing, x.property)
}

// literal reads an operator and the literal after it.
func (p *ruleParser) literal(operator string) (string, *syntaxError) {
	if err := p.expect(operator); err != nil {
		return "", err
	}
	text, quoted := unquote(p.next())
	if !quoted {
		return "", wrong("After %s a literal in quotes must stand.", operator)
	}
	return text, nil
}

func (p *ruleParser) membership(x *ruleComparison) *syntaxError {
	if err := p.expect("-any", "(", "group.id", "-in", "["); err != nil {
		return err
	}
	for {
		id, quoted := unquote(p.next())
		if !quoted || !isGUID(id) {
			return wrong("%.60q is not a group id in quotes.", id)
		}
		x.groups = append(x.groups, strings.ToLower(id))
		p.groups++
		if !p.accept(",") {
			return p.expect("]", ")")
		}
	}
}
