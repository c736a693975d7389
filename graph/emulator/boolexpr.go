package emulator

import (
	"fmt"
	"strings"
)

// boolExpr is a comparison, or several of them joined by and or by or. The
// languages of filters, mail queries, browsing and rules all have this shape and
// differ in what a comparison is:
//
//	or   = and { "or" and }
//	and  = term { "and" term }
//	term = "(" or ")" | comparison
type boolExpr[C any] struct {
	comparison *C // nil where parts are joined
	or         bool
	parts      []*boolExpr[C]
}

// matches decides the whole by what test says of its comparisons.
func (x *boolExpr[C]) matches(test func(*C) bool) bool {
	if x.comparison != nil {
		return test(x.comparison)
	}
	for _, part := range x.parts {
		if part.matches(test) == x.or {
			return x.or
		}
	}
	return !x.or
}

// syntaxError says what is wrong with an expression.
type syntaxError struct {
	code    string // Graph's; empty for one that is malformed
	message string
	target  string // a value that is at fault; empty for the expression itself
}

// codeFilterLength is for expressions beyond the limits of length and depth.
const codeFilterLength = "FilterLengthExceeded"

func wrong(format string, args ...any) *syntaxError {
	return &syntaxError{message: fmt.Sprintf(format, args...)}
}

// boolParser reads a boolExpr.
type boolParser[C any] struct {
	words      *wordReader
	and, or    string
	brackets   int // how many may be open
	tooDeep    *syntaxError
	unclosed   func(instead string) *syntaxError
	comparison func() (*C, *syntaxError)
}

// read reads as far as the expression goes; words may be left.
func (p *boolParser[C]) read() (*boolExpr[C], *syntaxError) { return p.either(0) }

func (p *boolParser[C]) either(depth int) (*boolExpr[C], *syntaxError) {
	return p.chain(p.or, func() (*boolExpr[C], *syntaxError) {
		return p.chain(p.and, func() (*boolExpr[C], *syntaxError) { return p.term(depth) })
	})
}

// chain reads operands with one operator between them.
func (p *boolParser[C]) chain(operator string, operand func() (*boolExpr[C], *syntaxError)) (*boolExpr[C], *syntaxError) {
	x := &boolExpr[C]{or: operator == p.or}
	for {
		part, err := operand()
		if err != nil {
			return nil, err
		}
		x.parts = append(x.parts, part)
		if !p.words.accept(operator) {
			break
		}
	}
	if len(x.parts) == 1 {
		return x.parts[0], nil
	}
	return x, nil
}

func (p *boolParser[C]) term(depth int) (*boolExpr[C], *syntaxError) {
	if !p.words.accept("(") {
		c, err := p.comparison()
		return &boolExpr[C]{comparison: c}, err
	}
	if depth == p.brackets {
		return nil, p.tooDeep
	}
	x, err := p.either(depth + 1)
	if err == nil && !p.words.accept(")") {
		err = p.unclosed(p.words.peek())
	}
	return x, err
}

// wordReader hands out the words of an expression.
type wordReader struct {
	words []string
	fold  bool // accept does not care for the case of letters
}

// peek returns the next word; "" at the end.
func (r *wordReader) peek() string {
	if len(r.words) == 0 {
		return ""
	}
	return r.words[0]
}

func (r *wordReader) next() string {
	word := r.peek()
	if word != "" {
		r.words = r.words[1:]
	}
	return word
}

// accept reads the next word if it is the given one.
func (r *wordReader) accept(want string) bool {
	got := r.peek()
	if got == want || r.fold && strings.EqualFold(got, want) {
		r.next()
		return true
	}
	return false
}

// brackets are the punctuation of an expression without lists.
const brackets = "()"

// splitWords cuts an expression into punctuation, bare words and literals in
// quotes. It reports false for a literal that does not end.
func splitWords(text, punctuation string) (words []string, ok bool) {
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

// unquote returns what a literal says; false for a word that is none.
func unquote(word string) (string, bool) {
	if !strings.HasPrefix(word, "'") {
		return word, false
	}
	return strings.ReplaceAll(word[1:len(word)-1], "''", "'"), true
}
