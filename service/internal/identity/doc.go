// Package identity says who calls: by the client certificate of the connection, or by the bearer token of the call.
//
//	credential                              principal
//	URI name of a verified certificate      the URI as it stands, such as spiffe://corp.example/portal
//	DNS name of a verified certificate      dns:portal.corp.example
//	bearer token                            oidc:<issuer>#<value of the principal claim>
//
// A bearer token that is there decides alone: a bad one is refused, whatever the certificate says. The rights file
// says which issuers there are (package rights reads it), and what a principal may do.
//
// go-oidc checks the claims. The keys are fetched and kept here, since a stranger must not be able to make the server
// fetch as often as they like: unknown keys cause one fetch in 30 s, bad signatures none.
package identity

import (
	"crypto/x509"
	"time"
)

// ClockSkew is how far the clocks of the issuers and of this server may differ.
const ClockSkew = time.Minute

// Caller is who calls.
type Caller struct {
	// Names are the principals that the credential proves, at least one. A token proves one. A certificate proves each
	// of its names, URIs first. The rights of the first one that the rights file has are the caller's.
	Names []string
	// Expires is when the server stops to accept the credential. For a token it is one ClockSkew after its expiry. What
	// lasts longer than a unary call, such as a stream, has to end then.
	Expires time.Time
}

// Cause says in one kebab-case word why a credential was refused. It is for the log: clients never see it.
type Cause string

// The causes.
const (
	CauseNoCredential       Cause = "no-credential"
	CauseCertificateExpired Cause = "certificate-expired"
	CauseCertificateNames   Cause = "certificate-names"
	CauseNotOneToken        Cause = "not-one-token"
	CauseTooLong            Cause = "too-long"
	CauseSyntax             Cause = "syntax"
	CauseAlgorithm          Cause = "algorithm"
	CauseType               Cause = "type"
	CauseCritical           Cause = "crit"
	CauseIssuerUnknown      Cause = "issuer-unknown"
	CauseAudience           Cause = "audience"
	CauseExpired            Cause = "expired"
	CauseEarly              Cause = "early"
	CauseIDToken            Cause = "id-token"
	CauseUserToken          Cause = "user-token"
	CausePrincipalClaim     Cause = "principal-claim"
	CauseRequiredClaim      Cause = "required-claim"
	CauseKeyUnknown         Cause = "key-unknown"
	CauseKeysUnavailable    Cause = "keys-unavailable"
	CauseSignature          Cause = "signature"
	CauseClaims             Cause = "claims"
)

// Causes are all causes.
var Causes = []Cause{
	CauseNoCredential, CauseCertificateExpired, CauseCertificateNames, CauseNotOneToken, CauseTooLong, CauseSyntax,
	CauseAlgorithm, CauseType, CauseCritical, CauseIssuerUnknown, CauseAudience, CauseExpired, CauseEarly, CauseIDToken,
	CauseUserToken, CausePrincipalClaim, CauseRequiredClaim, CauseKeyUnknown, CauseKeysUnavailable, CauseSignature, CauseClaims,
}

// CredentialError is a credential that is missing or bad. Its text is the same for all of them and may go to clients.
type CredentialError struct {
	// Cause is for the log.
	Cause Cause
	// Issuer is the issuer that a refused token names, when it is one of the rights file; else empty.
	Issuer string
}

// Error returns the one text for all causes.
func (*CredentialError) Error() string { return "the caller's credential is missing or invalid" }

// Credential is what came with a call.
type Credential struct {
	// Authorization are all values of the call's metadata `authorization`.
	Authorization []string
	// Certificate is that of the client, if it was verified when the connection began; nil for none.
	Certificate *x509.Certificate
}
