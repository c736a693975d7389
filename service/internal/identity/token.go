package identity

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	// This reader of JSON compares names exactly and refuses names that come twice.
	"github.com/go-jose/go-jose/v4/json"
)

const (
	// maxToken bounds a token, in bytes. All metadata of a call may have 16 KiB.
	maxToken = 12 << 10
	// maxKeyID and maxPrincipal bound what the token names, in bytes.
	maxKeyID, maxPrincipal = 256, 256
)

// types are the values of `typ` that a token may have. Others are of tokens with another meaning, which the same key
// can have signed: logout+jwt, dpop+jwt, secevent+jwt.
var types = []string{"jwt", "at+jwt", "application/jwt", "application/at+jwt", "jose"}

// header is what the first part of a token says.
type header struct {
	algorithm jose.SignatureAlgorithm
	// keyID is empty when the token names no key.
	keyID string
}

// claims is the second part of a token.
type claims map[string]json.RawMessage

// bearer returns the token of a call; there is false when the call has none.
func bearer(authorization []string) (token string, there bool, cause Cause) {
	switch len(authorization) {
	case 0:
		return "", false, ""
	case 1:
	default:
		return "", true, CauseNotOneToken
	}
	if len(authorization[0]) > maxToken {
		return "", true, CauseTooLong
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", true, CauseSyntax
	}
	// Some clients and proxies join two headers with a comma. IndexByte looks at many bytes at once.
	if strings.IndexByte(token, ',') >= 0 || strings.IndexByte(token, ' ') >= 0 {
		return "", true, CauseNotOneToken
	}
	return token, true, ""
}

// parse reads a token without checking its signature.
func parse(token string) (header, claims, Cause) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return header{}, nil, CauseSyntax
	}
	var first, second map[string]json.RawMessage
	if !decode(parts[0], &first) || !decode(parts[1], &second) {
		return header{}, nil, CauseSyntax
	}
	if _, ok := first["crit"]; ok {
		return header{}, nil, CauseCritical
	}
	if kind, ok := claims(first).text("typ"); first["typ"] != nil && (!ok || !slices.Contains(types, strings.ToLower(kind))) {
		return header{}, nil, CauseType
	}
	algorithm, _ := claims(first).text("alg")
	h := header{algorithm: jose.SignatureAlgorithm(algorithm)}
	if !slices.Contains(algorithms, h.algorithm) {
		return header{}, nil, CauseAlgorithm
	}
	if _, ok := first["kid"]; ok {
		if h.keyID, ok = claims(first).text("kid"); !ok || h.keyID == "" || len(h.keyID) > maxKeyID {
			return header{}, nil, CauseKeyUnknown
		}
	}
	return h, second, ""
}

func decode(part string, into *map[string]json.RawMessage) bool {
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	return err == nil && json.Unmarshal(data, into) == nil && *into != nil
}

// text returns a claim that is a string.
func (c claims) text(name string) (string, bool) {
	var text *string
	if json.Unmarshal(c[name], &text) != nil || text == nil {
		return "", false
	}
	return *text, true
}

// time returns a claim that is a time, in seconds since 1970.
func (c claims) time(name string) (time.Time, bool) {
	var seconds *float64
	// The bound is a year that has five digits, before the numbers stop to fit.
	if json.Unmarshal(c[name], &seconds) != nil || seconds == nil || *seconds <= 0 || *seconds > 1e12 {
		return time.Time{}, false
	}
	return time.Unix(int64(*seconds), 0), true
}

// has reports whether a claim is there, whatever it is.
func (c claims) has(name string) bool { _, ok := c[name]; return ok }

// matches reports whether a claim has the value, or contains it when it is a list.
func (c claims) matches(required RequiredClaim) bool {
	var value any
	if json.Unmarshal(c[required.Name], &value) != nil {
		return false
	}
	if list, ok := value.([]any); ok {
		return slices.Contains(list, required.Value)
	}
	return value == required.Value
}

// contains reports whether a claim is the text, or a list that contains it.
func (c claims) contains(name, text string) bool {
	return c.matches(RequiredClaim{Name: name, Value: text})
}

// check checks the claims that cost nothing to check, before a key is looked for: a token that can never be good must
// not cause a fetch.
func (i *Issuer) check(c claims, now time.Time) Cause {
	if !c.contains("aud", i.Audience) {
		return CauseAudience
	}
	if expires, ok := c.time("exp"); !ok || now.After(expires.Add(ClockSkew)) {
		return CauseExpired
	}
	if begins, ok := c.time("nbf"); c.has("nbf") && (!ok || now.Add(ClockSkew).Before(begins)) {
		return CauseEarly
	}
	// Only ID tokens have these. They say who logged in to a page, not who may call a service.
	if c.has("nonce") || c.has("at_hash") || c.has("c_hash") {
		return CauseIDToken
	}
	// Else every user of an application would be the application.
	if i.NamesApplication() && c.has("scp") {
		return CauseUserToken
	}
	for _, required := range i.RequiredClaims {
		if !c.matches(required) {
			return CauseRequiredClaim
		}
	}
	if value, ok := c.text(i.PrincipalClaim); !ok || !isPrincipalClaim(value) {
		return CausePrincipalClaim
	}
	return ""
}

func isPrincipalClaim(value string) bool {
	return value != "" && len(value) <= maxPrincipal && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// caller returns who a token names whose claims have been checked.
func (i *Issuer) caller(c claims) Caller {
	value, _ := c.text(i.PrincipalClaim)
	expires, _ := c.time("exp")
	return Caller{Names: []string{Principal(i.Issuer, value)}, Expires: expires.Add(ClockSkew)}
}

// Principal is the principal of an issuer's caller.
func Principal(issuer, value string) string { return "oidc:" + issuer + "#" + value }
