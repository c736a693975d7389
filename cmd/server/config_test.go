package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// readConfig reads the configuration of serve, or of the config command.
func readConfig(arguments []string, env variables, help io.Writer) (*config, error) {
	p, err := parse(arguments, env, help)
	if err != nil {
		return nil, err
	}
	return p.config(), nil
}

func TestWrongConfigurationIsOneLine(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "c2VjcmV0"
	for _, c := range []struct {
		name      string
		arguments []string
		env       map[string]string
		says      string
	}{
		{"an unknown flag", []string{"--frobnicate"}, nil, "frobnicate"},
		{"an argument", []string{secret}, nil, "neither a flag nor a command"},
		{"an argument of a command", []string{"serve", secret}, nil, "neither a flag nor a command"},
		{"an unknown flag with a value", []string{"--page-tokn-key=" + secret}, nil, "--page-tokn-key"},
		{"a flag before the command", []string{"--max-calls=3", "config"}, nil, "--max-calls"},
		{"a flag without its value", []string{"--page-token-key"}, nil, "--page-token-key"},
		{"a wrong switch", []string{"--reflection=" + secret}, nil, "--reflection"},
		{"a wrong duration", []string{"--drain-wait", secret}, nil, "--drain-wait"},
		{"a wrong address", []string{"--listen", secret}, nil, "--listen"},
		{"a wrong endpoint", []string{"--graph-endpoint", secret}, nil, "--graph-endpoint"},
		{"a wrong kind of credential", []string{"--graph-credential", secret}, nil, "--graph-credential"},
		{"a variable that belongs to no flag", nil, variables{"BACKUPSTORAGE_TLS_CLIENT_CA_FIEL": secret}, "BACKUPSTORAGE_TLS_CLIENT_CA_FIEL"},
		{"another upstream than Graph expected", []string{"--expect-upstream", secret}, nil, "--expect-upstream"},
		{"a socket without a path", []string{"--listen", "unix://"}, nil, "unix:///"},
		{"a socket with a relative path", []string{"--listen", "unix://" + secret}, nil, "unix:///"},
		{"a mode without a socket", []string{"--unix-mode", "0660"}, nil, "--unix-mode"},
		{"a mode that is no number", []string{"--listen", "unix:///s", "--unix-mode", secret}, nil, "--unix-mode"},
		{"a socket for everybody without identities", []string{realGraph, "--graph-credential=client-secret", "--listen", "unix:///s", "--unix-mode", "0666"}, variables{"AZURE_CLIENT_ID": someGUID, "AZURE_CLIENT_SECRET": "s"}, "--unix-mode"},
		{"a mode that the server cannot use", []string{"--listen", "unix:///s", "--unix-mode", "0066"}, nil, "--unix-mode"},
		{"a certificate without its key", []string{"--tls-certificate-file", secret}, nil, "--tls-key-file"},
		{"a key without its certificate", []string{"--tls-key-file", secret}, nil, "--tls-certificate-file"},
		{"client CAs without a certificate", []string{"--tls-client-ca-file", secret}, nil, "no effect"},
		{"client certificates without a certificate", []string{"--tls-client-auth", "required"}, nil, "no effect"},
		{"a version without a certificate", []string{"--tls-min-version", "1.2"}, nil, "no effect"},
		{"an old version", []string{"--tls-certificate-file", secret, "--tls-key-file", secret, "--tls-min-version", "1.1"}, nil, "--tls-min-version"},
		{"client certificates of nobody", []string{"--tls-certificate-file", secret, "--tls-key-file", secret, "--tls-client-auth", "optional"}, nil, "needs --tls-client-ca-file"},
		{"client CAs that nobody asks", []string{"--tls-certificate-file", secret, "--tls-key-file", secret, "--tls-client-ca-file", secret, "--tls-client-auth", "none"}, nil, "no effect"},
		{"unknown client certificates", []string{"--tls-certificate-file", secret, "--tls-key-file", secret, "--tls-client-auth", secret}, nil, "--tls-client-auth"},
		{"two sources of keys", []string{"--page-token-key", secret, "--page-token-key-file", secret}, nil, "--page-token-key-file"},
		{"a Redis with a password", []string{"--redis-url", "redis://:" + secret + "@localhost"}, nil, "--redis-password-file"},
		{"a Redis with options", []string{"--redis-url", "redis://localhost?password=" + secret}, nil, "--redis-url"},
		{"a Redis of another kind", []string{"--redis-url", "http://" + secret}, nil, "--redis-url"},
		{"a password of no Redis", []string{"--redis-password-file", secret}, nil, "without --redis-url"},
		{"a user of Redis without a password", []string{"--redis-url", "redis://localhost", "--redis-username", secret}, nil, "--redis-password-file"},
		{"authorities of Redis without TLS", []string{"--redis-url", "redis://localhost", "--redis-ca-file", secret}, nil, "rediss://"},
		{"a certificate for Redis without its key", []string{"--redis-url", "rediss://localhost", "--redis-certificate-file", secret}, nil, "--redis-key-file"},
		{"an interval of nothing", []string{"--reload-interval", "0s"}, nil, "--reload-interval"},
		{"all addresses without a named upstream", []string{"--listen", "0.0.0.0:50051"}, nil, "--graph-endpoint emulator"},
		{"the same with the insecure flag", []string{"--listen", "0.0.0.0:50051", "--insecure-listen"}, nil, "--graph-endpoint emulator"},
		{"an address without a host", []string{"--listen", ":50051"}, nil, "--graph-endpoint emulator"},
		{"all addresses in the environment", nil, variables{"BACKUPSTORAGE_LISTEN": "[::]:50051"}, "--graph-endpoint emulator"},
		{"an upstream for all addresses", []string{"--listen", ":1", "--graph-endpoint", "http://127.0.0.1:1/v1.0"}, nil, "--insecure-listen"},
		{"an emulator that other machines can reach", []string{"--emulator-listen", "10.0.0.1:80"}, nil, "--insecure-listen"},
		{"an endpoint that is not a URL", []string{"--graph-endpoint", "graph.microsoft.com"}, nil, "--graph-endpoint"},
		{"an endpoint on another machine without a credential", []string{"--graph-endpoint", "https://graph.microsoft.com/v1.0"}, nil, "--insecure-upstream"},
		{"fault rules without the emulator", []string{"--graph-endpoint", "http://127.0.0.1:1/v1.0", "--emulator-faults", "f.json"}, nil, "--emulator-faults"},
		{"an emulator address without the emulator", []string{"--graph-endpoint", "http://127.0.0.1:1/v1.0", "--emulator-listen", "127.0.0.1:8081"}, nil, "--emulator-listen"},
		{"a lenient emulator without the emulator", []string{"--graph-endpoint", "http://127.0.0.1:1/v1.0", "--emulator-lenient"}, nil, "--emulator-lenient"},
		{"a password in an endpoint with a wrong scheme", []string{"--graph-endpoint", "ftp://user:" + secret + "@example.com/v1.0"}, nil, "--graph-endpoint"},
		{"a password in an endpoint", []string{"--graph-endpoint", "https://user:" + secret + "@example.com/v1.0"}, nil, "--insecure-upstream"},
		{"a tenant by its domain", []string{"--default-tenant", "contoso.com"}, nil, "--default-tenant"},
		{"a value that is not a number", []string{"--max-calls", "many"}, nil, "max-calls"},
		{"an address without a port", []string{"--listen", "localhost"}, nil, "with a port"},
		{"a port out of range", []string{"--listen", "127.0.0.1:99999"}, nil, "with a port"},
		{"an endpoint without its version", []string{"--graph-endpoint", "http://127.0.0.1:1"}, nil, "/v1.0"},
		{"an endpoint with a path after the version", []string{"--graph-endpoint", "http://127.0.0.1:1/v1.0/solutions/backupRestore"}, nil, "/v1.0"},
		{"a limit of zero connections", []string{"--max-connections", "0"}, nil, "--max-connections"},
		{"more connections of a peer than of all", []string{"--max-connections", "10", "--max-connections-per-peer", "11"}, nil, "--max-connections-per-peer"},
		{"fewer bytes than a response has", []string{"--max-response-bytes", "1000"}, nil, "--max-response-bytes"},
		{"a negative number of bytes", []string{"--max-response-bytes", "-1"}, nil, "--max-response-bytes"},
		{"a limit of zero calls", []string{"--max-calls", "0"}, nil, "--max-calls"},
		{"a limit of zero waits", []string{"--max-waits", "0"}, nil, "--max-waits"},
		{"a negative wait", []string{"--drain-wait", "-1s"}, nil, "--drain-wait"},
		{"a wire path that there is not", []string{"--wire-path", secret}, nil, "--wire-path"},
		{"a short key", []string{"--page-token-key", secret}, nil, "key 1 is not 32 bytes"},
		{"a short key in the environment", nil, map[string]string{"BACKUPSTORAGE_PAGE_TOKEN_KEY": secret}, "key 1 is not 32 bytes"},
		{"a variable that is not a number", nil, map[string]string{"BACKUPSTORAGE_MAX_CALLS": secret}, "BACKUPSTORAGE_MAX_CALLS"},
		{"an admin port without an address", []string{"--admin-listen", "50052"}, nil, "--admin-listen"},
		{"hosts without an admin port", []string{"--admin-listen", "", "--admin-hosts", "a.example"}, nil, "--admin-hosts"},
		{"an exporter of traces that there is not", nil, map[string]string{"OTEL_TRACES_EXPORTER": secret}, "OTEL_TRACES_EXPORTER"},
		{"a collector that is no URL", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": secret}, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"a missing file of roots", []string{"--graph-ca-file", "/nowhere"}, nil, "--graph-ca-file"},
		{"a file of roots without a certificate", []string{"--graph-ca-file", noPEM}, nil, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var output bytes.Buffer
			_, err := readConfig(c.arguments, c.env, &output)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want a line with %q", err, c.says)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the line contains a secret value")
			}
			if output.Len() > 0 {
				t.Errorf("-help output has %q, want nothing", &output)
			}
		})
	}
}

