package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/m365backup/backupstorage/internal/memo"
)

// Options configures an Authenticator. Its zero value is the one for use.
type Options struct {
	// Now is the clock. It is time.Now by default.
	Now func() time.Time
	// Transport returns the transport to an issuer whose certificate is verified by roots, nil for those of the system.
	Transport func(roots *x509.CertPool) http.RoundTripper
	// Logger is told of fetches that fail. They are dropped by default.
	Logger *slog.Logger
}

// Authenticator says who calls. It is safe for concurrent use.
type Authenticator struct {
	options  Options
	issuers  atomic.Pointer[map[string]*issuer]
	verified verified
	// names are the principals of certificates: a connection has one, and its calls have it again and again.
	names memo.Memo[*x509.Certificate, []string]
}

// issuer is an Issuer in use.
type issuer struct {
	Issuer
	keys   *keySet
	config *oidc.Config
}

// New returns an Authenticator that knows no issuer yet.
func New(o Options) *Authenticator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = newTransport
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{options: o}
	a.issuers.Store(&map[string]*issuer{})
	return a
}

// Use replaces the issuers at once, or keeps the old ones when one cannot be used. It fetches nothing: keys are fetched
// with the first token. Keys of an issuer whose place of keys is the same stay. Calls to Use must not overlap.
func (a *Authenticator) Use(issuers []Issuer) error {
	before, next := *a.issuers.Load(), make(map[string]*issuer, len(issuers))
	for _, i := range issuers {
		if next[i.Issuer] != nil {
			return errors.New("an issuer is there twice")
		}
		if field, err := CheckIssuer(i); err != nil {
			return fmt.Errorf("%s %w", field, err)
		}
		used := &issuer{Issuer: i, config: &oidc.Config{
			ClientID: i.Audience,
			// go-oidc has no skew for the expiry: its clock is late by the skew.
			Now: func() time.Time { return a.options.Now().Add(-ClockSkew) },
		}}
		for _, algorithm := range algorithms {
			used.config.SupportedSigningAlgs = append(used.config.SupportedSigningAlgs, string(algorithm))
		}
		if old := before[i.Issuer]; old != nil && old.sameKeys(&i) {
			used.keys = old.keys
		} else if err := a.newKeySet(used); err != nil {
			return err
		}
		next[i.Issuer] = used
	}
	a.issuers.Store(&next)
	return nil
}

func (a *Authenticator) newKeySet(i *issuer) (err error) {
	i.keys = &keySet{now: a.options.Now}
	if i.Keys != nil {
		i.keys.current, err = parseKeys(i.Keys)
		return err
	}
	roots, err := poolOf(i.CA)
	if err != nil {
		return err
	}
	i.keys.fetch = newSource(i.Issuer, a.options.Transport(roots)).fetch
	name := i.Issuer.Issuer
	i.keys.failed = func(err error) {
		a.options.Logger.Warn("keys of an issuer could not be fetched", slog.String("issuer", name), slog.Any("error", err))
	}
	return nil
}

// Caller returns who calls. It fetches keys when a token has an unknown one, and waits for them as long as ctx allows
// and for 2 s at most. The error is a *CredentialError.
func (a *Authenticator) Caller(ctx context.Context, c Credential) (Caller, error) {
	return a.caller(ctx, c, true)
}

// Known returns who calls without waiting: it is for the moment when a call's headers are there. pending is set for a
// token whose key is being fetched, on which Caller decides: Known has the fetch begun, since strangers can keep calls
// from ever getting to Caller. The error is a *CredentialError.
func (a *Authenticator) Known(c Credential) (caller Caller, pending bool, err error) {
	caller, err = a.caller(context.Background(), c, false)
	refused, ok := errors.AsType[*CredentialError](err)
	if ok && refused.Cause == CauseKeyUnknown && refused.Issuer != "" {
		if i := (*a.issuers.Load())[refused.Issuer]; i != nil && i.keys.fetch != nil && i.keys.begin(0) != nil {
			return Caller{}, true, nil
		}
	}
	return caller, false, err
}

func (a *Authenticator) caller(ctx context.Context, c Credential, mayFetch bool) (Caller, error) {
	token, there, cause := bearer(c.Authorization)
	switch {
	case cause != "":
		return Caller{}, &CredentialError{Cause: cause}
	case !there:
		return a.ofCertificate(c.Certificate, a.options.Now())
	}
	if known, ok := a.verified.of(token, *a.issuers.Load(), a.options.Now()); ok {
		return known, nil
	}
	h, unchecked, cause := parse(token)
	if cause != "" {
		return Caller{}, &CredentialError{Cause: cause}
	}
	name, _ := unchecked.text("iss")
	i := (*a.issuers.Load())[name]
	if i == nil {
		return Caller{}, &CredentialError{Cause: CauseIssuerUnknown}
	}
	if cause := i.check(unchecked, a.options.Now()); cause != "" {
		return Caller{}, &CredentialError{Cause: cause, Issuer: name}
	}
	check := &signature{keys: i.keys, header: h, mayFetch: mayFetch}
	by := i.keys.keys()
	if _, err := oidc.NewVerifier(name, check, i.config).Verify(ctx, token); err != nil {
		if check.cause == "" {
			check.cause = CauseClaims
		}
		return Caller{}, &CredentialError{Cause: check.cause, Issuer: name}
	}
	// The payload that was signed is the one that was read above.
	known := i.caller(unchecked)
	a.verified.add(token, i, by, known)
	return known, nil
}

// signature is the oidc.KeySet of one token.
type signature struct {
	keys     *keySet
	header   header
	mayFetch bool
	// cause says why it failed.
	cause Cause
}

// VerifySignature checks the signature and returns the payload.
func (s *signature) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		s.cause = CauseSyntax
		return nil, err
	}
	payload, cause := s.keys.verify(ctx, parsed, s.header, s.mayFetch)
	if cause != "" {
		s.cause = cause
		return nil, errors.New(string(cause))
	}
	return payload, nil
}
