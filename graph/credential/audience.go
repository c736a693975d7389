package credential

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// scope requests all permissions that were granted to the application, or by the user to the application. It does not
// depend on the endpoint of Graph: one that stands in for Graph gets tokens for Graph, too.
const scope = resource + "/.default"

// resource is the URL of Microsoft Graph as a resource, resourceID its id, which is the same in all tenants. Tokens
// have the one or the other as their audience.
const (
	resource   = "https://graph.microsoft.com"
	resourceID = "00000003-0000-0000-c000-000000000000"
)

// isForGraph reports whether a token has Microsoft Graph as its audience. One for another API must not be sent to
// Graph, which would refuse it anyway.
func isForGraph(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return false
	}
	// A map, since names of claims are case-sensitive, which names of struct fields are not.
	var claims map[string]json.RawMessage
	if json.Unmarshal(payload, &claims) != nil {
		return false
	}
	// One audience may stand without an array: RFC 7519, section 4.1.3.
	var audience string
	var audiences []string
	if json.Unmarshal(claims["aud"], &audience) == nil {
		audiences = []string{audience}
	} else if json.Unmarshal(claims["aud"], &audiences) != nil {
		return false
	}
	return slices.ContainsFunc(audiences, func(a string) bool {
		a = strings.ToLower(a)
		return strings.TrimSuffix(a, "/") == resource || a == resourceID
	})
}
