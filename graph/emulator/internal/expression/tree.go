// Package expression reads the languages of filters, mail queries, browse filters
// and inclusion rules. It knows nothing of the emulator.
package expression

import (
	"fmt"
	"strings"
)

// Tree is a comparison, or several of them joined by and or by or. The
// languages of filters, mail queries, browsing and rules all have this shape and
// differ in what a comparison is:
//
//	or   = and { "or" and }
//	and  = term { "and" term }
//	term = "(" or ")" | comparison
type Tree[C any] struct {
	Comparison *C // nil where parts are joined
	Or         bool
	Parts      []*Tree[C]
}

// Matches decides the whole by what test says of its comparisons.
func (x *Tree[C]) Matches(test func(*C) bool) bool {
	if x.Comparison != nil {
		return test(x.Comparison)
	}
	for _, part := range x.Parts {
		if part.Matches(test) == x.Or {
			return x.Or
		}
	}
	return !x.Or
}

// SyntaxError says what is wrong with an expression.
type SyntaxError struct {
	Code    string // Graph's; empty for one that is malformed
	Message string
	Target  string // a value that is at fault; empty for the expression itself
}

// CodeTooLong is for expressions beyond the limits of length and depth.
const CodeTooLong = "FilterLengthExceeded"

// Wrong is an error about an expression that is malformed.
func Wrong(format string, args ...any) *SyntaxError {
	return &SyntaxError{Message: fmt.Sprintf(format, args...)}
}

// Parser reads a Tree.
type Parser[C any] struct {
	Words      *Words
	And, Or    string
	Brackets   int // how many may be open
	TooDeep    *SyntaxError
	Unclosed   func(instead string) *SyntaxError
	Comparison func() (*C, *SyntaxError)
}

// Read reads as far as the expression goes; words may be left.
func (p *Parser[C]) Read() (*Tree[C], *SyntaxError) { return p.either(0) }

func (p *Parser[C]) either(depth int) (*Tree[C], *SyntaxError) {
	return p.chain(p.Or, func() (*Tree[C], *SyntaxError) {
		return p.chain(p.And, func() (*Tree[C], *SyntaxError) { return p.term(depth) })
	})
}

// chain reads operands with one operator between them.
func (p *Parser[C]) chain(operator string, operand func() (*Tree[C], *SyntaxError)) (*Tree[C], *SyntaxError) {
	x := &Tree[C]{Or: operator == p.Or}
	for {
		part, err := operand()
		if err != nil {
			return nil, err
		}
		x.Parts = append(x.Parts, part)
		if !p.Words.Accept(operator) {
			break
		}
	}
	if len(x.Parts) == 1 {
		return x.Parts[0], nil
	}
	return x, nil
}

func (p *Parser[C]) term(depth int) (*Tree[C], *SyntaxError) {
	if !p.Words.Accept("(") {
		c, err := p.Comparison()
		return &Tree[C]{Comparison: c}, err
	}
	if depth == p.Brackets {
		return nil, p.TooDeep
	}
	x, err := p.either(depth + 1)
	if err == nil && !p.Words.Accept(")") {
		err = p.Unclosed(p.Words.Peek())
	}
	return x, err
}

// Words hands out the words of an expression.
type Words struct {
	Left []string
	Fold bool // Accept does not care for the case of letters
}

// Peek returns the next word; "" at the end.
func (r *Words) Peek() string {
	if len(r.Left) == 0 {
		return ""
	}
	return r.Left[0]
}

// Next takes the next word; "" at the end.
func (r *Words) Next() string {
	word := r.Peek()
	if word != "" {
		r.Left = r.Left[1:]
	}
	return word
}

// Accept reads the next word if it is the given one.
func (r *Words) Accept(want string) bool {
	got := r.Peek()
	if got == want || r.Fold && strings.EqualFold(got, want) {
		r.Next()
		return true
	}
	return false
}

// Brackets are the punctuation of an expression without lists.
const Brackets = "()"

// Split cuts an expression into punctuation, bare words and literals in
// quotes. It reports false for a literal that does not end.
func Split(text, punctuation string) (words []string, ok bool) {
	const space = " \t\r\n"
	for text = strings.TrimLeft(text, space); text != ""; text = strings.TrimLeft(text, space) {
		end := 1
		switch {
		case text[0] == '\'':
			if end = literalEnd(text); end < 0 {
				return nil, false
			}
		case strings.IndexByte(punctuation, text[0]) < 0:
			if end = strings.IndexAny(text, space+punctuation+"'"); end < 0 {
				end = len(text)
			}
		}
		words, text = append(words, text[:end]), text[end:]
	}
	return words, true
}

// literalEnd finds the end of the literal that text begins with; -1 without one.
// A quote inside is doubled.
func literalEnd(text string) int {
	for end := 1; ; end++ {
		quote := strings.IndexByte(text[end:], '\'')
		if quote < 0 {
			return -1
		}
		if end += quote + 1; !strings.HasPrefix(text[end:], "'") {
			return end
		}
	}
}

// Unquote returns what a literal says; false for a word that is none.
func Unquote(word string) (string, bool) {
	if !strings.HasPrefix(word, "'") {
		return word, false
	}
	return strings.ReplaceAll(word[1:len(word)-1], "''", "'"), true
}
