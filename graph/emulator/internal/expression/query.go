package expression

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of an expression. Five comparisons per property is the documented
// number of search keywords per parameter.
const (
	maxPerProperty = 5
	maxDepth       = 20
	MaxLength      = 4096 // bytes; of a $filter too
)

// Query is a parsed mail query or browse filter, with "-and" and "-or".
type Query = Tree[Comparison]

// Comparison is
//
//	property operator literal
//
// A literal stands in single quotes, with a quote inside doubled. Properties and
// operators may be written in any case of letters.
type Comparison struct {
	Property string // spelt as documented
	Operator string
	Value    string
	time     time.Time // of a value that is one
}

// Vocabulary is what an expression may speak of: each property with its
// operators and the form of its literals.
type Vocabulary []term

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

// MailVocabulary is what a mail query knows.
func MailVocabulary() Vocabulary {
	return Vocabulary{
		{"Sender", []string{"-eq", "-like"}, textLiteral},
		{"Subject", []string{"-eq", "-like"}, textLiteral},
		{"HasAttachment", []string{"-eq"}, boolLiteral},
		{"PitrDumpsterActionTriggeredTime", []string{"-gt", "-ge", "-lt", "-le"}, timeLiteral},
	}
}

// BrowseVocabulary is what a browse filter knows.
func BrowseVocabulary() Vocabulary {
	return Vocabulary{{"name", []string{"-contains", "-eq", "-like"}, textLiteral}}
}

// ParseQuery reads an expression that must not be empty.
func ParseQuery(text string, known Vocabulary) (*Query, *SyntaxError) {
	if len(text) > MaxLength {
		return nil, &SyntaxError{Code: CodeTooLong, Message: fmt.Sprintf("The expression is longer than %d bytes.", MaxLength)}
	}
	words, ok := Split(text, Brackets)
	if !ok {
		return nil, Wrong("The expression has a literal without an end.")
	}
	r := &Words{Left: words, Fold: true}
	seen := map[string]int{}
	p := &Parser[Comparison]{
		Words: r, And: "-and", Or: "-or", Brackets: maxDepth,
		TooDeep:    &SyntaxError{Code: CodeTooLong, Message: "The expression is nested too deep."},
		Unclosed:   func(string) *SyntaxError { return Wrong("The expression lacks a closing bracket.") },
		Comparison: func() (*Comparison, *SyntaxError) { return known.read(r, seen) },
	}
	x, err := p.Read()
	if err == nil && r.Peek() != "" {
		err = Wrong("The expression goes on after its end: %s.", r.Peek())
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// read reads one comparison; seen counts them by property.
func (known Vocabulary) read(r *Words, seen map[string]int) (*Comparison, *SyntaxError) {
	name, operator, literal := r.Next(), r.Next(), r.Next()
	i := slices.IndexFunc(known, func(t term) bool { return strings.EqualFold(t.property, name) })
	if i < 0 {
		return nil, Wrong("The expression knows no property %q.", name)
	}
	t := known[i]
	x := &Comparison{Property: t.property, Operator: strings.ToLower(operator)}
	if !slices.Contains(t.operators, x.Operator) {
		return nil, Wrong("%s has no operator %q.", t.property, operator)
	}
	if seen[t.property]++; seen[t.property] > maxPerProperty {
		return nil, Wrong("%s is compared more than %d times.", t.property, maxPerProperty)
	}
	var quoted bool
	if x.Value, quoted = Unquote(literal); !quoted {
		return nil, Wrong("%s is compared with something that is not in quotes.", t.property)
	}
	switch t.form {
	case boolLiteral:
		if x.Value = strings.ToLower(x.Value); x.Value != "true" && x.Value != "false" {
			return nil, Wrong("%s is compared with neither 'true' nor 'false'.", t.property)
		}
	case timeLiteral:
		text := x.Value
		if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
			text = text[1 : len(text)-1]
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, Wrong("%s is compared with something that is no time.", t.property)
		}
		x.time = at
	}
	return x, nil
}

// HoldsText decides a comparison of text, whatever the case of letters is.
func (x *Comparison) HoldsText(have string) bool {
	have, want := strings.ToLower(have), strings.ToLower(x.Value)
	switch x.Operator {
	case "-contains":
		return strings.Contains(have, want)
	case "-like":
		return like(have, want)
	}
	return have == want
}

// like Matches a pattern in which * stands for any text.
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

// HoldsTime decides a comparison of times. What never happened compares with
// nothing.
func (x *Comparison) HoldsTime(have time.Time) bool {
	if have.IsZero() {
		return false
	}
	switch x.Operator {
	case "-gt":
		return have.After(x.time)
	case "-ge":
		return !have.Before(x.time)
	case "-lt":
		return have.Before(x.time)
	}
	return !have.After(x.time)
}
