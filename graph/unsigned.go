package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/internal/memo"
)

// allPermissions are the permissions of the API. ReadWrite includes Read; the one of searches has only Read.
var allPermissions = []string{
	"BackupRestore-Configuration.ReadWrite.All",
	"BackupRestore-Control.ReadWrite.All",
	"BackupRestore-Restore.ReadWrite.All",
	"BackupRestore-Search.Read.All",
}

// assertionSkew is how far the clocks of this machine and of whoever made an assertion may be apart.
const assertionSkew = 5 * time.Minute

// Unsigned is the token source for upstreams on this machine that check no signature, such as the emulator. Its tokens
// say who calls, so that such an upstream tells applications from users as Graph does.
type Unsigned struct {
	// Lenient leaves out who calls: the tokens name the tenant and nothing else. The emulator then allows everything.
	Lenient bool
}

// unsignedClaims are the claims of a token without signature.
type unsignedClaims struct {
	Tenant string   `json:"tid"`
	User   string   `json:"oid,omitempty"`
	Scopes string   `json:"scp,omitempty"`
	Roles  []string `json:"roles,omitempty"`
}

// Token returns a JWT without signature and without an expiry. Its claim tid is the tenant. It has all permissions of
// the API: as roles for the application itself; as scp, with the oid of the user assertion, on behalf of a user. An
// assertion is refused with a *TokenError unless it is a JWT whose tid is the tenant, and that has not expired; its
// signature is not checked. A lenient source takes any assertion.
func (u Unsigned) Token(_ context.Context, request TokenRequest) (string, error) {
	claims := unsignedClaims{Tenant: request.Tenant}
	switch {
	case request.UserAssertion == "" && IsGUID(request.Tenant):
		made, rest := &applicationTokens, applicationRest
		if u.Lenient {
			made, rest = &lenientTokens, lenientRest
		}
		token, ok := made.Get(request.Tenant)
		if !ok {
			token = unsignedHead + "." + encode([]byte(tenantClaim+request.Tenant+`"`)) + rest
			made.Put(request.Tenant, token)
		}
		return token, nil
	case u.Lenient:
	case request.UserAssertion == "":
		claims.Roles = allPermissions
	default:
		user, err := readAssertion(request, time.Now())
		if err != nil {
			return "", err
		}
		claims.User, claims.Scopes = user.User, strings.Join(allPermissions, " ")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return unsignedHead + "." + encode(payload) + ".", nil
}

// encode encodes a part of a JWT.
func encode(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }

// Each request has a token, and most differ only in the tenant, which stands first. A GUID and what is before it end
// where base64 begins anew.
const tenantClaim = `{"tid":"`

var (
	unsignedHead    = encode([]byte(`{"alg":"none","typ":"JWT"}`))
	lenientRest     = encode([]byte(`}`)) + "."
	applicationRest = encode([]byte(`,"roles":["`+strings.Join(allPermissions, `","`)+`"]}`)) + "."
)

// applicationTokens and lenientTokens are tokens that were made, by their tenants.
var applicationTokens, lenientTokens memo.Memo[string, string]

// readAssertion refuses what package credential and a token authority refuse too, as far as that can be seen without a
// key.
func readAssertion(request TokenRequest, now time.Time) (Claims, error) {
	refused := func(cause Cause, text string) error {
		return &TokenError{Kind: TokenAssertionRefused, Cause: cause, Err: errors.New(text)}
	}
	claims, ok := ReadClaims(request.UserAssertion)
	switch {
	case !ok:
		return claims, refused(CauseUserAssertion, "the assertion is no JWT")
	case claims.Tenant != request.Tenant:
		return claims, refused(CauseWrongTenant, "the assertion is of another tenant")
	case !claims.Expires.IsZero() && now.After(claims.Expires.Add(assertionSkew)):
		return claims, refused(CauseUserAssertion, "the assertion has expired")
	}
	return claims, nil
}
