//go:build envoy

package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/freeport"
)

// envoyVariable has the path of Envoy's program. `.ci/run envoy` gets it, and runs this test.
const envoyVariable = "TEST_ENVOY"

// envoyConfiguration takes calls over TLS, and passes them on over TLS with a certificate of Envoy's own.
const envoyConfiguration = `
static_resources:
  listeners:
    - name: grpc
      address: {socket_address: {address: 127.0.0.1, port_value: %[1]s}}
      filter_chains:
        - transport_socket:
            name: tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: [h2]
                tls_certificates: [{certificate_chain: {filename: %[3]s/server.crt}, private_key: {filename: %[3]s/server.key}}]
          filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: grpc
                codec_type: HTTP2
                route_config:
                  virtual_hosts:
                    - {name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: backupstorage, timeout: 0s}}]}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
    - name: backupstorage
      connect_timeout: 1s
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2]
            tls_params: {tls_maximum_protocol_version: TLSv1_3}
            tls_certificates: [{certificate_chain: {filename: %[3]s/proxy.crt}, private_key: {filename: %[3]s/proxy.key}}]
            validation_context: {trusted_ca: {filename: %[3]s/ca.crt}}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
      load_assignment:
        cluster_name: backupstorage
        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[2]s}}}}]}]
`

// portOf is the port of an address.
func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// Two callers with tokens call through a real Envoy, over the same connections: each has its own rights, whatever the
// certificate of Envoy and the headers of a forwarded one say.
func TestTokensThroughEnvoy(t *testing.T) {
	d := deskFiles(t)
	ca := newCertificateAuthority(t, "own")
	proxy := ca.issue(t, 3, x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "desk.example", Path: "/envoy"}}
	})
	server := ca.server(t, 2)
	folder := files(t, map[string][]byte{
		"ca.crt": ca.pem, "server.crt": server.certificate, "server.key": server.key, "proxy.crt": proxy.certificate, "proxy.key": proxy.key,
	})
	at := func(name string) string { return filepath.Join(folder, name) }
	d.begin(t, "BACKUPSTORAGE_TLS_CERTIFICATE_FILE="+at("server.crt"), "BACKUPSTORAGE_TLS_KEY_FILE="+at("server.key"), "BACKUPSTORAGE_TLS_CLIENT_CA_FILE="+at("ca.crt"))

	address := freeport.ForTest(t)
	configuration := at("envoy.yaml")
	text := fmt.Sprintf(envoyConfiguration, portOf(address), portOf(d.address), folder)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output logBuffer
	envoy := exec.CommandContext(t.Context(), os.Getenv(envoyVariable), "--config-path", configuration, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn")
	envoy.Stdout, envoy.Stderr = &output, &output
	if err := envoy.Start(); err != nil {
		t.Fatalf("%s must be the path of Envoy: %v", envoyVariable, err)
	}
	defer func() {
		_ = envoy.Process.Kill()
		_ = envoy.Wait()
	}()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(ca.pool(), "")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	policies := pb.NewProtectionPolicyServiceClient(conn)
	operator, reader := d.token(t, "operator"), d.token(t, "reader")
	start, cancel := context.WithTimeout(reader, 20*time.Second)
	defer cancel()
	if _, err := policies.ListProtectionPolicies(start, new(pb.ListProtectionPoliciesRequest), grpc.WaitForReady(true)); err != nil {
		t.Fatalf("%v: %s %s", err, &output, d.log)
	}
	forwarded := metadata.AppendToOutgoingContext(t.Context(), "x-forwarded-client-cert", "URI=spiffe://desk.example/operator")
	for round := range 20 {
		for _, c := range []struct {
			name string
			do   func() error
			want string
		}{
			{"an operator writes", func() error { return create(operator, policies) }, ""},
			{"a reader reads", func() error { return list(reader, policies) }, ""},
			{"a reader writes", func() error { return create(reader, policies) }, "CALLER_NOT_ALLOWED"},
			{"Envoy's certificate alone", func() error { return list(t.Context(), policies) }, "CALLER_NOT_ALLOWED"},
			{"a forwarded certificate", func() error { return list(forwarded, policies) }, "CALLER_NOT_ALLOWED"},
			{"a bad token", func() error {
				return list(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer nonsense"), policies)
			}, "CALLER_UNAUTHENTICATED"},
		} {
			if err := c.do(); reasonOf(err) != c.want || (err == nil) != (c.want == "") {
				t.Fatalf("round %d, %s: %v, want %q", round, c.name, err, c.want)
			}
		}
	}
	if err := d.stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	writes := 0
	for _, line := range d.lines(t, d.audit) {
		if line.Kind == "attempt" {
			writes++
			if line.Principal != "oidc:"+deskIssuer+"#operator" {
				t.Errorf("a write of %s", line.Principal)
			}
		}
	}
	if writes != 20 {
		t.Errorf("%d writes, want 20", writes)
	}
}
