package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/graph/emulator/program"
	"github.com/m365backup/backupstorage/internal/traces"
)

// minResponseBytes is the least --max-response-bytes: the largest response of Graph's, three times, for it is held as
// bytes, as messages and as the bytes of the response.
const minResponseBytes = 3 * 8 << 20

// minReloadInterval is the least --reload-interval.
const minReloadInterval = 10 * time.Millisecond

const (
	// onEmulator is the value of --graph-endpoint that selects the built-in emulator.
	onEmulator = "emulator"
	// wirePathOn and wirePathOff are the values of --wire-path.
	wirePathOn, wirePathOff = "on", "off"
	// freePort is the default of --emulator-listen: any free port on loopback.
	freePort = "127.0.0.1:0"
)

// config holds the values of flags and environment variables. A flag wins over its variable.
//
// Its fields are in the order of the groups of the help. The tag secret hides a value from the config command. The tag
// page is the text of docs/configuration.md where that says more than the help; ~ stands for its backquotes.
type config struct {
	serving    `embed:"" group:"Serving"`
	TLS        tlsConfig `embed:"" prefix:"tls-" group:"TLS"`
	callers    `embed:"" group:"Callers"`
	limits     `embed:"" group:"Limits"`
	adminPort  `embed:"" group:"Admin port"`
	webFlags   `embed:"" group:"Web"`
	graphFlags `embed:"" group:"Graph"`
	Credential credentialConfig `embed:"" group:"Graph"`
	replicas   `embed:"" group:"Several replicas"`
	Redis      redisConfig `embed:"" prefix:"redis-" group:"Several replicas"`
	emulation  `embed:"" group:"Emulator"`

	// sources says where the values come from, by flag; those that are not there are defaults.
	sources map[string]string
	// flags are those of the command.
	flags []*kong.Flag
	// getenv is the environment, for the OTEL_ variables.
	getenv        func(string) string
	pageTokenKeys [][]byte
	roots         *x509.CertPool
	rootsExpire   time.Time
	unixMode      os.FileMode
}

type serving struct {
	Listen         string        `default:"127.0.0.1:50051" placeholder:"ADDRESS" help:"address that serves gRPC, or unix:///path for a socket of this machine" page:"address that serves gRPC, or ~unix:///path~ for a socket of this machine. See [what other machines can reach](#what-other-machines-can-reach)"`
	UnixMode       string        `default:"0600" placeholder:"MODE" help:"mode of the socket of --listen unix:///path"`
	DrainWait      time.Duration `default:"0s" placeholder:"DURATION" help:"time between health NOT_SERVING and the end of connections when the server stops"`
	DrainTimeout   time.Duration `default:"30s" placeholder:"DURATION" help:"time that calls under way have to end when the server stops"`
	ReloadInterval time.Duration `default:"10s" placeholder:"DURATION" help:"how often the server looks whether the contents of its files have changed" page:"how often the server looks whether the contents of its [files](#files-that-change) have changed"`
	Reflection     bool          `default:"true" help:"serve gRPC reflection, which grpcurl uses" page:"serve gRPC reflection, which grpcurl uses; without it, see [how grpcurl gets the schema](../clients/README.md#from-a-shell)"`
}

