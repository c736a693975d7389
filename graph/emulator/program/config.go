// Package program runs the emulator as a program, or as a part of one: it reads flags, seeds and fault rules, makes
// certificates, and listens. Package emulator itself needs nothing outside of the standard library.
package program

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// The scenarios: what the tenant of requests without a token holds.
const (
	// ScenarioDemo is the small company of [emulator.TenantDemo].
	ScenarioDemo = "demo"
	// ScenarioTests is the empty [emulator.TenantA].
	ScenarioTests = "tests"
)

// Config is how the emulator runs. Its tags are those of the flags.
type Config struct {
	// FlagPrefix stands before the names of flags in errors, such as "emulator-" for --emulator-listen.
	FlagPrefix string `kong:"-"`

	Listen      string `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Address to listen on, ${default} without it. Port 0 selects a free one; the first line of the output says which. The control API under /_emulator asks for no credential: keep the address on this machine, or in a network of tests."`
	ExternalURL string `placeholder:"URL" help:"Scheme and host under which clients reach the emulator, for next links and the token authority. Without it: what a request was made to, and what X-Forwarded-Proto says."`

	TLSCertificateFile string `name:"tls-certificate-file" group:"TLS" placeholder:"PATH" help:"PEM file with a certificate and those between it and its root."`
	TLSKeyFile         string `name:"tls-key-file" group:"TLS" placeholder:"PATH" help:"PEM file with the private key of the certificate."`
	TLSSelfSigned      string `name:"tls-self-signed" group:"TLS" placeholder:"PATH" help:"Make a certificate for this machine, and write it to PATH for clients to trust. Credentials of Microsoft's SDKs want https."`

	Scenario string   `group:"Content" placeholder:"NAME" help:"Tenant of requests without a token: \"demo\", a small company with a month of backups, or \"tests\", tenant A, which has nothing. All tenants are there either way. Without it: the tenant of the seed when there is one alone, else demo."`
	Tenant   string   `group:"Content" placeholder:"GUID" help:"Another tenant of requests without a token."`
	Seed     []string `group:"Content" placeholder:"PATH" help:"YAML or JSON file with the content of a tenant, or of several: people, sites, groups, policies, mail, files, applications. Can be given several times."`
	Faults   string   `group:"Content" placeholder:"PATH" help:"YAML or JSON file with fault rules."`
	Record   []string `group:"Content" placeholder:"WHAT" help:"What the ledger keeps besides its usual: \"headers\", \"bodies\". Secrets are left out."`

	RequireToken  bool          `group:"Tokens" help:"Refuse requests to Graph without a token of the emulator's own token authority, with 401 as Graph does."`
	TokenLifetime time.Duration `group:"Tokens" default:"1h" placeholder:"DURATION" help:"How long its tokens are good, in real time; ${default} without it."`

	ClockStart   string            `group:"Clock" placeholder:"TIME" help:"Emulated time at the start, such as 2030-01-02T03:04:05Z. Without it: now."`
	ClockSpeed   float64           `group:"Clock" default:"60" placeholder:"N" help:"Emulated seconds in a real one, ${default} without it."`
	ClockStopped bool              `group:"Clock" help:"Let the clock stand still until it is moved."`
	Length       map[string]string `group:"Clock" placeholder:"STEP=DURATION" mapsep:"," help:"Emulated length of an asynchronous step, such as protect=1m,restore.run=30s. Steps: cancelOffboard, dataStore, job, protect, reevaluate, remove, restore.activate, restore.browse, restore.queue, restore.resolve, restore.run, rule, unprotect."`
}

// options are those of the emulator, with the seeds of the files.
func (c *Config) options() (emulator.Options, error) {
	o := emulator.Options{
		ExternalURL: c.ExternalURL, RequireToken: c.RequireToken, TokenLifetime: c.TokenLifetime,
		Speed: c.ClockSpeed, Stopped: c.ClockStopped, DefaultTenant: c.Tenant,
	}
	if c.Scenario != "" && c.Scenario != ScenarioDemo && c.Scenario != ScenarioTests {
		return o, fmt.Errorf("--%sscenario must be %q or %q", c.FlagPrefix, ScenarioDemo, ScenarioTests)
	}
	if c.ClockStart != "" {
		var err error
		if o.Start, err = time.Parse(time.RFC3339, c.ClockStart); err != nil {
			return o, errors.New("--clock-start must be a time such as 2030-01-02T03:04:05Z")
		}
	}
	for name, text := range c.Length {
		d, err := time.ParseDuration(text)
		if err != nil {
			return o, fmt.Errorf("--length %s must be a length of time such as 90s or 1h30m", name)
		}
		if err := o.Lengths.Set(name, d); err != nil {
			return o, fmt.Errorf("--length: %w", err)
		}
	}
	for _, path := range c.Seed {
		seeds, err := ReadSeeds(path)
		if err != nil {
			return o, fmt.Errorf("--%sseed: %w", c.FlagPrefix, err)
		}
		o.Seeds = append(o.Seeds, seeds...)
	}
	if o.DefaultTenant == "" {
		o.DefaultTenant = c.tenant(o.Seeds)
	}
	return o, nil
}

// tenant is that of requests without a token, when no flag says which.
func (c *Config) tenant(seeds []emulator.Seed) string {
	switch {
	case c.Scenario == ScenarioTests:
		return emulator.TenantA
	case c.Scenario == "" && len(seeds) == 1:
		return seeds[0].Tenant
	}
	return emulator.TenantDemo
}

// New makes the emulator.
func (c *Config) New(onReset func()) (*emulator.Emulator, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	o.OnReset = onReset
	var what emulator.Recording
	for _, name := range c.Record {
		switch name {
		case "headers":
			what.Headers = true
		case "bodies":
			what.Bodies = true
		default:
			return nil, errors.New("--record must be headers, bodies, or both with a comma between")
		}
	}
	e, err := emulator.Open(o)
	if err != nil {
		return nil, err
	}
	if err := e.Record("", what); err != nil {
		return nil, err
	}
	if c.Faults == "" {
		return e, nil
	}
	if err := loadFaults(e, c.Faults); err != nil {
		return nil, fmt.Errorf("--%sfaults: %w", c.FlagPrefix, err)
	}
	return e, nil
}

// checkTLS refuses flags that contradict each other.
func (c *Config) checkTLS() error {
	if (c.TLSCertificateFile == "") != (c.TLSKeyFile == "") {
		return errors.New("--tls-certificate-file and --tls-key-file must be set both, or none of them")
	}
	if c.TLSSelfSigned != "" && c.TLSCertificateFile != "" {
		return errors.New("--tls-self-signed and --tls-certificate-file exclude each other")
	}
	return nil
}

// hosts are the names and addresses of a certificate that the program makes.
func (c *Config) hosts(listening net.Addr) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if host, _, err := net.SplitHostPort(listening.String()); err == nil {
		hosts = append(hosts, host)
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if _, rest, found := strings.Cut(c.ExternalURL, "://"); found {
		if host, _, err := net.SplitHostPort(rest); err == nil {
			rest = host
		}
		hosts = append(hosts, rest)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
