package main

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/traces"
	"github.com/m365backup/backupstorage/service"
)

// minResponseBytes is the least --max-response-bytes: the largest response of Graph's, three times, for it is held as
// bytes, as messages and as the bytes of the response.
const minResponseBytes = 3 * 8 << 20

const (
	// onEmulator is the value of --graph-endpoint that selects the built-in emulator.
	onEmulator = "emulator"
	// envPrefix starts the environment variable of every flag: --listen is BACKUPSTORAGE_LISTEN.
	envPrefix = "BACKUPSTORAGE_"
	// freePort is the default of --emulator-listen: any free port on loopback.
	freePort = "127.0.0.1:0"
)

// config holds the values of flags and environment variables. A flag wins over its variable.
type config struct {
	listen         string
	graphEndpoint  string
	credential     credentialConfig
	graphCAFile    string
	defaultTenant  string
	emulatorListen string
	emulatorFaults string
	pageTokenKey   string
	maxCalls       int

	maxConnections, maxConnectionsPerPeer int
	maxResponseBytes                      int64
	drainWait                             time.Duration
	drainTimeout                          time.Duration
	reflection                            bool
	insecureListen                        bool
	insecureUpstream                      bool
	adminListen                           string
	adminHosts                            string
	adminPprof                            bool

	// getenv is the environment, for the OTEL_ variables.
	getenv        func(string) string
	pageTokenKeys [][]byte
	roots         *x509.CertPool
}

// readConfig reads flags and environment variables and checks them together, so that a server never starts
// half-configured. It writes the output of -help to help. The error is one line for the person who started the server.
func readConfig(arguments []string, getenv func(string) string, help io.Writer) (*config, error) {
	c, rest, err := readFlags(arguments, getenv, help)
	if err == nil && len(rest) > 0 {
		return nil, fmt.Errorf("unexpected argument %q", rest[0])
	}
	return c, err
}

// readFlags is readConfig for a command that has arguments besides flags, which it returns. The command adds flags of
// its own with add.
func readFlags(arguments []string, getenv func(string) string, help io.Writer, add ...func(*flag.FlagSet)) (*config, []string, error) {
	c := &config{getenv: getenv}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	// The flag package would print the whole list of flags with every error.
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.listen, "listen", "127.0.0.1:50051", "address that serves gRPC")
	flags.StringVar(&c.graphEndpoint, "graph-endpoint", onEmulator, "upstream: \"emulator\", or a URL that ends in the version, such as https://graph.microsoft.com/v1.0")
	c.credential.addFlags(flags)
	flags.StringVar(&c.graphCAFile, "graph-ca-file", "", "PEM file with the root certificates to trust for the upstream and the token authority; replaces those of the machine")
	flags.StringVar(&c.defaultTenant, "default-tenant", "", "tenant (GUID) of calls without x-tenant-id; on the emulator the default is its tenant A")
	flags.StringVar(&c.emulatorListen, "emulator-listen", freePort, "address of the emulator; port 0 selects a free port")
	flags.StringVar(&c.emulatorFaults, "emulator-faults", "", "file with the fault rules that the emulator has at its start")
	flags.StringVar(&c.pageTokenKey, "page-token-key", "", "keys for page tokens, each 32 bytes in base64, separated by commas; the first seals new tokens, all can open tokens; the default is a random key")
	flags.IntVar(&c.maxCalls, "max-calls", 1000, "maximum number of calls under way; one tenant alone can have half of it")
	flags.IntVar(&c.maxConnections, "max-connections", service.DefaultConnections, "maximum number of connections; further ones are closed")
	flags.IntVar(&c.maxConnectionsPerPeer, "max-connections-per-peer", 0, "maximum number of connections of one address; 0 is a tenth of --max-connections")
	flags.Int64Var(&c.maxResponseBytes, "max-response-bytes", 0, "maximum number of bytes of responses that calls hold together; 0 is 256 MiB, or a quarter of the memory limit if that is less")
	flags.DurationVar(&c.drainWait, "drain-wait", 0, "time between health NOT_SERVING and the end of connections when the server stops")
	flags.DurationVar(&c.drainTimeout, "drain-timeout", 30*time.Second, "time that calls under way have to end when the server stops")
	flags.BoolVar(&c.reflection, "reflection", true, "serve gRPC reflection, which grpcurl uses")
	flags.BoolVar(&c.insecureListen, "insecure-listen", false, "allow --listen and --emulator-listen on addresses that other machines can reach, without TLS and without checking who calls")
	flags.BoolVar(&c.insecureUpstream, "insecure-upstream", false, "allow an upstream on another machine without a credential")
	flags.StringVar(&c.adminListen, "admin-listen", defaultAdmin, "address that serves metrics, probes and version over HTTP; empty turns it off")
	flags.StringVar(&c.adminHosts, "admin-hosts", "", "host names, separated by commas, by which the admin port may be asked, besides IP addresses and localhost")
	flags.BoolVar(&c.adminPprof, "admin-pprof", false, "serve profiles of the process on the admin port, to this machine only")
	for _, add := range add {
		add(flags)
	}
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(help, "Each flag has an environment variable: --page-token-key is %sPAGE_TOKEN_KEY. A flag wins over its variable.\n", envPrefix)
		flags.SetOutput(help)
		flags.PrintDefaults()
		return nil, nil, err
	case err != nil:
		return nil, nil, fmt.Errorf("%w; -help lists the flags", err)
	}
	if err := readEnvironment(flags, getenv); err != nil {
		return nil, nil, err
	}
	return c, flags.Args(), c.check(getenv)
}