type callers struct {
	RightsFile     string `placeholder:"PATH" help:"YAML file that says who may call and what they may do, read again when it changes; without it everybody who reaches the server may do everything" page:"[rights file](callers.md): who may call, and what they may do, [read again when it changes](#files-that-change). Without it everybody who reaches the server may do everything"`
	Audit          string `placeholder:"MODE" help:"audit lines for each write and each denied call: \"off\", \"best-effort\", or \"required\": no line, no write; must be said with --rights-file, else the default is \"off\"" page:"[audit lines](callers.md#audit) for each write and each denied call: ~off~, ~best-effort~, or ~required~: no line, no write. It must be said with ~--rights-file~; without it: ~off~"`
	AuditFile      string `placeholder:"PATH" help:"file for the audit lines, opened anew on SIGHUP; - for standard output"`
	AuditReads     bool   `help:"audit lines for reads that show people or content, too" page:"audit lines for reads that show people or content, too: on behalf of users, browse, search"`
	AuditSync      bool   `help:"make each audit line survive the loss of power, which takes some milliseconds" page:"make each audit line survive the loss of power. It takes some milliseconds a line; a line that takes more than 100 ms counts as not written"`
	LogTenants     string `placeholder:"HOW" help:"tenants in the lines of calls: \"none\", \"hash\", or \"id\"; the default is \"id\" with --rights-file, else \"none\"" page:"tenants in the lines of calls: ~none~, ~hash~ (of the GUID), or ~id~. Without it: ~id~ with ~--rights-file~, else ~none~"`
	DefaultTenant  string `placeholder:"GUID" help:"tenant of calls without x-tenant-id; on the emulator the default is that of --emulator-scenario" page:"tenant (GUID) of calls without ~x-tenant-id~. Without it: that of ~--emulator-scenario~ on the emulator, and ~TENANT_REQUIRED~ elsewhere"`
	InsecureListen bool   `help:"allow other machines to reach Graph through --listen without an identity, and to reach --emulator-listen"`
}

type limits struct {
	MaxCalls              int    `default:"1000" placeholder:"N" help:"maximum number of calls under way; one tenant alone can have half of it; each takes 40 to 100 KB" page:"maximum number of calls under way. One tenant alone can have half of them, two tenants a third each. The server refuses further calls at once with ~SERVER_OVERLOADED~. Each read under way takes 40 to 100 KB of memory: the first 128 have a connection to Graph each, further ones share HTTP/2 connections"`
	MaxWaits              int    `default:"20000" placeholder:"N" help:"maximum number of streams, waits and watches under way, besides --max-calls; one tenant alone can have half of it" page:"maximum number of [streams, waits and watches](waiting.md) under way, besides ~--max-calls~. Tenants share them like calls, and a connection can have 50. The server refuses further ones at once with ~SERVER_OVERLOADED~"`
	MaxConnections        int    `default:"10000" placeholder:"N" help:"maximum number of connections; the server closes further ones at once"`
	MaxConnectionsPerPeer int    `default:"0" placeholder:"N" help:"maximum number of connections of one IP address; 0 is a tenth of --max-connections"`
	WirePath              string `default:"on" placeholder:"MODE" help:"how lists and single resources are encoded: \"on\": straight from Graph's JSON, or \"off\": by messages, for an incident in which the former is in doubt" page:"how lists and single resources are encoded: ~on~: straight from Graph's JSON, or ~off~: by messages, for an incident in which the former is in doubt. The responses are the same; a large page costs twice the CPU"`
	MaxResponseBytes      int64  `default:"0" placeholder:"BYTES" help:"maximum number of bytes of responses that calls hold together; 0 is 256 MiB, or a quarter of the memory limit if that is less" page:"maximum number of bytes of responses that all calls hold together, from Graph and for clients that have not taken them yet, and of resources that are waited for; tenants share them like calls. At least 25165824. 0 is 256 MiB, or a quarter of the memory limit (~GOMEMLIMIT~, else nine tenths of the container's) if that is less"`
}

type adminPort struct {
	AdminListen string `default:"127.0.0.1:50052" placeholder:"ADDRESS" help:"address that serves metrics, probes and version over HTTP; empty for none; a default that is taken is replaced by a free port" page:"address of the [admin port](operation.md#admin-port), which serves metrics, probes and version over HTTP; empty (~--admin-listen=~) for none. A default that is taken is replaced by a free port"`
	AdminHosts  string `placeholder:"NAMES" help:"host names, separated by commas, by which the admin port may be asked, besides IP addresses and localhost"`
	AdminPprof  bool   `help:"serve profiles of the process on the admin port, to this machine only"`
}

