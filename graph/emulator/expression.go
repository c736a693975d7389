package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of an expression. Five comparisons per property is the documented
// number of search keywords per parameter.
const (
	maxPerProperty      = 5
	maxExpressionDepth  = 20
	maxExpressionLength = maxFilterLength // bytes
)

// expression is a parsed mail query or browse filter:
//
//	or   = and { "-or" and }
//	and  = term { "-and" term }
//	term = "(" or ")" | property operator literal
//
// A literal stands in single quotes, with a quote inside doubled. Properties and
// operators may be written in any case of letters.
type expression struct {
	property string // set in a comparison, spelt as documented
	operator string
	value    string
	time     time.Time // of a value that is one
	or       bool
	parts    []*expression
}

// matches decides the expression by what test says of its comparisons.
func (x *expression) matches(test func(*expression) bool) bool {
	if x.property != "" {
		return test(x)
	}
	for _, part := range x.parts {
		if part.matches(test) == x.or {
			return x.or
		}
	}
	return !x.or
}

// vocabulary is what an expression may speak of: each property with its
// operators and the form of its literals.
type vocabulary []term

type term struct {
	property  string
	operators []string
	form      literalForm
}

type literalForm int

const (
	textLiteral literalForm = iota
	boolLiteral
	timeLiteral // RFC 3339, in braces or not
)

// mailVocabulary is what a mail query knows.
func mailVocabulary() vocabulary {
	return vocabulary{
		{"Sender", []string{"-eq", "-like"}, textLiteral},
		{"Subject", []string{"-eq", "-like"}, textLiteral},
		{"HasAttachment", []string{"-eq"}, boolLiteral},
		{"PitrDumpsterActionTriggeredTime", []string{"-gt", "-ge", "-lt", "-le"}, timeLiteral},
	}
}

// browseVocabulary is what a browse filter knows.
func browseVocabulary() vocabulary {
	return vocabulary{{"name", []string{"-contains", "-eq", "-like"}, textLiteral}}
}

// syntaxError says what is wrong with an expression.
type syntaxError struct {
	tooLong bool // rather than malformed
	message string
}

func wrong(format string, args ...any) *syntaxError {
	return &syntaxError{message: fmt.Sprintf(format, args...)}
}

// parseExpression reads an expression that must not be empty.
func parseExpression(text string, known vocabulary) (*expression, *syntaxError) {
	if len(text) > maxExpressionLength {
		return nil, &syntaxError{true, fmt.Sprintf("The expression is longer than %d bytes.", maxExpressionLength)}
	}
	words := filterWords(text)
	if words == nil {
		return nil, wrong("The expression has a literal without an end.")
	}
	p := &expressionParser{words: words, known: known, seen: map[string]int{}}
	x, err := p.list("-or", 0)
	if err == nil && len(p.words) > 0 {
		err = wrong("The expression goes on after its end: %s.", p.words[0])
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

type expressionParser struct {
	words []string
	known vocabulary
	seen  map[string]int // comparisons by property
}

func (p *expressionParser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *expressionParser) accept(word string) bool {
	if len(p.words) > 0 && strings.EqualFold(p.words[0], word) {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *expressionParser) list(word string, depth int) (*expression, *syntaxError) {
	x := &expression{or: word == "-or"}
	for {
		var part *expression
		var err *syntaxError
		if x.or {
			part, err = p.list("-and", depth)
		} else {
			part, err = p.term(depth)
		}
		if err != nil {
			return nil, err
		}
		x.parts = append(x.parts, part)
		if !p.accept(word) {
			break
		}
	}
	if len(x.parts) == 1 {
		return x.parts[0], nil
	}
	return x, nil
}

func (p *expressionParser) term(depth int) (*expression, *syntaxError) {
	if p.accept("(") {
		if depth == maxExpressionDepth {
			return nil, &syntaxError{true, "The expression is nested too deep."}
		}
		x, err := p.list("-or", depth+1)
		if err == nil && !p.accept(")") {
			err = wrong("The expression lacks a closing bracket.")
		}
		return x, err
	}
	return p.comparison()
}

func (p *expressionParser) comparison() (*expression, *syntaxError) {
	name, operator, literal := p.next(), p.next(), p.next()
	i := slices.IndexFunc(p.known, func(t term) bool { return strings.EqualFold(t.property, name) })
	if i < 0 {
		return nil, wrong("The expression knows no property %q.", name)
	}
	t := p.known[i]
	x := &expression{property: t.property, operator: strings.ToLower(operator)}
	if !slices.Contains(t.operators, x.operator) {
		return nil, wrong("%s has no operator %q.", t.property, operator)
	}
	if p.seen[t.property]++; p.seen[t.property] > maxPerProperty {
		return nil, wrong("%s is compared more than %d times.", t.property, maxPerProperty)
	}
	if len(literal) < 2 || literal[0] != '\'' {
		return nil, wrong("%s is compared with something that is not in quotes.", t.property)
	}
	x.value = strings.ReplaceAll(literal[1:len(literal)-1], "''", "'")
	switch t.form {
	case boolLiteral:
		if x.value = strings.ToLower(x.value); x.value != "true" && x.value != "false" {
			return nil, wrong("%s is compared with neither 'true' nor 'false'.", t.property)
		}
	case timeLiteral:
		text := x.value
		if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
			text = text[1 : len(text)-1]
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, wrong("%s is compared with something that is no time.", t.property)
		}
		x.time = at
	}
	return x, nil
}

// holdsText decides a comparison of text, whatever the case of letters is.
func (x *expression) holdsText(have string) bool {
	have, want := strings.ToLower(have), strings.ToLower(x.value)
	switch x.operator {
	case "-contains":
		return strings.Contains(have, want)
	case "-like":
		return like(have, want)
	}
	return have == want
}

// like matches a pattern in which * stands for any text.
func like(text, pattern string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return text == pattern
	}
	if !strings.HasPrefix(text, pieces[0]) {
		return false
	}
	text = text[len(pieces[0]):]
	for _, piece := range pieces[1 : len(pieces)-1] {
		_, rest, found := strings.Cut(text, piece)
		if !found {
			return false
		}
		text = rest
	}
	return strings.HasSuffix(text, pieces[len(pieces)-1])
}

// holdsTime decides a comparison of times. What never happened compares with
// nothing.
func (x *expression) holdsTime(have time.Time) bool {
	if have.IsZero() {
		return false
	}
	switch x.operator {
	case "-gt":
		return have.After(x.time)
	case "-ge":
		return !have.Before(x.time)
	case "-lt":
		return have.Before(x.time)
	}
	return !have.After(x.time)
}
