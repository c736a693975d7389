package apierror

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut makes a text valid UTF-8 of at most limit bytes; a text that was longer ends in an ellipsis.
func cut(s string, limit int) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + ellipsis
}

// visible makes a text that a Status can show of one that is kept as Graph sent it: control characters become spaces,
// characters without a width are left out, and so are spaces around it.
func visible(s string) string {
	if isPrintable(s) {
		return strings.Trim(s, " ")
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// isPrintable reports whether a text has only printable characters of ASCII, as nearly all of Graph's have.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
