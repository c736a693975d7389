package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/internal/reload"
)

// credentialNone is the value of --graph-credential for upstreams that do not check signatures of tokens.
const credentialNone = "none"

// publicGraph is the host of Graph in the global cloud. The API exists only there.
const publicGraph = "graph.microsoft.com"

// nationalHosts are the hosts of Graph and of the token authorities in national clouds.
var nationalHosts = []string{
	"graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn",
	"login.microsoftonline.us", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn",
}

// credentialConfig holds the flags and environment variables for the credential of the upstream.
type credentialConfig struct {
	Mode                 string `name:"graph-credential" default:"none" placeholder:"KIND" help:"credential for the upstream: \"client-secret\", \"certificate\", \"workload-identity\", \"managed-identity\", \"default\" (the chain of azidentity), or \"none\" for the emulator and other upstreams that do not check tokens" page:"kind of credential: ~client-secret~, ~certificate~, ~workload-identity~, ~managed-identity~, ~default~ (the chain of azidentity), or ~none~ for the emulator and other upstreams that do not check signatures of tokens. See [Microsoft Graph](microsoft-graph.md#credentials)"`
	ClientID             string `name:"graph-client-id" placeholder:"ID" help:"client id of the application, or of a user-assigned managed identity; the default is AZURE_CLIENT_ID"`
	SecretFile           string `name:"graph-client-secret-file" placeholder:"PATH" help:"file with the client secret, read again when it changes; the default is the secret in AZURE_CLIENT_SECRET" page:"file with the client secret, [read again when it changes](#files-that-change). Without it: the secret in ~AZURE_CLIENT_SECRET~"`
	CertificateFile      string `name:"graph-certificate-file" placeholder:"PATH" help:"PEM or PKCS#12 file with certificate and RSA key, read again when it changes; the default is AZURE_CLIENT_CERTIFICATE_PATH" page:"PEM or PKCS#12 file with certificate and RSA key, [read again when it changes](#files-that-change). Without it: ~AZURE_CLIENT_CERTIFICATE_PATH~"`
	HomeTenant           string `name:"graph-home-tenant" placeholder:"GUID" help:"tenant of the managed identity, which serves only this tenant; the default is AZURE_TENANT_ID"`
	Authority            string `name:"graph-authority" placeholder:"URL" help:"https URL of the token authority, for tests and private clouds; the default is Microsoft's"`
	NationalCloudTenants string `placeholder:"GUIDS" help:"tenants (GUIDs, separated by commas) in national clouds, where the API does not exist; their calls are refused" page:"tenants (GUIDs, separated by commas) in national clouds, where the API does not exist. Their calls fail with ~CLOUD_NOT_SUPPORTED~, and nothing is sent"`

	// secret and federatedTokenFile come only from the environment: a command line can be read by other users of the
	// machine, and Kubernetes sets the variable with the path of the token.
	secret             string
	federatedTokenFile string
	national           []string
}

// real reports whether there is a credential that gives access to something.
func (c *credentialConfig) real() bool { return c.Mode != credentialNone }

// check refuses flags that contradict each other, and fills in the AZURE_ variables that azidentity reads too.
func (c *credentialConfig) check(endpoint *url.URL, getenv func(string) string, sources map[string]string) error {
	mode := credential.Mode(c.Mode)
	if c.real() && !slices.Contains(credential.Modes, mode) {
		return fmt.Errorf("--graph-credential must be %s or one of %v", credentialNone, credential.Modes)
	}
	if err := c.checkUse(mode); err != nil {
		return err
	}
	if endpoint != nil && slices.Contains(nationalHosts, host(endpoint)) {
		return fmt.Errorf("--graph-endpoint %s belongs to a national cloud, where the API does not exist", host(endpoint))
	}
	if !c.real() {
		return nil
	}
	if endpoint == nil {
		return fmt.Errorf("--graph-credential %s does not work with the emulator: set --graph-endpoint, such as https://%s/v1.0", c.Mode, publicGraph)
	}
	if endpoint.Scheme != "https" {
		return fmt.Errorf("--graph-endpoint %s must use https: with http the token would be sent unencrypted", host(endpoint))
	}
	if err := c.checkAuthority(endpoint); err != nil {
		return err
	}
	return c.complete(mode, getenv, sources)
}

// checkUse refuses flags that the mode does not use: a person who sets them expects an effect.
func (c *credentialConfig) checkUse(mode credential.Mode) error {
	app := []credential.Mode{credential.ClientSecret, credential.Certificate, credential.WorkloadIdentity}
	for _, f := range []struct {
		name, value string
		modes       []credential.Mode
	}{
		// Not for the default chain: it also asks the machine it runs on, and that gives tokens for the real Graph only.
		{"graph-authority", c.Authority, app},
		{"graph-client-id", c.ClientID, append(app, credential.ManagedIdentity)},
		{"graph-home-tenant", c.HomeTenant, []credential.Mode{credential.ManagedIdentity, credential.Default}},
		{"graph-client-secret-file", c.SecretFile, []credential.Mode{credential.ClientSecret}},
		{"graph-certificate-file", c.CertificateFile, []credential.Mode{credential.Certificate}},
		{"national-cloud-tenants", c.NationalCloudTenants, credential.Modes},
	} {
		if f.value != "" && !slices.Contains(f.modes, mode) {
			return fmt.Errorf("--%s has no effect with --graph-credential %s: remove it", f.name, c.Mode)
		}
	}
	return nil
}

