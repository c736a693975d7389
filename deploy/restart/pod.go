package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/trial"
)

// pods start replicas with the flags of the manifests, on files as their volumes have them: TLS, callers by token,
// rights and audit. Only Graph is the emulator.
type pods struct {
	arguments []string
	folder    string
	// ip is the address of the pods: one that is not loopback, if this machine has one.
	ip      string
	numbers numbers
	caller  caller
}

// newPods makes the files.
func newPods(folder, server string, n numbers) (*pods, error) {
	p := &pods{arguments: n.Arguments, folder: filepath.Join(folder, "volumes"), ip: podIP(), numbers: n}
	desk := filepath.Join(folder, "desk")
	if output, err := exec.Command(server, "dev-ca", desk).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("dev-ca: %w: %s", err, output)
	}
	var customers bytes.Buffer
	for i := range tenants {
		fmt.Fprintln(&customers, tenantID(i))
	}
	for name, from := range map[string]string{
		"secrets/tls/tls.crt": "server.crt", "secrets/tls/tls.key": "server.key", "secrets/tls/ca.crt": "ca.crt",
		"rights/rights.yaml": "rights.yaml", "rights/jwks.json": "jwks.json", "rights/tenants.txt": "", "secrets/page-tokens/keys": "",
		"secrets/redis/password": "", "secrets/redis/ca.crt": "ca.crt",
	} {
		content := map[string][]byte{
			"rights/tenants.txt": customers.Bytes(), "secrets/page-tokens/keys": []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
			"secrets/redis/password": []byte("none"),
		}[name]
		if from != "" {
			var err error
			if content, err = os.ReadFile(filepath.Join(desk, from)); err != nil {
				return nil, err
			}
		}
		if err := os.MkdirAll(filepath.Join(p.folder, filepath.Dir(name)), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(p.folder, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	token, err := os.ReadFile(filepath.Join(desk, "operator.token"))
	if err != nil {
		return nil, err
	}
	roots, err := os.ReadFile(filepath.Join(desk, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, errors.New("ca.crt has no certificate")
	}
	p.caller = caller{token: string(token), transport: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool})}
	return p, nil
}

// podIP is an IPv4 address of this machine that is not loopback; without one it is that of loopback.
func podIP() string {
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addresses {
			if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
				return network.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// replica is number i of the pods.
func (p *pods) replica(i int, server, log, emulator string) (*replica, error) {
	addresses := make([]string, 2)
	for i := range addresses {
		var err error
		if addresses[i], err = freeport.AddressOf(p.ip); err != nil {
			return nil, err
		}
	}
	r := &replica{
		Server: trial.Server{Program: server, Address: addresses[0], Log: log}, admin: addresses[1], probes: p.numbers.Probes,
	}
	audit := filepath.Join(p.folder, fmt.Sprintf("audit-%d", i))
	if err := os.MkdirAll(audit, 0o700); err != nil {
		return nil, err
	}
	port := func(address string) string { return address[strings.LastIndex(address, ":"):] }
	for _, argument := range p.arguments {
		name, value, _ := strings.Cut(argument, "=")
		switch name {
		case "--listen":
			value = strings.TrimSuffix(value, port(value)) + port(r.Address)
		case "--admin-listen":
			value = strings.TrimSuffix(value, port(value)) + port(r.admin)
		case "--drain-wait":
			value = p.numbers.DrainWait.String()
		case "--redis-url":
			// Nothing listens there: pods start and serve without Redis. deploy/replicas has one.
			value = "rediss://127.0.0.1:1"
		case "--graph-endpoint":
			value = emulator + "/v1.0"
		case "--expect-upstream", "--graph-credential", "--graph-certificate-file":
			// The emulator is not Graph, and asks for no credential.
			continue
		case "--audit-file":
			value = filepath.Join(audit, filepath.Base(value))
		default:
			if strings.HasPrefix(value, "/") {
				value = filepath.Join(p.folder, value)
			}
		}
		r.Flags = append(r.Flags, name+"="+value)
	}
	return r, nil
}

// caller is who calls the pods: over TLS, with a token.
type caller struct {
	token     string
	transport credentials.TransportCredentials
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c caller) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + c.token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (caller) RequireTransportSecurity() bool { return true }

func (c caller) options() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithTransportCredentials(c.transport), grpc.WithPerRPCCredentials(c), grpc.WithDisableRetry()}
}

// probe is one of the manifest's probes.
type probe struct {
	Path    string        `json:"path"`
	Period  time.Duration `json:"period"`
	Timeout time.Duration `json:"timeout"`
	Fails   int           `json:"fails"`
}

// succeeds asks once, as a kubelet does: over HTTP, over a connection of its own, at the address of the pod.
func (p probe) succeeds(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+p.Path, http.NoBody)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode >= 200 && response.StatusCode < 400
}

// untilFails asks until the probe has failed as often in a row as the manifest says, or the context ends.
func (p probe) untilFails(ctx context.Context, address string) (failed bool) {
	for fails := 0; fails < p.Fails; {
		pause(ctx, p.Period)
		ok := p.succeeds(ctx, address)
		switch {
		case ctx.Err() != nil:
			return false
		case ok:
			fails = 0
		default:
			fails++
		}
	}
	return true
}

// untilSucceeds asks until the probe succeeds, at most as often as the manifest says.
func (p probe) untilSucceeds(ctx context.Context, address string) bool {
	for range p.Fails {
		if p.succeeds(ctx, address) {
			return true
		}
		pause(ctx, p.Period)
	}
	return false
}