// readEnvironment sets each flag that the command line does not have from its environment variable.
func readEnvironment(flags *flag.FlagSet, getenv func(string) string) error {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var problem error
	flags.VisitAll(func(f *flag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := getenv(name); value != "" && !given[f.Name] && problem == nil {
			if err := f.Value.Set(value); err != nil {
				// The value is not printed: it can be a key.
				problem = fmt.Errorf("environment variable %s has a value that --%s does not accept (%s)", name, f.Name, f.Usage)
			}
		}
	})
	return problem
}

// maxReads is how many reads of Graph are under way at once: about half of the calls, since each tenant has at most
// half of those, and a read that waits for another tenant's must not be the rule.
func (c *config) maxReads() int { return max(8, c.maxCalls/2+12) }

func (c *config) check(getenv func(string) string) error {
	for _, l := range []struct{ name, address string }{{"listen", c.listen}, {"emulator-listen", c.emulatorListen}} {
		if _, port, err := net.SplitHostPort(l.address); err != nil || !isPort(port) {
			return fmt.Errorf("--%s %s must be an address with a port, such as 127.0.0.1:50051", l.name, l.address)
		}
		if !c.insecureListen && !isLoopback(l.address) {
			return fmt.Errorf("--%s %s can be reached from other machines, and the server has no TLS: add --insecure-listen to allow it", l.name, l.address)
		}
	}
	endpoint, err := c.checkEndpoint()
	if err != nil {
		return err
	}
	if err := c.credential.check(endpoint, getenv); err != nil {
		return err
	}
	if c.defaultTenant != "" && !graph.IsGUID(c.defaultTenant) {
		return errors.New("--default-tenant must be a GUID")
	}
	if c.maxCalls < 1 {
		return fmt.Errorf("--max-calls must be 1 or more, not %d", c.maxCalls)
	}
	if c.maxConnections < 1 || c.maxConnectionsPerPeer < 0 || c.maxConnectionsPerPeer > c.maxConnections {
		return errors.New("--max-connections must be 1 or more, and --max-connections-per-peer from 0 to --max-connections")
	}
	// With less, the largest response that Graph can send would never fit.
	if c.maxResponseBytes != 0 && c.maxResponseBytes < minResponseBytes {
		return fmt.Errorf("--max-response-bytes must be 0 or at least %d", minResponseBytes)
	}
	if c.drainWait < 0 || c.drainTimeout < 0 {
		return errors.New("--drain-wait and --drain-timeout must not be negative")
	}
	if err := c.checkAdmin(); err != nil {
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

// checkEndpoint returns the URL of the upstream; nil for the emulator.
func (c *config) checkEndpoint() (*url.URL, error) {
	if c.graphEndpoint == onEmulator {
		return nil, nil
	}
	u, err := url.Parse(c.graphEndpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The value is not printed, here and below: it can contain a password.
		return nil, fmt.Errorf("--graph-endpoint must be %q or an http or https URL", onEmulator)
	}
	if !strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1.0") {
		return nil, errors.New("--graph-endpoint must end in the version, /v1.0")
	}
	if !c.credential.real() && !isLoopback(u.Host) && !c.insecureUpstream {
		return nil, fmt.Errorf("--graph-endpoint %s is on another machine, and --graph-credential is %q: add --insecure-upstream to allow it", u.Redacted(), credentialNone)
	}
	if c.emulatorFaults != "" {
		return nil, errors.New("--emulator-faults works only with --graph-endpoint emulator")
	}
	if c.emulatorListen != freePort {
		return nil, errors.New("--emulator-listen works only with --graph-endpoint emulator")
	}
	return u, nil
}

func (c *config) readKeys() error {
	if c.pageTokenKey == "" {
		return nil
	}
	for i, text := range strings.Split(c.pageTokenKey, ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(key) != 32 {
			return fmt.Errorf("--page-token-key: key %d is not 32 bytes in base64", i+1)
		}
		c.pageTokenKeys = append(c.pageTokenKeys, key)
	}
	return nil
}

func (c *config) readRoots() error {
	if c.graphCAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(c.graphCAFile)
	if err != nil {
		return fmt.Errorf("--graph-ca-file: %w", err)
	}
	c.roots = x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("--graph-ca-file %s contains no certificate in PEM", c.graphCAFile)
	}
	return nil
}

// isPort reports whether a text is the number of a port; 0 stands for a free one.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// isLoopback reports whether only this machine can reach an address. The address can have a port or not.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
