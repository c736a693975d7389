package graph

import (
	"context"
	"time"
)

// TokenRequest says which token is needed.
type TokenRequest struct {
	// Tenant is the GUID of the tenant to act in, in lower case.
	Tenant string
	// UserAssertion is the access token of the user on whose behalf to act; empty for the application itself.
	UserAssertion string
	// Claims are the claims that Graph demands of the token (continuous access evaluation), as JSON; empty for none.
	Claims string
	// RequestID is the id of the call that needs the token, a GUID; empty for none. It only serves the log.
	RequestID string
	// Refused is a token that Graph has just refused, and that must not be returned again; empty for none.
	Refused string
}

// TokenSource gives bearer tokens. It is safe for concurrent use.
type TokenSource interface {
	// Token returns a token for the request. It keeps the deadline of the context. An error that is no *TokenError counts
	// as one with TokenUnavailable.
	Token(ctx context.Context, request TokenRequest) (string, error)
}

// TokenKind says why there is no token.
type TokenKind int

// The kinds.
const (
	// TokenUnavailable: the token authority did not respond, or is overloaded. It may work later, unless the cause lasts.
	TokenUnavailable TokenKind = iota
	// TokenRefused: the authority refuses the application in this tenant, or the credential cannot be used. A person has
	// to change something.
	TokenRefused
	// TokenAssertionRefused: the user's token is refused, has expired, or belongs to another tenant.
	TokenAssertionRefused
	// TokenNotDelegable: the configured credential cannot act on behalf of users.
	TokenNotDelegable
	// TokenClaimsRefused: the user has to do something first, such as a second factor.
	TokenClaimsRefused
	// TokenCloud: the tenant is in a cloud where this API does not exist.
	TokenCloud
)

// TokenError is a failure to get a token. Its text has neither tokens nor claims: it is safe to log.
type TokenError struct {
	Kind TokenKind
	// Cause tells failures of one kind apart; empty when nothing more is known.
	Cause Cause
	// AADSTS is the authority's number for the failure, such as 7000222; 0 when it gave none.
	AADSTS int
	// RequestID is that of the TokenRequest that failed, which may be of an earlier call; empty when none was sent.
	RequestID string
	// RetryAfter is how long from now the source fails in the same way without asking the authority; zero when that is not
	// known.
	RetryAfter time.Duration
	// Err is the underlying error. Its text is never shown or logged, since it may hold any text of the authority.
	Err error
}

func (e *TokenError) Error() string {
	switch e.Kind {
	case TokenRefused:
		return "token authority refuses the application"
	case TokenAssertionRefused:
		return "token authority refuses the user's token"
	case TokenNotDelegable:
		return "credential cannot act on behalf of users"
	case TokenClaimsRefused:
		return "token authority demands an interaction of the user"
	case TokenCloud:
		return "tenant is in another cloud"
	}
	return "token authority is unavailable"
}

// Unwrap returns the underlying error.
func (e *TokenError) Unwrap() error { return e.Err }
