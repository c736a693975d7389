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

// credentialNone is the value of --graph-credential for upstreams that check no token.
const credentialNone = "none"

// publicGraph is Graph's host in the global cloud, the only one where the API exists.
const publicGraph = "graph.microsoft.com"

// nationalHosts are the hosts of Graph and of token authorities in other clouds.
var nationalHosts = []string{
	"graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn",
	"login.microsoftonline.us", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn",
}

// credentialConfig is what flags and environment say about the credential for the upstream.
type credentialConfig struct {
	mode                 string
	authority            string
	clientID             string
	homeTenant           string
	secretFile           string
	certificateFile      string
	nationalCloudTenants string

	// secret and federatedTokenFile come from the environment alone: a secret has no place on a command line, and
	// Kubernetes says where the token is.
	secret             string
	federatedTokenFile string
	national           []string
}

func (c *credentialConfig) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&c.mode, "graph-credential", credentialNone, "credential for the upstream: \"none\", for the emulator and other upstreams that check no token; \"default\", \"client-secret\", \"certificate\", \"workload-identity\" or \"managed-identity\"")
	flags.StringVar(&c.authority, "graph-authority", "", "https URL of the token authority; Microsoft's unless given")
	flags.StringVar(&c.clientID, "graph-client-id", "", "client id of the application, or of a user-assigned managed identity; AZURE_CLIENT_ID unless given")
	flags.StringVar(&c.homeTenant, "graph-home-tenant", "", "tenant (GUID) of the managed identity, the only one that it serves; AZURE_TENANT_ID unless given")
	flags.StringVar(&c.secretFile, "graph-client-secret-file", "", "file with the client secret, read again when it changes; the secret in AZURE_CLIENT_SECRET unless given")
	flags.StringVar(&c.certificateFile, "graph-certificate-file", "", "PEM or PKCS#12 file with certificate and key, read again when it changes; AZURE_CLIENT_CERTIFICATE_PATH unless given")
	flags.StringVar(&c.nationalCloudTenants, "national-cloud-tenants", "", "tenants (GUIDs, with commas) of national clouds, for which no token is asked")
}

// real tells whether there is a credential that opens something.
func (c *credentialConfig) real() bool { return c.mode != credentialNone }

// check refuses what does not fit together, and fills in what azidentity's users have in the environment.
func (c *credentialConfig) check(endpoint *url.URL, getenv func(string) string) error {
	mode := credential.Mode(c.mode)
	if c.real() && !slices.Contains(credential.Modes, mode) {
		return fmt.Errorf("--graph-credential %q is neither %s nor one of %v", c.mode, credentialNone, credential.Modes)
	}
	if err := c.checkUse(mode); err != nil {
		return err
	}
	if endpoint != nil && slices.Contains(nationalHosts, host(endpoint)) {
		return fmt.Errorf("--graph-endpoint %s is that of a national cloud, where the API does not exist", host(endpoint))
	}
	if !c.real() {
		return nil
	}
	if endpoint == nil {
		return fmt.Errorf("--graph-credential %s is for no emulator: say which --graph-endpoint, such as https://%s/v1.0", c.mode, publicGraph)
	}
	if endpoint.Scheme != "https" {
		return fmt.Errorf("--graph-endpoint %s has no https: a token must not travel in clear", host(endpoint))
	}
	if err := c.checkAuthority(endpoint); err != nil {
		return err
	}
	return c.complete(mode, getenv)
}

// checkUse refuses flags that the mode does not use: whoever gave them expects something else.
func (c *credentialConfig) checkUse(mode credential.Mode) error {
	app := []credential.Mode{credential.ClientSecret, credential.Certificate, credential.WorkloadIdentity}
	for _, f := range []struct {
		name, value string
		modes       []credential.Mode
	}{
		// The default chain also asks the machine it runs on, whose tokens are of the real Graph, whatever is said here.
		{"graph-authority", c.authority, app},
		{"graph-client-id", c.clientID, append(app, credential.ManagedIdentity)},
		{"graph-home-tenant", c.homeTenant, []credential.Mode{credential.ManagedIdentity, credential.Default}},
		{"graph-client-secret-file", c.secretFile, []credential.Mode{credential.ClientSecret}},
		{"graph-certificate-file", c.certificateFile, []credential.Mode{credential.Certificate}},
		{"national-cloud-tenants", c.nationalCloudTenants, credential.Modes},
	} {
		if f.value != "" && !slices.Contains(f.modes, mode) {
			return fmt.Errorf("--%s has no use with --graph-credential %s", f.name, c.mode)
		}
	}
	return nil
}

// checkAuthority refuses an authority of another cloud than the endpoint's.
func (c *credentialConfig) checkAuthority(endpoint *url.URL) error {
	u, err := credential.ParseAuthority(cmp.Or(c.authority, credential.PublicAuthority))
	if err != nil {
		return fmt.Errorf("--graph-authority: %w", err)
	}
	authority := host(u)
	if slices.Contains(nationalHosts, authority) {
		return fmt.Errorf("--graph-authority %s is that of a national cloud, where the API does not exist", authority)
	}
	if graphHost := host(endpoint); graphHost == publicGraph && "https://"+authority != credential.PublicAuthority || graphHost != publicGraph && credential.IsPublicAuthority(authority) {
		return fmt.Errorf("--graph-endpoint %s and token authority %s are of different clouds: a token of one has no place in the other", graphHost, authority)
	}
	return nil
}

func host(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

// complete fills in what azidentity's users have in the environment, and checks that the mode has all that it needs.
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
		return errors.New("--graph-home-tenant is no GUID")
	}
	if c.nationalCloudTenants == "" {
		return nil
	}
	for tenant := range strings.SplitSeq(c.nationalCloudTenants, ",") {
		tenant = strings.ToLower(strings.TrimSpace(tenant))
		if !graph.IsGUID(tenant) {
			return fmt.Errorf("--national-cloud-tenants: %q is no GUID", tenant)
		}
		c.national = append(c.national, tenant)
	}
	return nil
}

// tokens returns the token source, and what closes it.
func (c *config) tokens(logger *slog.Logger) (source graph.TokenSource, stop func(), err error) {
	if !c.credential.real() {
		return graph.Unsigned{}, func() {}, nil
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
