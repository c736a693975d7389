package emulator

import (
	"bytes"
	"strings"
)

// preferUnknown is the preference without which members that an enumeration got
// after unknownFutureValue are not written.
const preferUnknown = "include-unknown-enum-members"

func (c *call) prefersUnknown() bool {
	_, given := c.preference(preferUnknown)
	return given
}

// preference finds what a client prefers, with the value that it gives.
func (c *call) preference(name string) (value string, given bool) {
	for _, header := range c.r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			token, value, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.TrimSpace(token), name) {
				return strings.TrimSpace(value), true
			}
		}
	}
	return "", false
}

// evolved are the members after unknownFutureValue, by property. A session's
// failed is one, while an artifact's and a browse session's is not, so it counts
// for the resources below restoreSessions alone.
func (c *call) evolved() map[string][]string {
	members := map[string][]string{
		"status": {
			"updateRequested", "deleteRequested", // of rules
			unitOffboardRequested, unitOffboarded, unitCancelRequested,
		},
		"restoreJobType": {"granular"},
		"disableReason":  {"controllerServiceAppDeleted"},
	}
	if s := c.route.segments; len(s) > 0 && len(s) < 4 && strings.HasSuffix(s[0], "restoresessions") &&
		!strings.Contains(s[len(s)-1], "restoreartifacts") {
		members["status"] = append(members["status"], "failed")
	}
	return members
}

// hideEvolved writes unknownFutureValue for evolved members unless the caller
// prefers them. It works on the bytes, where it meets every answer: a quotation
// mark within a JSON string is escaped, so what it looks for can only be a
// property and its value.
func (c *call) hideEvolved(body []byte) []byte {
	if c.route == nil || c.prefersUnknown() {
		return body
	}
	for property, members := range c.evolved() {
		for _, member := range members {
			shown := []byte(`"` + property + `":"` + member + `"`)
			if bytes.Contains(body, shown) { // else it would only be copied
				body = bytes.ReplaceAll(body, shown, []byte(`"`+property+`":"unknownFutureValue"`))
			}
		}
	}
	return body
}
