package emulator

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
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
type ruleExpression = expression.Tree[ruleComparison]

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
	words, ok := expression.Split(text, expression.Brackets+"[],")
	if !ok {
		return nil, badRule("The expression has a literal without an end.")
	}
	p := &ruleParser{workload: w, Words: expression.Words{Left: words}}
	x, err := (&expression.Parser[ruleComparison]{
		Words: &p.Words, And: "-and", Or: "-or",
		Brackets:   maxRuleNesting - 1, // the outermost level needs none
		TooDeep:    expression.Wrong("The expression has more than %d levels of brackets.", maxRuleNesting),
		Unclosed:   func(instead string) *expression.SyntaxError { return misplaced(instead, ")") },
		Comparison: p.comparison,
	}).Read()
	switch {
	case err != nil:
		return nil, badRule("%s", err.Message)
	case p.Peek() != "":
		return nil, badRule("The expression has %.60q after its end.", p.Peek())
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

func misplaced(got, want string) *expression.SyntaxError {
	return expression.Wrong("The expression has %.60q where %q must stand.", got, want)
}

type ruleParser struct {
	expression.Words
	workload         Workload
	groups, keywords int
}

// expect reads words that must stand in this order.
func (p *ruleParser) expect(words ...string) *expression.SyntaxError {
	for _, want := range words {
		if got := p.Next(); got != want {
			return misplaced(got, want)
		}
	}
	return nil
}

func (p *ruleParser) comparison() (*ruleComparison, *expression.SyntaxError) {
	x := &ruleComparison{property: p.Next()}
	switch {
	case p.workload != SharePoint && x.property == "memberOf":
		return x, p.membership(x)
	case p.workload == SharePoint && (x.property == "displayName" || x.property == "webUrl"):
		keyword, err := p.literal("-contains")
		if n := utf8.RuneCountInString(keyword); err == nil && (n < minKeyword || n > maxKeyword) {
			err = expression.Wrong("A keyword must have %d to %d characters.", minKeyword, maxKeyword)
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
			return nil, expression.Wrong("%.60q is not a date and time with a zone.", text)
		}
		x.since = at
		return x, nil
	}
	return nil, expression.Wrong("A %s expression has no property %.60q.", p.workload.info().thing, x.property)
}

// literal reads an operator and the literal after it.
func (p *ruleParser) literal(operator string) (string, *expression.SyntaxError) {
	if err := p.expect(operator); err != nil {
		return "", err
	}
	text, quoted := expression.Unquote(p.Next())
	if !quoted {
		return "", expression.Wrong("After %s a literal in quotes must stand.", operator)
	}
	return text, nil
}

func (p *ruleParser) membership(x *ruleComparison) *expression.SyntaxError {
	if err := p.expect("-any", "(", "group.id", "-in", "["); err != nil {
		return err
	}
	for {
		id, quoted := expression.Unquote(p.Next())
		if !quoted || !isGUID(id) {
			return expression.Wrong("%.60q is not a group id in quotes.", id)
		}
		x.groups = append(x.groups, strings.ToLower(id))
		p.groups++
		if !p.Accept(",") {
			return p.expect("]", ")")
		}
	}
}