// checkAuthority refuses an authority and an endpoint that belong to different clouds.
func (c *credentialConfig) checkAuthority(endpoint *url.URL) error {
	u, err := credential.ParseAuthority(cmp.Or(c.Authority, credential.PublicAuthority))
	if err != nil {
		return fmt.Errorf("--graph-authority: %w", err)
	}
	authority := host(u)
	if slices.Contains(nationalHosts, authority) {
		return fmt.Errorf("--graph-authority %s belongs to a national cloud, where the API does not exist", authority)
	}
	if graphHost := host(endpoint); graphHost == publicGraph && "https://"+authority != credential.PublicAuthority || graphHost != publicGraph && credential.IsPublicAuthority(authority) {
		return fmt.Errorf("--graph-endpoint %s and token authority %s belong to different clouds: a token of one must not be sent to the other", graphHost, authority)
	}
	return nil
}

func host(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

// complete fills in the AZURE_ variables, and checks that the mode has everything it needs.
func (c *credentialConfig) complete(mode credential.Mode, getenv func(string) string, sources map[string]string) error {
	fill := func(value *string, flag, name string) {
		if *value == "" && getenv(name) != "" {
			*value = getenv(name)
			sources[flag] = sourceVariable + name
		}
	}
	if mode != credential.Default {
		fill(&c.ClientID, "graph-client-id", "AZURE_CLIENT_ID")
	}
	needed := []struct{ value, says string }{{c.ClientID, "--graph-client-id, or AZURE_CLIENT_ID in the environment"}}
	switch mode {
	case credential.ClientSecret:
		if c.SecretFile == "" {
			c.secret = getenv("AZURE_CLIENT_SECRET")
		}
		needed = append(needed, struct{ value, says string }{c.SecretFile + c.secret, "--graph-client-secret-file, or AZURE_CLIENT_SECRET in the environment"})
	case credential.Certificate:
		fill(&c.CertificateFile, "graph-certificate-file", "AZURE_CLIENT_CERTIFICATE_PATH")
		needed = append(needed, struct{ value, says string }{c.CertificateFile, "--graph-certificate-file, or AZURE_CLIENT_CERTIFICATE_PATH in the environment"})
	case credential.WorkloadIdentity:
		c.federatedTokenFile = getenv("AZURE_FEDERATED_TOKEN_FILE")
		needed = append(needed, struct{ value, says string }{c.federatedTokenFile, "AZURE_FEDERATED_TOKEN_FILE in the environment"})
	case credential.ManagedIdentity:
		fill(&c.HomeTenant, "graph-home-tenant", "AZURE_TENANT_ID")
		needed = []struct{ value, says string }{{c.HomeTenant, "--graph-home-tenant, or AZURE_TENANT_ID in the environment"}}
	case credential.Default:
		needed = nil
	}
	for _, n := range needed {
		if n.value == "" {
			return fmt.Errorf("--graph-credential %s needs %s", c.Mode, n.says)
		}
	}
	return c.readTenants()
}

func (c *credentialConfig) readTenants() error {
	c.HomeTenant = strings.ToLower(c.HomeTenant)
	if c.HomeTenant != "" && !graph.IsGUID(c.HomeTenant) {
		return errors.New("--graph-home-tenant must be a GUID")
	}
	if c.NationalCloudTenants == "" {
		return nil
	}
	for tenant := range strings.SplitSeq(c.NationalCloudTenants, ",") {
		tenant = strings.ToLower(strings.TrimSpace(tenant))
		if !graph.IsGUID(tenant) {
			return fmt.Errorf("--national-cloud-tenants: value %d is not a GUID", len(c.national)+1)
		}
		c.national = append(c.national, tenant)
	}
	return nil
}

// tokens returns the token source, and the function that closes it.
func (c *config) tokens(logger *slog.Logger, files *reload.Reader) (source graph.TokenSource, stop func(), err error) {
	if !c.Credential.real() {
		return graph.Unsigned{Lenient: c.EmulatorLenient}, func() {}, nil
	}
	s, err := credential.New(credential.Options{
		Mode:                 credential.Mode(c.Credential.Mode),
		Authority:            c.Credential.Authority,
		RootCAs:              c.roots,
		ClientID:             c.Credential.ClientID,
		HomeTenant:           c.Credential.HomeTenant,
		SecretFile:           c.Credential.SecretFile,
		Secret:               c.Credential.secret,
		CertificateFile:      c.Credential.CertificateFile,
		FederatedTokenFile:   c.Credential.federatedTokenFile,
		NationalCloudTenants: c.Credential.national,
		Logger:               logger,
		Files:                files,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("--graph-credential %s: %w", c.Credential.Mode, err)
	}
	return s, s.Close, nil
}
