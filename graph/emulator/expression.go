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

// expression is a parsed mail query or browse filter, with "-and" and "-or".
type expression = boolExpr[comparison]

// comparison is
//
//	property operator literal
//
// A literal stands in single quotes, with a quote inside doubled. Properties and
// operators may be written in any case of letters.
type comparison struct {
	property string // spelt as documented
	operator string
	value    string
	time     time.Time // of a value that is one
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

// parseExpression reads an expression that must not be empty.
func parseExpression(text string, known vocabulary) (*expression, *syntaxError) {
	if len(text) > maxExpressionLength {
		return nil, &syntaxError{code: codeFilterLength, message: fmt.Sprintf("The expression is longer than %d bytes.", maxExpressionLength)}
	}
	words, ok := splitWords(text, brackets)
	if !ok {
		return nil, wrong("The expression has a literal without an end.")
	}
	r := &wordReader{words: words, fold: true}
	seen := map[string]int{}
	p := &boolParser[comparison]{
		words: r, and: "-and", or: "-or", brackets: maxExpressionDepth,
		tooDeep:    &syntaxError{code: codeFilterLength, message: "The expression is nested too deep."},
		unclosed:   func(string) *syntaxError { return wrong("The expression lacks a closing bracket.") },
		comparison: func() (*comparison, *syntaxError) { return known.read(r, seen) },
	}
	x, err := p.read()
	if err == nil && r.peek() != "" {
		err = wrong("The expression goes on after its end: %s.", r.peek())
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// read reads one comparison; seen counts them by property.
func (known vocabulary) read(r *wordReader, seen map[string]int) (*comparison, *syntaxError) {
	name, operator, literal := r.next(), r.next(), r.next()
	i := slices.IndexFunc(known, func(t term) bool { return strings.EqualFold(t.property, name) })
	if i < 0 {
		return nil, wrong("The expression knows no property %q.", name)
	}
	t := known[i]
	x := &comparison{property: t.property, operator: strings.ToLower(operator)}
	if !slices.Contains(t.operators, x.operator) {
		return nil, wrong("%s has no operator %q.", t.property, operator)
	}
	if seen[t.property]++; seen[t.property] > maxPerProperty {
		return nil, wrong("%s is compared more than %d times.", t.property, maxPerProperty)
	}
	var quoted bool
	if x.value, quoted = unquote(literal); !quoted {
		return nil, wrong("%s is compared with something that is not in quotes.", t.property)
	}
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
func (x *comparison) holdsText(have string) bool {
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
func (x *comparison) holdsTime(have time.Time) bool {
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
