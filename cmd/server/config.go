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
)

const (
	// onEmulator is the value of --graph-endpoint that stands for the server's own emulator.
	onEmulator = "emulator"
	// envPrefix stands before the name of every flag in the environment: BACKUPSTORAGE_LISTEN.
	envPrefix = "BACKUPSTORAGE_"
	// freePort is where the emulator listens unless told.
	freePort = "127.0.0.1:0"
)

// config is what flags and environment say. Flags win.
type config struct {
	listen           string
	graphEndpoint    string
	credential       credentialConfig
	graphCAFile      string
	defaultTenant    string
	emulatorListen   string
	emulatorFaults   string
	pageTokenKey     string
	maxCalls         int
	drainWait        time.Duration
	drainTimeout     time.Duration
	reflection       bool
	insecureListen   bool
	insecureUpstream bool

	pageTokenKeys [][]byte
	roots         *x509.CertPool
}

// readConfig reads flags and environment and checks them as a whole: a server never starts half-configured.
// What -help prints goes to help.
func readConfig(arguments []string, getenv func(string) string, help io.Writer) (*config, error) {
	c := new(config)
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	// The flag package would print a page for each mistake, and the mistake in the middle of it.
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.listen, "listen", "127.0.0.1:50051", "address to serve gRPC on")
	flags.StringVar(&c.graphEndpoint, "graph-endpoint", onEmulator, "upstream: \"emulator\", or a URL with its version such as https://graph.microsoft.com/v1.0")
	c.credential.addFlags(flags)
	flags.StringVar(&c.graphCAFile, "graph-ca-file", "", "PEM file with the roots to trust for the upstream and the token authority, instead of the machine's")
	flags.StringVar(&c.defaultTenant, "default-tenant", "", "tenant (GUID) of calls without x-tenant-id; on the emulator its tenant A unless given")
	flags.StringVar(&c.emulatorListen, "emulator-listen", freePort, "address of the emulator, port 0 for a free one")
	flags.StringVar(&c.emulatorFaults, "emulator-faults", "", "file with fault rules for the emulator to start with")
	flags.StringVar(&c.pageTokenKey, "page-token-key", "", "keys that seal page tokens, 32 bytes each in base64, with commas: the first seals, all open; without one a random key")
	flags.IntVar(&c.maxCalls, "max-calls", 1000, "calls that may be under way at once, of one tenant nine tenths of them")
	flags.DurationVar(&c.drainWait, "drain-wait", 0, "how long health says NOT_SERVING before connections are closed")
	flags.DurationVar(&c.drainTimeout, "drain-timeout", 30*time.Second, "how long calls under way may take to end when the server stops")
	flags.BoolVar(&c.reflection, "reflection", true, "serve gRPC reflection, which grpcurl needs")
	flags.BoolVar(&c.insecureListen, "insecure-listen", false, "allow to listen beyond this machine without TLS and without asking callers who they are")
	flags.BoolVar(&c.insecureUpstream, "insecure-upstream", false, "allow an upstream beyond this machine without a credential")
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(help, "Flags, each also in the environment: --page-token-key as %sPAGE_TOKEN_KEY. Flags win.\n", envPrefix)
		flags.SetOutput(help)
		flags.PrintDefaults()
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w; -help prints the flags", err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := readEnvironment(flags, getenv); err != nil {
		return nil, err
	}
	return c, c.check(getenv)
}

// readEnvironment sets the flags that were not given from the environment.
func readEnvironment(flags *flag.FlagSet, getenv func(string) string) error {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var problem error
	flags.VisitAll(func(f *flag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := getenv(name); value != "" && !given[f.Name] && problem == nil {
			if err := f.Value.Set(value); err != nil {
				// The value stays out of it: it may be a key.
				problem = fmt.Errorf("environment variable %s has no value that fits --%s: %s", name, f.Name, f.Usage)
			}
		}
	})
	return problem
}

func (c *config) check(getenv func(string) string) error {
	for _, l := range []struct{ name, address string }{{"listen", c.listen}, {"emulator-listen", c.emulatorListen}} {
		if _, port, err := net.SplitHostPort(l.address); err != nil || !isPort(port) {
			return fmt.Errorf("--%s %s is no address with a port, such as 127.0.0.1:50051", l.name, l.address)
		}
		if !c.insecureListen && !isLoopback(l.address) {
			return fmt.Errorf("--%s %s is reachable from other machines, without TLS; say --insecure-listen if that is meant", l.name, l.address)
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
		return errors.New("--default-tenant is no GUID")
	}
	if c.maxCalls < 1 {
		return fmt.Errorf("--max-calls %d must be 1 or more", c.maxCalls)
	}
	if c.drainWait < 0 || c.drainTimeout < 0 {
		return errors.New("--drain-wait and --drain-timeout must not be negative")
	}
	if err := c.readKeys(); err != nil {
		return err
	}
	return c.readRoots()
}

// checkEndpoint returns the URL of the upstream, nil for the emulator.
func (c *config) checkEndpoint() (*url.URL, error) {
	if c.graphEndpoint == onEmulator {
		return nil, nil
	}
	u, err := url.Parse(c.graphEndpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// What it is stays out of it, here and below: it may have a password.
		return nil, fmt.Errorf("--graph-endpoint is neither %q nor an http or https URL", onEmulator)
	}
	if !strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1.0") {
		return nil, errors.New("--graph-endpoint has to end in its version, /v1.0")
	}
	if !c.credential.real() && !isLoopback(u.Host) && !c.insecureUpstream {
		return nil, fmt.Errorf("--graph-endpoint %s is not on this machine and --graph-credential is %q; say --insecure-upstream if that is meant", u.Redacted(), credentialNone)
	}
	if c.emulatorFaults != "" {
		return nil, errors.New("--emulator-faults needs --graph-endpoint emulator")
	}
	if c.emulatorListen != freePort {
		return nil, errors.New("--emulator-listen needs --graph-endpoint emulator")
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
		return fmt.Errorf("--graph-ca-file %s has no certificate in PEM", c.graphCAFile)
	}
	return nil
}

// isPort tells whether a text is the number of a port, 0 for a free one.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// isLoopback tells whether an address, with or without a port, is on this machine alone.
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