type graphFlags struct {
	GraphEndpoint    string `default:"emulator" placeholder:"URL" help:"upstream: \"emulator\", or a URL that ends in the version, such as https://graph.microsoft.com/v1.0; no default when other machines can reach --listen" page:"upstream: ~emulator~, or a URL that ends in the version, ~/v1.0~. There is no default when [other machines can reach](#what-other-machines-can-reach) the server"`
	ExpectUpstream   string `placeholder:"NAME" help:"\"graph\": health says NOT_SERVING unless the upstream is Microsoft Graph"`
	GraphCAFile      string `name:"graph-ca-file" placeholder:"PATH" help:"PEM file with the root certificates to trust for the upstream and the token authority; replaces those of the machine"`
	InsecureUpstream bool   `help:"allow an upstream on another machine without a credential"`
}

type replicas struct {
	PageTokenKey     string            `secret:"" placeholder:"KEYS" help:"keys for page tokens, each 32 bytes in base64, separated by commas; the first seals new tokens, all can open tokens; the default is a random key" page:"keys for page tokens, see [below](#page-token-keys). Without them: a random key"`
	PageTokenKeyFile string            `placeholder:"PATH" help:"file with the keys for page tokens, separated by commas or line ends, read again when it changes" page:"file with the keys for page tokens, separated by commas or line ends, [read again when it changes](#files-that-change)"`
	Idempotency      idempotencyConfig `embed:""`
}

type emulation struct {
	EmulatorListen   string `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"address of the emulator; port 0 selects a free port"`
	EmulatorScenario string `default:"demo" placeholder:"NAME" help:"tenant of calls without x-tenant-id on the emulator: \"demo\", a small company with a month of backups, or \"tests\", tenant A, which has nothing; all tenants are there either way" page:"tenant of calls without ~x-tenant-id~ on the emulator: ~demo~, a [small company with a month of backups](../graph/emulator/README.md#the-demo), or ~tests~, tenant A, which has nothing. All tenants are there either way"`
	EmulatorSeed     string `placeholder:"PATH" help:"YAML or JSON file with tenants that the emulator has at its start" page:"YAML or JSON file with [tenants](../graph/emulator/README.md#seed) that the emulator has at its start: their people, sites, groups, policies"`
	EmulatorLenient  bool   `help:"let calls without x-user-assertion do on the emulator what Graph allows to signed-in administrators only" page:"let calls without ~x-user-assertion~ do on the emulator what Graph allows to signed-in administrators only, and show them names of units"`
	EmulatorFaults   string `placeholder:"PATH" help:"file with the fault rules that the emulator has at its start" page:"file with the [fault rules](../graph/emulator/README.md) that the emulator has at its start"`
}

// maxReads is how many reads of Graph are under way at once: as many as calls. Both are shared by the same rule, so
// that a call that got a place does not wait here for those of other tenants.
func (c *config) maxReads() int { return max(8, c.MaxCalls) }

// check checks all values together, so that a server never starts half-configured. It fills in what depends on others.
func (c *config) check(getenv func(string) string) error {
	if err := c.checkAddresses(); err != nil {
		return err
	}
	endpoint, err := c.checkEndpoint()
	if err != nil {
		return err
	}
	if err := c.Credential.check(endpoint, getenv, c.sources); err != nil {
		return err
	}
	if err := c.TLS.check(); err != nil {
		return err
	}
	if err := c.Redis.check(); err != nil {
		return err
	}
	if err := c.checkCallers(); err != nil {
		return err
	}
	if err := c.checkReach(); err != nil {
		return err
	}
	if err := c.checkWeb(); err != nil {
		return err
	}
	if c.DefaultTenant != "" && !graph.IsGUID(c.DefaultTenant) {
		return errors.New("--default-tenant must be a GUID")
	}
	if c.DefaultTenant == "" && c.GraphEndpoint == onEmulator {
		c.DefaultTenant = emulator.TenantDemo
		if c.EmulatorScenario == program.ScenarioTests {
			c.DefaultTenant = emulator.TenantA
		}
	}
	if err := c.checkLimits(); err != nil {
		return err
	}
	if err := c.checkAdmin(); err != nil {
		return err
	}
	if err := c.Idempotency.check(c.Redis.on()); err != nil {
		return err
	}
	if _, err := traces.Asked(getenv); err != nil {
		return err
	}
	if err := c.readKeys(); err != nil {
		return err
	}
	return c.readRoots()
}

