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
	// Expires is when the token expires; zero when the token does not say, or not readably.
	Expires time.Time
}

// ReadClaims reads the payload of a JWT without checking anything. ok is false when the token is no JWT.
func ReadClaims(token string) (claims Claims, ok bool) {
	all, ok := payloadOf(token)
	if !ok {
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
	var expires float64
	if json.Unmarshal(all["exp"], &expires) == nil && expires > 0 && expires < 1e12 {
		claims.Expires = time.Unix(int64(expires), 0)
	}
	return claims, true
}

// ReadRoles reads the application permissions of a token without checking anything; nil when it has none that can be
// read.
func ReadRoles(token string) (roles []string) {
	all, _ := payloadOf(token)
	if json.Unmarshal(all["roles"], &roles) != nil {
		return nil
	}
	return roles
}

// payloadOf returns the claims of a JWT. A map, since names of claims are case-sensitive, which names of struct fields
// are not.
func payloadOf(token string) (all map[string]json.RawMessage, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, &all) != nil || all == nil {
		return nil, false
	}
	return all, true
}