const (
	realGraph = "--graph-endpoint=https://graph.microsoft.com/v1.0"
	someGUID  = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
)

func TestWrongCredentialIsOneLine(t *testing.T) {
	const canary = "canary-of-a-secret"
	withSecret := map[string]string{"AZURE_CLIENT_ID": someGUID, "AZURE_CLIENT_SECRET": canary}
	for _, c := range []struct {
		name      string
		arguments []string
		env       map[string]string
		says      string
	}{
		{"an unknown mode", []string{realGraph, "--graph-credential=password"}, nil, "client-secret"},
		{"a credential for the emulator", []string{"--graph-credential=client-secret"}, withSecret, "--graph-endpoint"},
		{"a credential over http", []string{"--graph-endpoint=http://graph.microsoft.com/v1.0", "--graph-credential=client-secret"}, withSecret, "https"},
		{"a credential over http on this machine", []string{"--graph-endpoint=http://127.0.0.1:1/v1.0", "--graph-credential=client-secret"}, withSecret, "https"},
		{"a credential over http with the insecure flags", []string{"--graph-endpoint=http://127.0.0.1:1/v1.0", "--graph-credential=client-secret", "--insecure-upstream", "--insecure-listen"}, withSecret, "https"},
		{"a credential on all addresses", []string{realGraph, "--graph-credential=client-secret", "--listen=0.0.0.0:1"}, withSecret, "--insecure-listen"},
		{"a credential on all addresses with TLS", []string{realGraph, "--graph-credential=client-secret", "--listen=0.0.0.0:1", "--tls-certificate-file=c", "--tls-key-file=k"}, withSecret, "--tls-client-ca-file"},
		{"a credential on all addresses with certificates for some", []string{realGraph, "--graph-credential=client-secret", "--listen=0.0.0.0:1", "--tls-certificate-file=c", "--tls-key-file=k", "--tls-client-ca-file=a", "--tls-client-auth=optional"}, withSecret, "--insecure-listen"},
		{"no client", []string{realGraph, "--graph-credential=client-secret"}, map[string]string{"AZURE_CLIENT_SECRET": canary}, "--graph-client-id"},
		{"no secret", []string{realGraph, "--graph-credential=client-secret", "--graph-client-id=" + someGUID}, nil, "--graph-client-secret-file"},
		{"no certificate", []string{realGraph, "--graph-credential=certificate", "--graph-client-id=" + someGUID}, nil, "--graph-certificate-file"},
		{"no federated token", []string{realGraph, "--graph-credential=workload-identity", "--graph-client-id=" + someGUID}, nil, "AZURE_FEDERATED_TOKEN_FILE"},
		{"no home tenant", []string{realGraph, "--graph-credential=managed-identity"}, nil, "--graph-home-tenant"},
		{"a home tenant that is not a GUID", []string{realGraph, "--graph-credential=managed-identity", "--graph-home-tenant=contoso.com"}, nil, "--graph-home-tenant"},
		{"a tenant of a national cloud that is not a GUID", []string{realGraph, "--graph-credential=client-secret", "--national-cloud-tenants=" + someGUID + ",contoso.com"}, withSecret, "--national-cloud-tenants"},
		{"an authority over http", []string{realGraph, "--graph-credential=client-secret", "--graph-authority=http://login.microsoftonline.com"}, withSecret, "--graph-authority"},
		{"an authority with a password", []string{realGraph, "--graph-credential=client-secret", "--graph-authority=https://user:" + canary + "@login.microsoftonline.com"}, withSecret, "--graph-authority"},
		{"an authority with a tenant", []string{realGraph, "--graph-credential=client-secret", "--graph-authority=https://login.microsoftonline.com/common"}, withSecret, "--graph-authority"},
		{"Graph of the US", []string{"--graph-endpoint=https://graph.microsoft.us/v1.0", "--graph-credential=client-secret"}, withSecret, "national cloud"},
		{"Graph of the US without a credential", []string{"--graph-endpoint=https://dod-graph.microsoft.us:443/v1.0", "--insecure-upstream"}, nil, "national cloud"},
		{"Graph of China with capitals and a final dot", []string{"--graph-endpoint=https://MicrosoftGraph.ChinaCloudAPI.cn./v1.0", "--graph-credential=client-secret"}, withSecret, "national cloud"},
		{"the authority of the US", []string{"--graph-endpoint=https://example.com/v1.0", "--graph-authority=https://login.microsoftonline.us", "--graph-credential=client-secret"}, withSecret, "national cloud"},
		{"the authority of China", []string{realGraph, "--graph-authority=https://login.chinacloudapi.cn/", "--graph-credential=client-secret"}, withSecret, "national cloud"},
		{"Graph with another authority", []string{realGraph, "--graph-authority=https://127.0.0.1:1", "--graph-credential=client-secret"}, withSecret, "different clouds"},
		{"another host with Microsoft's authority", []string{"--graph-endpoint=https://127.0.0.1:1/v1.0", "--graph-credential=client-secret"}, withSecret, "different clouds"},
		{"another host with another name of Microsoft's authority", []string{"--graph-endpoint=https://127.0.0.1:1/v1.0", "--graph-authority=https://LOGIN.windows.net", "--graph-credential=client-secret"}, withSecret, "different clouds"},
		{"another host with a region of Microsoft's authority", []string{"--graph-endpoint=https://127.0.0.1:1/v1.0", "--graph-authority=https://eastus.login.microsoft.com", "--graph-credential=client-secret"}, withSecret, "different clouds"},
		{"another host with the default chain", []string{"--graph-endpoint=https://127.0.0.1:1/v1.0", "--graph-authority=https://127.0.0.1:2", "--graph-credential=default"}, nil, "no effect"},
		{"a client id without a credential", []string{"--graph-client-id=" + someGUID}, nil, "no effect"},
		{"a secret for a managed identity", []string{realGraph, "--graph-credential=managed-identity", "--graph-home-tenant=" + someGUID, "--graph-client-secret-file=f"}, nil, "no effect"},
		{"an authority for a managed identity", []string{realGraph, "--graph-credential=managed-identity", "--graph-home-tenant=" + someGUID, "--graph-authority=https://login.microsoftonline.com"}, nil, "no effect"},
		{"a client id for the default chain", []string{realGraph, "--graph-credential=default", "--graph-client-id=" + someGUID}, nil, "no effect"},
		{"tenants of national clouds without a credential", []string{"--national-cloud-tenants=" + someGUID}, nil, "no effect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var output bytes.Buffer
			_, err := readConfig(c.arguments, c.env, &output)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want a line with %q", err, c.says)
			}
			if strings.Contains(err.Error(), canary) {
				t.Error("the line contains the secret")
			}
			if output.Len() > 0 {
				t.Errorf("-help output has %q, want nothing", &output)
			}
		})
	}
}