func (c *config) checkLimits() error {
	if c.MaxWaits < 1 {
		return fmt.Errorf("--max-waits is %d and must be 1 or more", c.MaxWaits)
	}
	if c.MaxCalls < 1 {
		return errors.New("--max-calls must be 1 or more")
	}
	if c.MaxConnections < 1 || c.MaxConnectionsPerPeer < 0 || c.MaxConnectionsPerPeer > c.MaxConnections {
		return errors.New("--max-connections must be 1 or more, and --max-connections-per-peer from 0 to --max-connections")
	}
	if c.MaxConnectionsPerPeer == 0 {
		c.MaxConnectionsPerPeer = max(1, c.MaxConnections/10)
	}
	// With less, the largest response that Graph can send would never fit.
	if c.MaxResponseBytes != 0 && c.MaxResponseBytes < minResponseBytes {
		return fmt.Errorf("--max-response-bytes must be 0 or at least %d", minResponseBytes)
	}
	if c.WirePath != wirePathOn && c.WirePath != wirePathOff {
		return fmt.Errorf("--wire-path must be %q or %q", wirePathOn, wirePathOff)
	}
	if c.DrainWait < 0 || c.DrainTimeout < 0 {
		return errors.New("--drain-wait and --drain-timeout must not be negative")
	}
	if c.ReloadInterval < minReloadInterval {
		return fmt.Errorf("--reload-interval must be %v or more", minReloadInterval)
	}
	return nil
}

// endpointForPeople is the endpoint without a password.
func (c *config) endpointForPeople() string {
	if u, err := url.Parse(c.GraphEndpoint); err == nil {
		return u.Redacted()
	}
	return "set"
}

// isGraph reports whether the upstream is Microsoft Graph itself.
func (c *config) isGraph() bool {
	u, err := url.Parse(c.GraphEndpoint)
	return err == nil && u.Scheme == "https" && host(u) == publicGraph
}

// checkEndpoint returns the URL of the upstream; nil for the emulator.
func (c *config) checkEndpoint() (*url.URL, error) {
	if c.ExpectUpstream != "" && c.ExpectUpstream != "graph" {
		return nil, errors.New("--expect-upstream must be \"graph\", or not be set")
	}
	if c.GraphEndpoint == onEmulator {
		return nil, nil
	}
	u, err := url.Parse(c.GraphEndpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The value is not printed, here and below: it can contain a password.
		return nil, fmt.Errorf("--graph-endpoint must be %q or an http or https URL", onEmulator)
	}
	if !strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1.0") {
		return nil, errors.New("--graph-endpoint must end in the version, /v1.0")
	}
	if !c.Credential.real() && !isLoopback(u.Host) && !c.InsecureUpstream {
		return nil, fmt.Errorf("--graph-endpoint %s is on another machine, and --graph-credential is %q: add --insecure-upstream to allow it", u.Redacted(), credentialNone)
	}
	if c.EmulatorLenient {
		return nil, errors.New("--emulator-lenient works only with --graph-endpoint emulator")
	}
	if c.EmulatorFaults != "" {
		return nil, errors.New("--emulator-faults works only with --graph-endpoint emulator")
	}
	if c.EmulatorSeed != "" || c.EmulatorScenario != program.ScenarioDemo {
		return nil, errors.New("--emulator-seed and --emulator-scenario work only with --graph-endpoint emulator")
	}
	if c.EmulatorListen != freePort {
		return nil, errors.New("--emulator-listen works only with --graph-endpoint emulator")
	}
	return u, nil
}

func (c *config) readRoots() error {
	if c.GraphCAFile == "" {
		return nil
	}
	content, err := os.ReadFile(c.GraphCAFile)
	if err != nil {
		return fmt.Errorf("--graph-ca-file: %w", err)
	}
	read, err := readAuthorities(content)
	if err != nil {
		return fmt.Errorf("--graph-ca-file %s: %w", c.GraphCAFile, err)
	}
	c.roots, c.rootsExpire = read.pool, read.expires
	return nil
}
