package apierror

import (
	"regexp"
	"strings"
)

// secrets are what no Status may show although a text of Graph's has it: JSON web tokens, what follows Bearer, and the
// values of parameters and properties that hold tokens or secrets, such as the skip token of a next link.
var secrets = regexp.MustCompile(`eyJ[\w-]+(?:\.[\w-]*)+` +
	`|(?i:\bbearer)(?:\s+|%20)[^\s"'<>,;]+` +
	`|(?i:token|secret|assertion|password|\bsig)(?:=|%3[Dd]|"\s*:\s*")[^\s"'<>&,;]+`)

// scrub replaces secrets by an ellipsis.
func scrub(s string) string {
	// Most texts have none, and looking for what they begin with is cheap.
	if !mayHoldSecret(s) {
		return s
	}
	return secrets.ReplaceAllString(s, "…")
}

// mayHoldSecret reports whether a text has what each alternative of secrets has. Each look goes through many bytes at
// once: together they take a quarter of one pass through the letters.
func mayHoldSecret(s string) bool {
	if strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '"') >= 0 || strings.Contains(s, "eyJ") {
		return true
	}
	return hasBearer(s, 'b') || hasBearer(s, 'B')
}

// hasBearer reports whether a text has the word bearer, in letters of either case, with the given one first.
func hasBearer(s string, first byte) bool {
	const word = "bearer"
	for {
		i := strings.IndexByte(s, first)
		if i < 0 || len(s)-i < len(word) {
			return false
		}
		if strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
		s = s[i+1:]
	}
}
