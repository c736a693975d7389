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

// demandNothing are claims that bypass a cache. MSAL holds the tokens of managed identities in one cache of the
// process, for all credential objects, and uses it unless there are claims. It sends those claims nowhere.
const demandNothing = "{}"

// provider requests tokens through azidentity. Each token has a credential object of its own. One object for several
// tenants would request their tokens one after another, so that a tenant that hangs would block the others. Its cache
// would also return refused tokens again, and would not refresh early. Managed identities share a cache nevertheless;
// see demandNothing.
type provider struct {
	mode       Mode
	clientID   string
	homeTenant string
	options    azcore.ClientOptions
	// file is nil where azidentity finds the material by itself.
	file *materialFile
}

// prepare checks what the mode needs, and reads it.
func (p *provider) prepare(options Options, client *http.Client) error {
	var path string
	var parse func([]byte) (*material, error)
	switch options.Mode {
	case ClientSecret:
		path, parse = options.SecretFile, parseSecret
	case Certificate:
		path, parse = options.CertificateFile, parseCertificate
	case WorkloadIdentity:
		path, parse = options.FederatedTokenFile, parseAssertion
	case ManagedIdentity, Default:
		// These also send requests to the machine they run on. Some kinds of machine work with no other client.
		p.options.Transport = client
		if options.Mode == ManagedIdentity {
			if options.HomeTenant == "" {
				return errors.New("managed identity needs its home tenant")
			}
			// The endpoints of managed identities are slow to start. azidentity knows which of their responses say so.
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
	if path == "" && options.Mode == ClientSecret && options.Secret != "" {
		p.file = &materialFile{fixed: &material{secret: options.Secret}}
		return nil
	}
	if path == "" {
		return fmt.Errorf("credential mode %s needs a file", options.Mode)
	}
	file, err := openMaterial(options.Files, path, parse)
	if err != nil {
		return err
	}
	p.file = file
	return nil
}

func (p *provider) version() hash {
	if p.file == nil {
		return hash{}
	}
	return p.file.version()
}

// fetch requests a token once, and once more when the credential of the application was replaced meanwhile.
func (p *provider) fetch(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error) {
	var with *material
	if p.file != nil {
		var err error
		if with, err = p.file.material(); err != nil {
			return azcore.AccessToken{}, unusable(err)
		}
	}
	token, err := p.request(ctx, request, with)
	if err != nil && p.file != nil && refusesClient(err) {
		if replaced, again := p.file.material(); again == nil && replaced.version != with.version {
			token, err = p.request(ctx, request, replaced)
		}
	}
	if err == nil && p.mode == Default && token.Token == request.Refused && request.Claims == "" {
		// The token may be that of a managed identity. The tools of a developer's machine do not accept claims, so claims are
		// not sent with every request.
		request.Claims = demandNothing
		if another, failed := p.request(ctx, request, with); failed == nil {
			token = another
		}
	}
	return token, err
}

func (p *provider) request(ctx context.Context, request graph.TokenRequest, with *material) (azcore.AccessToken, error) {
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
		// Graph can revoke such tokens early, and then sends a claims challenge.
		EnableCAE: true,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return azcore.AccessToken{}, unavailable(ctx.Err())
	case err != nil:
		failed := classify(err, delegated)
		if broken := attemptOf(ctx).failed.Load(); broken != nil && failed.Kind == graph.TokenUnavailable {
			failed = unavailable(broken)
		}
		return azcore.AccessToken{}, failed
	}
	if !token.ExpiresOn.After(time.Now()) {
		return azcore.AccessToken{}, unavailable(errors.New("the token has expired already"))
	}
	// A managed identity gives the token of its own tenant, whatever tenant was requested. A token that cannot be read may
	// be of any tenant.
	switch claims, ok := graph.ReadClaims(token.Token); {
	case !ok:
		return azcore.AccessToken{}, &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseOther, Err: errors.New("the token is no JWT")}
	case claims.Tenant != request.Tenant:
		return azcore.AccessToken{}, wrongTenant("the token is of another tenant")
	case !isForGraph(token.Token):
		return azcore.AccessToken{}, wrongAudience()
	}
	return token, nil
}

// credential makes the object that requests one token.
func (p *provider) credential(request graph.TokenRequest, with *material) (azcore.TokenCredential, error) {
	if request.UserAssertion != "" {
		return p.onBehalfOf(request, with)
	}
	// Only the configured authority gets requests, so there is no need to check with Microsoft that it is a real one.
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
		return azidentity.NewClientAssertionCredential(request.Tenant, p.clientID, with.assertionCallback, &azidentity.ClientAssertionCredentialOptions{
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
	return azidentity.NewOnBehalfOfCredentialWithClientAssertions(request.Tenant, p.clientID, request.UserAssertion, with.assertionCallback, options)
}
