// Package credential gets the tokens of Microsoft Graph from Microsoft's token authority, for many tenants at once and
// on behalf of their users.
//
// Package azidentity requests the tokens. This package caches them, requests each one only once, in the background and
// before the last one expires, and checks whose they are.
package credential

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/internal/connection"
	"github.com/m365backup/backupstorage/internal/reload"
)

// Mode is how the application authenticates itself.
type Mode string

// The modes.
const (
	// Default is azidentity's chain: environment, workload identity, managed identity, and the tools of a developer's
	// machine.
	Default Mode = "default"
	// ClientSecret, Certificate and WorkloadIdentity serve any tenant that knows the application, and can act on behalf of
	// users.
	ClientSecret     Mode = "client-secret"
	Certificate      Mode = "certificate"
	WorkloadIdentity Mode = "workload-identity"
	// ManagedIdentity serves only its home tenant.
	ManagedIdentity Mode = "managed-identity"
)

// Modes are all modes.
var Modes = []Mode{Default, ClientSecret, Certificate, WorkloadIdentity, ManagedIdentity}

// Delegates reports whether a mode can act on behalf of users.
func (m Mode) Delegates() bool { return m == ClientSecret || m == Certificate || m == WorkloadIdentity }

// Options configures a Source.
type Options struct {
	Mode Mode
	// Authority is the https URL of the token authority, without a path; empty is PublicAuthority.
	Authority string
	// RootCAs are trusted for the authority; nil trusts those of the machine.
	RootCAs *x509.CertPool
	// ClientID is the id of the application. ManagedIdentity takes that of a user-assigned identity, or none; Default
	// does not use it.
	ClientID string
	// HomeTenant is the tenant (GUID) of a managed identity. For Default it is the tenant that the tools of a developer's
	// machine sign in to; empty leaves the choice to them. The other modes do not use it.
	HomeTenant string
	// SecretFile, or Secret, is for ClientSecret; the file is read again when it changes.
	SecretFile, Secret string
	// CertificateFile is for Certificate: a certificate and its RSA key, in PEM, or in PKCS#12 without a password. It is
	// read again when it changes.
	CertificateFile string
	// FederatedTokenFile is for WorkloadIdentity. It is read again when it changes.
	FederatedTokenFile string
	// Files looks at the file of the mode every few seconds, and counts and logs when it cannot be used. The file is also
	// read for each token, so that this is needed for no rotation. Nil leaves it out.
	Files *reload.Reader
	// NationalCloudTenants are tenants (GUIDs in lower case) of clouds where the API does not exist: no token is requested
	// for them.
	NationalCloudTenants []string
	// Logger gets a line for every token request that failed, or was slower than the second one for the same token. It
	// has the tenant's GUID, the id of the call that needed the token, the cause, and the codes of the authority, never a
	// text or a token. Nil logs nothing.
	Logger *slog.Logger
}

// Source returns tokens. It is safe for concurrent use.
type Source struct {
	mode      Mode
	home      string
	national  map[string]bool
	cache     *cache
	provider  *provider
	authority *authority
	client    *http.Client
	conns     *connection.Conns
}

var _ graph.TokenSource = (*Source)(nil)

// New returns a source. It sends no request yet. It fails when an option is missing or wrong, or a file cannot be used.
func New(options Options) (*Source, error) {
	if options.Authority == "" {
		options.Authority = PublicAuthority
	}
	host, err := ParseAuthority(options.Authority)
	if err != nil {
		return nil, err
	}
	conns := new(connection.Conns)
	transport := newTransport(options.RootCAs, conns)
	client := newHTTPClient(transport)
	authority := newAuthority(transport, newFreshTransport(options.RootCAs, conns), host.Host)
	p := &provider{mode: options.Mode, clientID: options.ClientID, homeTenant: options.HomeTenant}
	p.options = azcore.ClientOptions{
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: host.String()},
		// The caller decides whether to retry: a retry here would only keep everyone waiting.
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Transport: authority,
	}
	if err := p.prepare(options, client); err != nil {
		return nil, err
	}
	s := &Source{mode: options.Mode, national: make(map[string]bool), provider: p, authority: authority, client: client, conns: conns}
	if options.Mode == ManagedIdentity {
		s.home = options.HomeTenant
	}
	for _, tenant := range options.NationalCloudTenants {
		s.national[tenant] = true
	}
	s.cache = newCache(logged(p.fetch, options.Logger), p.version)
	return s, nil
}

