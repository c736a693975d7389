package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
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
	mode                 string
	authority            string
	clientID             string
	homeTenant           string
	secretFile           string
	certificateFile      string
	nationalCloudTenants string

	// secret and federatedTokenFile come only from the environment: a command line can be read by other users of the
	// machine, and Kubernetes sets the variable with the path of the token.
	secret             string
	federatedTokenFile string
	national           []string
}

func (c *credentialConfig) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&c.mode, "graph-credential", credentialNone, "credential for the upstream: \"client-secret\", \"certificate\", \"workload-identity\", \"managed-identity\", \"default\" (the chain of azidentity), or \"none\" for the emulator and other upstreams that do not check signatures of tokens")
	flags.StringVar(&c.authority, "graph-authority", "", "https URL of the token authority; the default is Microsoft's")
	flags.StringVar(&c.clientID, "graph-client-id", "", "client id of the application, or of a user-assigned managed identity; the default is AZURE_CLIENT_ID")
	flags.StringVar(&c.homeTenant, "graph-home-tenant", "", "tenant (GUID) of the managed identity, which serves only this tenant; the default is AZURE_TENANT_ID")
	flags.StringVar(&c.secretFile, "graph-client-secret-file", "", "file with the client secret, read again when it changes; the default is the secret in AZURE_CLIENT_SECRET")
	flags.StringVar(&c.certificateFile, "graph-certificate-file", "", "PEM or PKCS#12 file with certificate and RSA key, read again when it changes; the default is AZURE_CLIENT_CERTIFICATE_PATH")
	flags.StringVar(&c.nationalCloudTenants, "national-cloud-tenants", "", "tenants (GUIDs, separated by commas) in national clouds, where the API does not exist; their calls are refused")
}

// real reports whether there is a credential that gives access to something.
func (c *credentialConfig) real() bool { return c.mode != credentialNone }

// check refuses flags that contradict each other, and fills in the AZURE_ variables that azidentity reads too.
func (c *credentialConfig) check(endpoint *url.URL, getenv func(string) string) error {
	mode := credential.Mode(c.mode)
	if c.real() && !slices.Contains(credential.Modes, mode) {
		return fmt.Errorf("--graph-credential %q must be %s or one of %v", c.mode, credentialNone, credential.Modes)
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
		return fmt.Errorf("--graph-credential %s does not work with the emulator: set --graph-endpoint, such as https://%s/v1.0", c.mode, publicGraph)
	}
	if endpoint.Scheme != "https" {
		return fmt.Errorf("--graph-endpoint %s must use https: with http the token would be sent unencrypted", host(endpoint))
	}
	if err := c.checkAuthority(endpoint); err != nil {
		return err
	}
	return c.complete(mode, getenv)
}

// checkUse refuses flags that the mode does not use: a person who sets them expects an effect.
func (c *credentialConfig) checkUse(mode credential.Mode) error {
	app := []credential.Mode{credential.ClientSecret, credential.Certificate, credential.WorkloadIdentity}
	for _, f := range []struct {
		name, value string
		modes       []credential.Mode
	}{
		// Not for the default chain: it also asks the machine it runs on, and that gives tokens for the real Graph only.
		{"graph-authority", c.authority, app},
		{"graph-client-id", c.clientID, append(app, credential.ManagedIdentity)},
		{"graph-home-tenant", c.homeTenant, []credential.Mode{credential.ManagedIdentity, credential.Default}},
		{"graph-client-secret-file", c.secretFile, []credential.Mode{credential.ClientSecret}},
		{"graph-certificate-file", c.certificateFile, []credential.Mode{credential.Certificate}},
		{"national-cloud-tenants", c.nationalCloudTenants, credential.Modes},
	} {
		if f.value != "" && !slices.Contains(f.modes, mode) {
			return fmt.Errorf("--%s has no effect with --graph-credential %s: remove it", f.name, c.mode)
		}
	}
	return nil
}

// checkAuthority refuses an authority and an endpoint that belong to different clouds.
func (c *credentialConfig) checkAuthority(endpoint *url.URL) error {
	u, err := credential.ParseAuthority(cmp.Or(c.authority, credential.PublicAuthority))
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
func (c *credentialConfig) complete(mode credential.Mode, getenv func(string) string) error {
	fill := func(value *string, name string) {
		if *value == "" {
			*value = getenv(name)
		}
	}
	if mode != credential.Default {
		fill(&c.clientID, "AZURE_CLIENT_ID")
	}
	needed := []struct{ value, says string }{{c.clientID, "--graph-client-id, or AZURE_CLIENT_ID in the environment"}}
	switch mode {
	case credential.ClientSecret:
		if c.secretFile == "" {
			c.secret = getenv("AZURE_CLIENT_SECRET")
		}
		needed = append(needed, struct{ value, says string }{c.secretFile + c.secret, "--graph-client-secret-file, or AZURE_CLIENT_SECRET in the environment"})
	case credential.Certificate:
		fill(&c.certificateFile, "AZURE_CLIENT_CERTIFICATE_PATH")
		needed = append(needed, struct{ value, says string }{c.certificateFile, "--graph-certificate-file, or AZURE_CLIENT_CERTIFICATE_PATH in the environment"})
	case credential.WorkloadIdentity:
		c.federatedTokenFile = getenv("AZURE_FEDERATED_TOKEN_FILE")
		needed = append(needed, struct{ value, says string }{c.federatedTokenFile, "AZURE_FEDERATED_TOKEN_FILE in the environment"})
	case credential.ManagedIdentity:
		fill(&c.homeTenant, "AZURE_TENANT_ID")
		needed = []struct{ value, says string }{{c.homeTenant, "--graph-home-tenant, or AZURE_TENANT_ID in the environment"}}
	case credential.Default:
		needed = nil
	}
	for _, n := range needed {
		if n.value == "" {
			return fmt.Errorf("--graph-credential %s needs %s", c.mode, n.says)
		}
	}
	return c.readTenants()
}

func (c *credentialConfig) readTenants() error {
	c.homeTenant = strings.ToLower(c.homeTenant)
	if c.homeTenant != "" && !graph.IsGUID(c.homeTenant) {
		return errors.New("--graph-home-tenant must be a GUID")
	}
	if c.nationalCloudTenants == "" {
		return nil
	}
	for tenant := range strings.SplitSeq(c.nationalCloudTenants, ",") {
		tenant = strings.ToLower(strings.TrimSpace(tenant))
		if !graph.IsGUID(tenant) {
			return fmt.Errorf("--national-cloud-tenants: %q is not a GUID", tenant)
		}
		c.national = append(c.national, tenant)
	}
	return nil
}

// tokens returns the token source, and the function that closes it.
func (c *config) tokens(logger *slog.Logger) (source graph.TokenSource, stop func(), err error) {
	if !c.credential.real() {
		return graph.Unsigned{Lenient: c.emulatorLenient}, func() {}, nil
	}
	s, err := credential.New(credential.Options{
		Mode:                 credential.Mode(c.credential.mode),
		Authority:            c.credential.authority,
		RootCAs:              c.roots,
		ClientID:             c.credential.clientID,
		HomeTenant:           c.credential.homeTenant,
		SecretFile:           c.credential.secretFile,
		Secret:               c.credential.secret,
		CertificateFile:      c.credential.certificateFile,
		FederatedTokenFile:   c.credential.federatedTokenFile,
		NationalCloudTenants: c.credential.national,
		Logger:               logger,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("--graph-credential %s: %w", c.credential.mode, err)
	}
	return s, s.Close, nil
}
