package identity

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Issuer is an issuer of bearer tokens.
type Issuer struct {
	// Issuer is the claim `iss` of its tokens, an https URL. It is compared byte by byte.
	Issuer string
	// Audience has to be in the claim `aud`.
	Audience string
	// PrincipalClaim is the claim whose value names the caller, such as `sub`. With `azp` or `appid` the caller is an
	// application: a token with the claim `scp` is a user's and refused.
	PrincipalClaim string
	// RequiredClaims are other claims that a token must have, and their values.
	RequiredClaims []RequiredClaim
	// KeysURL is the URL of the JWKS. When it and Keys are empty, the issuer's openid-configuration names it.
	KeysURL string
	// Keys is the content of a file with a JWKS: nothing is fetched then.
	Keys []byte
	// CA is the content of a file with the certificates, in PEM, by which the issuer's TLS certificate is verified. Empty
	// means those of the system.
	CA []byte
}

// CAExpiry is when the first certificate of CA expires; zero without one.
func (i *Issuer) CAExpiry() (first time.Time) {
	for rest := i.CA; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return first
		}
		// CheckIssuer has read them all.
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && (first.IsZero() || certificate.NotAfter.Before(first)) {
			first = certificate.NotAfter
		}
	}
}

// RequiredClaim is a claim that a token must have.
type RequiredClaim struct {
	Name string
	// Value is a string or a bool. A claim that is a list must contain it.
	Value any
}

// Field is a field of an Issuer by its name in the rights file.
type Field string

// The fields that CheckIssuer can refuse.
const (
	FieldIssuer         Field = "issuer"
	FieldAudience       Field = "audience"
	FieldPrincipalClaim Field = "principalClaim"
	FieldKeysURL        Field = "jwksUrl"
	FieldKeys           Field = "jwksFile"
	FieldCA             Field = "caFile"
)

// CheckIssuer returns the first field that is wrong, and why; nil when the issuer can be used.
func CheckIssuer(i Issuer) (Field, error) {
	switch {
	case !isFetchable(i.Issuer) || strings.ContainsAny(i.Issuer, "#?"):
		return FieldIssuer, errors.New("must be an https URL without query or fragment; http only on this machine")
	case i.Audience == "":
		return FieldAudience, errors.New("must be set")
	case i.PrincipalClaim == "":
		return FieldPrincipalClaim, errors.New("must be set, such as to sub or azp")
	case i.KeysURL != "" && i.Keys != nil:
		return FieldKeysURL, errors.New("and jwksFile exclude each other")
	case i.KeysURL != "" && !isFetchable(i.KeysURL):
		return FieldKeysURL, errors.New("must be an https URL; http only on this machine")
	}
	if i.Keys != nil {
		if _, err := parseKeys(i.Keys); err != nil {
			return FieldKeys, err
		}
		if i.CA != nil {
			return FieldCA, errors.New("has no use with jwksFile: nothing is fetched")
		}
	}
	if _, err := poolOf(i.CA); err != nil {
		return FieldCA, err
	}
	return "", nil
}

// NamesApplication reports whether the caller is an application, so that a user's token must not pass for it.
func (i *Issuer) NamesApplication() bool {
	return i.PrincipalClaim == "azp" || i.PrincipalClaim == "appid"
}

// sameKeys reports whether two issuers get their keys from the same place.
func (i *Issuer) sameKeys(other *Issuer) bool {
	return i.Issuer == other.Issuer && i.KeysURL == other.KeysURL && slices.Equal(i.Keys, other.Keys) && slices.Equal(i.CA, other.CA)
}

// isFetchable reports whether a URL is one from which keys may come: https, or http on this machine, where nobody is
// between.
func isFetchable(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// poolOf returns the certificates of a CA file, nil for those of the system.
func poolOf(pem []byte) (*x509.CertPool, error) {
	if pem == nil {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("has no certificate in PEM")
	}
	return pool, nil
}