// logged writes a line for every token request that failed, or was outrun: that one shows that the authority hangs.
func logged(fetch fetchFunc, logger *slog.Logger) fetchFunc {
	if logger == nil {
		return fetch
	}
	return func(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error) {
		start := time.Now()
		token, err := fetch(ctx, request)
		if err == nil {
			return token, nil
		}
		attributes := []any{
			slog.String("tenant", request.Tenant), slog.String("requestId", request.RequestID),
			slog.Bool("delegated", request.UserAssertion != ""), slog.Duration("duration", time.Since(start)),
		}
		if errors.Is(context.Cause(ctx), errOutrun) {
			logger.Info("token request given up, another one was faster", attributes...)
			return token, err
		}
		failed := asTokenError(err)
		attributes = append(attributes, slog.String("error", failed.Error()), slog.String("cause", string(failed.Cause)))
		if failed.Cause.OfConnection() {
			attributes = append(attributes, slog.String("host", "authority"))
		}
		if response, ok := errors.AsType[*authorityError](err); ok {
			attributes = append(attributes, slog.Int("httpStatus", response.status), slog.String("code", response.code))
			if failed.AADSTS != 0 {
				attributes = append(attributes, slog.Int("aadsts", failed.AADSTS))
			}
			if response.requestID != "" {
				attributes = append(attributes, slog.String("authorityRequestId", response.requestID))
			}
		}
		logger.Warn("token request failed", attributes...)
		return token, err
	}
}

// CertificateExpiry returns when the certificate in use expires; zero for a credential without one.
func (s *Source) CertificateExpiry() time.Time { return s.provider.file.certificateExpiry() }

// Close ends the token requests under way. Token fails from then on.
func (s *Source) Close() {
	s.cache.close()
	s.client.CloseIdleConnections()
	s.conns.Close()
}

// Token returns a token of the request's tenant, for the user of the assertion, or for the application without one.
func (s *Source) Token(ctx context.Context, request graph.TokenRequest) (string, error) {
	if s.national[request.Tenant] {
		return "", &graph.TokenError{Kind: graph.TokenCloud}
	}
	if s.home != "" && request.Tenant != s.home {
		return "", wrongTenant("a managed identity has one tenant")
	}
	if request.UserAssertion != "" {
		if !s.mode.Delegates() {
			return "", &graph.TokenError{Kind: graph.TokenNotDelegable, Cause: graph.CauseDelegationUnsupported}
		}
		if err := checkAssertion(request, time.Now()); err != nil {
			return "", err
		}
	}
	return s.cache.token(ctx, request)
}

// skew is how far the clocks of this machine and the authority may be apart.
const skew = 5 * time.Minute

// checkAssertion refuses what the authority would refuse as well, and an assertion that has expired, which must not get
// a cached token. The authority checks the signature, before there is a token that could be cached.
func checkAssertion(request graph.TokenRequest, now time.Time) *graph.TokenError {
	claims, ok := graph.ReadClaims(request.UserAssertion)
	switch {
	case !ok:
		return assertionRefused(graph.CauseUserAssertion, "the assertion is no JWT")
	case claims.Tenant != request.Tenant:
		return assertionRefused(graph.CauseWrongTenant, "the assertion is of another tenant")
	case !claims.Expires.IsZero() && now.After(claims.Expires.Add(skew)):
		return assertionRefused(graph.CauseUserAssertion, "the assertion has expired")
	}
	return nil
}
