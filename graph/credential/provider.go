package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/m365backup/backupstorage/graph"
)

// scope asks for all permissions that the application, or the user to it, was given.
const scope = "https://graph.microsoft.com/.default"

// demandNothing are claims that pass a cache by. MSAL keeps the tokens of managed identities in one cache of the process,
// whichever object asks, and looks into it unless there are claims, which it then sends nowhere.
const demandNothing = "{}"

// provider asks for tokens by azidentity. Each token has a credential object of its own: one that serves several
// tenants asks for them one after another, so that a tenant that hangs would hang them all, and its cache would give
// refused tokens again and know nothing of a refresh ahead of time. Those of managed identities share a cache all the
// same; see demandNothing.
type provider struct {
	mode       Mode
	clientID   string
	homeTenant string
	options    azcore.ClientOptions
	// keeper is nil where azidentity finds the material by itself.
	keeper *keeper
}

// prepare checks what the mode needs, and reads it.
func (p *provider) prepare(options Options, client *http.Client) error {
	switch options.Mode {
	case ClientSecret:
		p.keeper = &keeper{path: options.SecretFile, parse: parseSecret}
		if options.SecretFile == "" && options.Secret != "" {
			p.keeper.last.Store(&material{secret: options.Secret})
		}
	case Certificate:
		p.keeper = &keeper{path: options.CertificateFile, parse: parseCertificate}
	case WorkloadIdentity:
		p.keeper = &keeper{path: options.FederatedTokenFile, parse: parseAssertion}
	case ManagedIdentity, Default:
		// These ask the machine they run on as well as the authority, and some kinds of machine take no other client.
		p.options.Transport = client
		if options.Mode == ManagedIdentity {
			if options.HomeTenant == "" {
				return errors.New("managed identity needs its home tenant")
			}
			// The endpoints of identities are slow to start, and azidentity knows which of their answers say so.
			p.options.Retry = policy.RetryOptions{}
		}
		_, err := p.credential(graph.TokenRequest{}, nil)
		return err
	default:
		return fmt.Errorf("there is no credential mode %q", options.Mode)
	}
	if options.ClientID == "" {
		return fmt.Errorf("credential mode %s needs a client id", options.Mode)
	}
	if p.keeper.path == "" && p.keeper.last.Load() == nil {
		return fmt.Errorf("credential mode %s needs a file", options.Mode)
	}
	_, err := p.keeper.material()
	return err
}

func (p *provider) version() hash {
	if p.keeper == nil {
		return hash{}
	}
	return p.keeper.version()
}

// fetch asks for a token once, and once more when what the application proves itself with was replaced meanwhile.
func (p *provider) fetch(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error) {
	var with *material
	if p.keeper != nil {
		var err error
		if with, err = p.keeper.material(); err != nil {
			return azcore.AccessToken{}, unusable(err)
		}
	}
	token, err := p.ask(ctx, request, with)
	if err != nil && p.keeper != nil && refusesClient(err) {
		if replaced, again := p.keeper.material(); again == nil && replaced.version != with.version {
			token, err = p.ask(ctx, request, replaced)
		}
	}
	if err == nil && p.mode == Default && token.Token == request.Refused && request.Claims == "" {
		// It may come from a managed identity. The tools of a developer's machine take no claims, so these are not for
		// every request.
		request.Claims = demandNothing
		if another, failed := p.ask(ctx, request, with); failed == nil {
			token = another
		}
	}
	return token, err
}

func (p *provider) ask(ctx context.Context, request graph.TokenRequest, with *material) (azcore.AccessToken, error) {
	delegated := request.UserAssertion != ""
	if p.mode == ManagedIdentity && request.Claims == "" {
		request.Claims = demandNothing
	}
	source, err := p.credential(request, with)
	if err != nil {
		return azcore.AccessToken{}, unusable(errors.New("the credential cannot be used"))
	}
	token, err := source.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{scope}, Claims: request.Claims, TenantID: request.Tenant,
		// Graph may revoke such tokens early, and then says so by a claims challenge.
		EnableCAE: true,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return azcore.AccessToken{}, unavailable(ctx.Err())
	case err != nil:
		return azcore.AccessToken{}, classify(err, delegated)
	}
	if !token.ExpiresOn.After(time.Now()) {
		return azcore.AccessToken{}, unavailable(errors.New("the token has expired already"))
	}
	// A managed identity gives the token of its own tenant, whatever tenant was asked for. A token that cannot be read may
	// be of any tenant.
	switch claims, ok := graph.ReadClaims(token.Token); {
	case !ok:
		return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseOther, Err: errors.New("the token is no JWT")}
	case claims.Tenant != request.Tenant:
		return azcore.AccessToken{}, wrongTenant("the token is of another tenant")
	}
	return token, nil
}

// credential makes the object that asks for one token.
func (p *provider) credential(request graph.TokenRequest, with *material) (azcore.TokenCredential, error) {
	if request.UserAssertion != "" {
		return p.onBehalfOf(request, with)
	}
	// Each authority that is asked is the configured one, so nobody has to be asked whether it is a real one.
	const noDiscovery = true
	switch p.mode {
	case ClientSecret:
		return azidentity.NewClientSecretCredential(request.Tenant, p.clientID, with.secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: p.options, DisableInstanceDiscovery: noDiscovery,
		})
	case Certificate:
		return azidentity.NewClientCertificateCredential(request.Tenant, p.clientID, with.certificates, with.key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: p.options, DisableInstanceDiscovery: noDiscovery,
		})
	case WorkloadIdentity:
		return azidentity.NewClientAssertionCredential(request.Tenant, p.clientID, with.give, &azidentity.ClientAssertionCredentialOptions{
			ClientOptions: p.options, DisableInstanceDiscovery: noDiscovery,
		})
	case ManagedIdentity:
		options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: p.options}
		if p.clientID != "" {
			options.ID = azidentity.ClientID(p.clientID)
		}
		return azidentity.NewManagedIdentityCredential(options)
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: p.options, DisableInstanceDiscovery: noDiscovery, TenantID: p.homeTenant, AdditionallyAllowedTenants: []string{"*"},
	})
}

func (p *provider) onBehalfOf(request graph.TokenRequest, with *material) (azcore.TokenCredential, error) {
	options := &azidentity.OnBehalfOfCredentialOptions{ClientOptions: p.options, DisableInstanceDiscovery: true}
	switch p.mode {
	case ClientSecret:
		return azidentity.NewOnBehalfOfCredentialWithSecret(request.Tenant, p.clientID, request.UserAssertion, with.secret, options)
	case Certificate:
		return azidentity.NewOnBehalfOfCredentialWithCertificate(request.Tenant, p.clientID, request.UserAssertion, with.certificates, with.key, options)
	}
	return azidentity.NewOnBehalfOfCredentialWithClientAssertions(request.Tenant, p.clientID, request.UserAssertion, with.give, options)
}