func TestCredentialReadsFlagsAndAzureVariables(t *testing.T) {
	azure := map[string]string{
		"AZURE_TENANT_ID": strings.ToUpper(someGUID), "AZURE_CLIENT_ID": "of-azure", "AZURE_CLIENT_SECRET": "secret",
		"AZURE_CLIENT_CERTIFICATE_PATH": "of-azure.pem", "AZURE_FEDERATED_TOKEN_FILE": "of-azure.jwt",
	}
	for _, c := range []struct {
		arguments []string
		want      credentialConfig
	}{
		{[]string{"--graph-credential=client-secret"}, credentialConfig{Mode: "client-secret", ClientID: "of-azure", secret: "secret"}},
		{
			[]string{"--graph-credential=client-secret", "--graph-client-id=own", "--graph-client-secret-file=own.txt", "--graph-authority=https://LOGIN.microsoftonline.com/"},
			credentialConfig{Mode: "client-secret", ClientID: "own", SecretFile: "own.txt", Authority: "https://LOGIN.microsoftonline.com/"},
		},
		{[]string{"--graph-credential=certificate"}, credentialConfig{Mode: "certificate", ClientID: "of-azure", CertificateFile: "of-azure.pem"}},
		{[]string{"--graph-credential=certificate", "--graph-certificate-file=own.pem"}, credentialConfig{Mode: "certificate", ClientID: "of-azure", CertificateFile: "own.pem"}},
		{[]string{"--graph-credential=workload-identity"}, credentialConfig{Mode: "workload-identity", ClientID: "of-azure", federatedTokenFile: "of-azure.jwt"}},
		{[]string{"--graph-credential=managed-identity"}, credentialConfig{Mode: "managed-identity", ClientID: "of-azure", HomeTenant: someGUID}},
		{[]string{"--graph-credential=default"}, credentialConfig{Mode: "default"}},
		{
			[]string{"--graph-credential=default", "--national-cloud-tenants=" + strings.ToUpper(someGUID) + ", " + someGUID},
			credentialConfig{Mode: "default", NationalCloudTenants: strings.ToUpper(someGUID) + ", " + someGUID, national: []string{someGUID, someGUID}},
		},
	} {
		got, err := readConfig(append(c.arguments, realGraph), azure, new(bytes.Buffer))
		if err != nil {
			t.Errorf("%q: %v", c.arguments, err)
		} else if !reflect.DeepEqual(got.Credential, c.want) {
			t.Errorf("%q: got %+v, want %+v", c.arguments, got.Credential, c.want)
		}
	}
}

