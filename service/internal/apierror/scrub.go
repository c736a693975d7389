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
	// Most texts have none, and looking for these is cheap.
	if !strings.ContainsAny(s, `=%"`) && !strings.Contains(s, "eyJ") && !hasBearer(s) {
		return s
	}
	return secrets.ReplaceAllString(s, "…")
}

func hasBearer(s string) bool {
	const word = "bearer"
	for i := range len(s) - len(word) + 1 {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}
