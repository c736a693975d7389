package errorbody

import (
	"unicode"
	"unicode/utf8"
)

// unescape appends a JSON string without its quotes to dst: escapes are resolved, and bytes that are not UTF-8 are
// replaced. With clean it becomes a text that can be shown: control characters become spaces, and invisible characters
// are left out. It reads at most limit bytes of the string, counted without escapes and up to a whole character.
func unescape(dst, raw []byte, limit int, clean bool) []byte {
	for len(raw) > 0 {
		r, n := character(raw)
		limit -= utf8.RuneLen(r)
		if limit < 0 {
			break
		}
		raw = raw[n:]
		switch {
		case !clean:
			dst = utf8.AppendRune(dst, r)
		case control(r):
			dst = append(dst, ' ')
		case !invisible(r):
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// control reports whether a character ends a line or controls a terminal.
func control(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// invisible reports whether a character has no width of its own, or changes the direction of writing: with such
// characters one text can look like another.
func invisible(r rune) bool {
	switch {
	case r == 0x061C, r == 0xFEFF:
	case r >= 0x200B && r <= 0x200F:
	case r >= 0x202A && r <= 0x202E:
	case r >= 0x2060 && r <= 0x206F:
	case r >= 0xE0000 && r <= 0xE007F:
	default:
		return false
	}
	return true
}
