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

// mayHoldSecret reports whether a text has what each alternative of secrets has, in one pass.
func mayHoldSecret(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case '=', '%', '"':
			return true
		case 'e':
			if strings.HasPrefix(s[i:], "eyJ") {
				return true
			}
		case 'b', 'B':
			const word = "bearer"
			if len(s)-i >= len(word) && strings.EqualFold(s[i:i+len(word)], word) {
				return true
			}
		}
	}
	return false
}
