package graph

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Claims are what a token says about itself. Its signature is not checked: claims can be a reason to refuse a token,
// never to accept one.
type Claims struct {
	// Tenant is the tenant of the token, in lower case; empty when the token does not say.
	Tenant string
	// User is the object id of the user; empty when the token does not say, as tokens of applications may not.
	User string
	// Roles are the application permissions that the token has; nil when it has none.
	Roles []string
	// Expires is when the token expires; zero when the token does not say, or not readably.
	Expires time.Time
}

// ReadClaims reads the payload of a JWT without checking anything. ok is false when the token is no JWT.
func ReadClaims(token string) (claims Claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims, false
	}
	// A map, since names of claims are case-sensitive, which names of struct fields are not.
	var all map[string]json.RawMessage
	if json.Unmarshal(payload, &all) != nil || all == nil {
		return claims, false
	}
	text := func(name string) (s string) {
		// A claim of another type is ignored.
		if json.Unmarshal(all[name], &s) != nil {
			return ""
		}
		return s
	}
	claims.Tenant, claims.User = strings.ToLower(text("tid")), text("oid")
	// One that is no list of texts is ignored.
	if json.Unmarshal(all["roles"], &claims.Roles) != nil {
		claims.Roles = nil
	}
	var expires float64
	if json.Unmarshal(all["exp"], &expires) == nil && expires > 0 && expires < 1e12 {
		claims.Expires = time.Unix(int64(expires), 0)
	}
	return claims, true
}