func TestFlagWinsOverEnvironment(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	c, err := readConfig([]string{"--listen", "[::1]:1"}, variables{
		"BACKUPSTORAGE_LISTEN": "127.0.0.1:2", "BACKUPSTORAGE_EMULATOR_LISTEN": "localhost:3", "BACKUPSTORAGE_REFLECTION": "false",
		"BACKUPSTORAGE_PAGE_TOKEN_KEY": key + ", " + key,
	}, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "[::1]:1" || c.EmulatorListen != "localhost:3" || c.Reflection || len(c.pageTokenKeys) != 2 {
		t.Errorf("got %+v", c)
	}
}

// What other machines may reach, since it was said.
func TestOtherMachinesAreAllowed(t *testing.T) {
	withSecret := variables{"AZURE_CLIENT_ID": someGUID, "AZURE_CLIENT_SECRET": "s"}
	for _, c := range []struct {
		name      string
		arguments []string
	}{
		{"the emulator by its name", []string{"--listen", ":0", "--graph-endpoint", "emulator"}},
		{"everything", []string{realGraph, "--graph-credential=client-secret", "--listen", ":0", "--insecure-listen"}},
		{"clients with a certificate", []string{realGraph, "--graph-credential=client-secret", "--listen", ":0", "--tls-certificate-file=c", "--tls-key-file=k", "--tls-client-ca-file=a"}},
		{"who can use a socket", []string{realGraph, "--graph-credential=client-secret", "--listen", "unix:///run/s", "--unix-mode", "0660"}},
		{"a socket for everybody", []string{realGraph, "--graph-credential=client-secret", "--listen", "unix:///run/s", "--unix-mode", "0666", "--insecure-listen"}},
		{"another machine as upstream", []string{"--graph-endpoint", "https://example.com/v1.0", "--insecure-upstream"}},
		{"the control API of the emulator", []string{"--emulator-listen", ":0", "--insecure-listen"}},
	} {
		env := withSecret
		if !slices.Contains(c.arguments, realGraph) {
			env = nil
		}
		if _, err := readConfig(c.arguments, env, new(bytes.Buffer)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Kubernetes sets variables for each Service, also for one that is named backupstorage.
func TestVariablesOfOthersAreNoMistake(t *testing.T) {
	env := variables{"BACKUPSTORAGE_MAX_CALLS": "7", "BACKUPSTORAGE_UNKNOWN": "", "OTHER": "x"}
	for _, name := range []string{
		"SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "PORT", "PORT_50051_TCP", "PORT_50051_TCP_ADDR", "PORT_50051_TCP_PORT",
		"PORT_50051_TCP_PROTO", "HEADLESS_SERVICE_HOST", "HEADLESS_PORT",
	} {
		env["BACKUPSTORAGE_"+name] = "tcp://10.0.0.1:50051"
	}
	if c, err := readConfig(nil, env, new(bytes.Buffer)); err != nil || c.MaxCalls != 7 {
		t.Errorf("got %+v and %v", c, err)
	}
}

// A flag has one dash or two, its value stands behind = or in the next argument, and can begin with a dash.
func TestFlagsAreWrittenInSeveralWays(t *testing.T) {
	for _, arguments := range [][]string{
		{"--max-calls", "7"}, {"--max-calls=7"}, {"-max-calls", "7"}, {"-max-calls=7"}, {"serve", "--max-calls=7"}, {"config", "-max-calls", "7"},
		{"--max-calls=7", "--reflection"}, {"-reflection=false", "--reflection=true", "-max-calls", "7"},
	} {
		if c, err := readConfig(arguments, nil, new(bytes.Buffer)); err != nil || c.MaxCalls != 7 || !c.Reflection {
			t.Errorf("%q: got %+v and %v", arguments, c, err)
		}
	}
	if _, err := readConfig([]string{"--drain-wait", "-1s"}, nil, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("a value that begins with a dash: %v", err)
	}
}

func TestHelpListsFlags(t *testing.T) {
	var help bytes.Buffer
	if _, err := readConfig([]string{"-help"}, nil, &help); !errors.Is(err, errHelp) {
		t.Errorf("got %v", err)
	}
	for _, flag := range []string{"-listen", "-graph-credential", "-page-token-key"} {
		if !strings.Contains(help.String(), flag) {
			t.Errorf("-help does not list %s", flag)
		}
	}
}

// A quarter of the memory limit, within bounds, unless a flag says otherwise.
func TestResponseBytesFollowTheMemoryLimit(t *testing.T) {
	for _, test := range []struct{ flag, limit, want int64 }{
		{0, 1<<63 - 1, 256 << 20},
		{0, 2 << 30, 256 << 20},
		{0, 512 << 20, 128 << 20},
		{0, 1 << 20, 24 << 20},
		{100 << 20, 1 << 20, 100 << 20},
	} {
		if got := (&config{limits: limits{MaxResponseBytes: test.flag}}).responseBytes(test.limit); got != test.want {
			t.Errorf("flag %d, limit %d: %d bytes, want %d", test.flag, test.limit, got, test.want)
		}
	}
}

// A rights file by which nobody can ever be let in is exit code 1 and one line that says what to do.
func TestRightsThatNobodyCanMatch(t *testing.T) {
	const (
		issuers  = "version: 1\nissuers:\n  - {issuer: https://issuer.example, audience: a, principalClaim: sub}\ncallers:\n"
		byToken  = `  - {principal: "oidc:https://issuer.example#a", tenants: ["*"], role: reader}` + "\n"
		byURI    = "  - {principal: spiffe://corp.example/a, tenants: [\"*\"], role: reader}\n"
		byHost   = "  - {principal: \"dns:a.example\", tenants: [\"*\"], role: reader}\n"
		expired  = `  - {principal: "oidc:https://issuer.example#b", tenants: ["*"], role: reader, notAfter: 2020-01-01T00:00:00Z}` + "\n"
		expired2 = "  - {principal: spiffe://corp.example/b, tenants: [\"*\"], role: reader, notAfter: 2020-01-01T00:00:00Z}\n"
		nothing  = `  - {principal: "oidc:https://issuer.example#c", tenants: ["*"], permissions: [BackupRestore-Configuration.Read.All], effects: [REMOVE]}` + "\n"
	)
	ca := newCertificateAuthority(t, "own")
	server := ca.server(t, 1)
	withTLS := func(folder string) []string {
		return []string{"BACKUPSTORAGE_TLS_CERTIFICATE_FILE=" + filepath.Join(folder, "tls.crt"), "BACKUPSTORAGE_TLS_KEY_FILE=" + filepath.Join(folder, "tls.key")}
	}
	for _, c := range []struct {
		name, rights string
		environment  func(folder string) []string
		// says is what the line has; empty when the server starts.
		says string
	}{
		{"certificates without TLS", "version: 1\ncallers:\n" + byURI + byHost, nil, "--tls-client-ca-file"},
		{"certificates that nobody asks for", "version: 1\ncallers:\n" + byURI, withTLS, "--tls-client-ca-file"},
		{"times that have passed", issuers + expired + expired2, nil, "notAfter"},
		{"a certificate beside a time that has passed", issuers + expired + byURI, nil, "--tls-client-ca-file"},
		{"permission and effect that no rpc has together", issuers + nothing, nil, "effects"},
		{"no callers", "version: 1\ncallers: []\n", nil, "callers"},
		{"callers missing", "version: 1\n", nil, "callers"},
		{"an empty file", "", nil, "empty"},
		{"two faults", issuers + "  - {principal: a, tenants: [\"*\"], role: reader}\n  - {principal: b, tenants: [\"*\"], role: reader}\n", nil, "line 6"},
		{"a file that is missing", "-", nil, "--rights-file"},
		{"one of two can be known", issuers + byURI + byToken, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := files(t, map[string][]byte{"tls.crt": server.certificate, "tls.key": server.key, "rights.yaml": []byte(c.rights)})
			if c.rights == "-" {
				if err := os.Remove(filepath.Join(folder, "rights.yaml")); err != nil {
					t.Fatal(err)
				}
			}
			environment := []string{"BACKUPSTORAGE_RIGHTS_FILE=" + filepath.Join(folder, "rights.yaml"), "BACKUPSTORAGE_AUDIT=off"}
			if c.environment != nil {
				environment = append(environment, c.environment(folder)...)
			}
			program, log := process(t, environment...)
			if c.says == "" {
				if _, stop := begin(t, program); stop() != nil {
					t.Errorf("the server did not start: %s", log)
				}
				return
			}
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			// A server that starts would serve for ever.
			limit := time.AfterFunc(10*time.Second, func() { _ = program.Process.Kill() })
			defer limit.Stop()
			err := program.Wait()
			if program.ProcessState.ExitCode() != 1 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), c.says) || !strings.Contains(log.String(), "--rights-file") {
				t.Errorf("%v, %q; want exit code 1 and one line with --rights-file and %s", err, log, c.says)
			}
		})
	}
}
