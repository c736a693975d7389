package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

var adminAddress = regexp.MustCompile(`"msg":"admin port","address":"([^"]+)"`)

// admin returns the URL of the admin port.
func (r *running) admin(t *testing.T) string {
	t.Helper()
	// The process writes its log when it finds the time.
	for began := time.Now(); time.Since(began) < 10*time.Second; runtime.Gosched() {
		if found := adminAddress.FindStringSubmatch(r.log.String()); found != nil {
			return "http://" + found[1]
		}
	}
	t.Fatalf("the log has no admin port: %s", r.log)
	return ""
}

// page gets a page of the admin port.
func page(t *testing.T, url string) (status int, text string) {
	t.Helper()
	// Without a connection that stays idle, which goleak would find.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestAdminPortShowsTheServer(t *testing.T) {
	r := start(t, "--admin-listen", "127.0.0.1:0", "--drain-wait", "500ms")
	url := r.admin(t)
	client := pb.NewProtectionPolicyServiceClient(r.conn)
	ctx, _ := as(t.Context(), emulator.TenantA, "")
	if _, err := client.GetProtectionPolicy(ctx, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: someGUID}); err == nil {
		t.Fatal("a policy that does not exist was found")
	}
	for path, want := range map[string]string{
		"/livez": "ok\n", "/readyz": "ok\n", "/version": `"version":"devel"`,
		"/metrics": `grpc_server_handled_total{grpc_code="NotFound",grpc_method="GetProtectionPolicy",grpc_service="m365.backupstorage.v1.ProtectionPolicyService"} 1`,
		"/tenants": emulator.TenantA, "/config": "--drain-wait",
	} {
		if status, text := page(t, url+path); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d, without %q", path, status, want)
		}
	}
	if _, text := page(t, url+"/metrics"); strings.Contains(text, someGUID) || strings.Contains(text, emulator.TenantA) || !strings.Contains(text, `backupstorage_upstream_info{upstream="emulator"} 1`) {
		t.Error("the metrics say who calls, or not what the upstream is")
	}
	if status, _ := page(t, url+"/debug/pprof/"); status != 404 {
		t.Errorf("profiles without their flag: %d", status)
	}
	// While the server waits for load balancers it lives, and is not ready.
	r.stop()
	for status := 200; status == 200; {
		status, _ = page(t, url+"/readyz")
	}
	if status, _ := page(t, url+"/livez"); status != 200 {
		t.Errorf("/livez while the server stops: %d", status)
	}
}

// What other machines reach of an admin port that listens on all addresses: what probes and scrapes need. A connection
// from loopback to another address of the machine is one that a proxy beside the server passes on.
func TestAdminPortForOtherMachines(t *testing.T) {
	ip := otherAddress(t)
	if ip == "" {
		// TestPagesAndWhoMaySeeThem of internal/admin has the same without a network.
		return
	}
	r := start(t, "--admin-listen", "0.0.0.0:0", "--admin-pprof")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.admin(t), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for path, elsewhere := range map[string]int{
		"/livez": 200, "/readyz": 200, "/version": 200, "/metrics": 200, "/config": 403, "/tenants": 403, "/debug/pprof/": 403, "/debug/pprof/heap": 403,
	} {
		for _, from := range []struct {
			name, source, to string
			want             int
		}{
			{"this machine", "127.0.0.1", "127.0.0.1", 200}, {"another machine", ip, ip, elsewhere}, {"a proxy beside the server", "127.0.0.1", ip, elsewhere},
		} {
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from.source)}}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}}
			// Whoever asks chooses the name.
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(from.to, port)+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = "localhost"
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != from.want {
				t.Errorf("%s from %s: %d, want %d", path, from.name, response.StatusCode, from.want)
			}
		}
	}
}

// otherAddress is an IPv4 address of this machine that is not loopback, empty where there is none.
func otherAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	return ""
}

func TestAdminPortThatIsOff(t *testing.T) {
	r := start(t, "--admin-listen", "")
	if strings.Contains(r.log.String(), "admin port") {
		t.Errorf("the log: %s", r.log)
	}
}

// A default port that is taken is another one; a port that somebody chose is not.
func TestAdminPortThatIsTaken(t *testing.T) {
	// If this fails, somebody else has the port, which does as well.
	if taken, err := net.Listen("tcp", defaultAdmin); err == nil {
		defer taken.Close()
	}
	var log bytes.Buffer
	listener, err := listenAdmin(defaultAdmin, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if !strings.Contains(log.String(), `"level":"WARN"`) || listener.Addr().String() == defaultAdmin || !isLoopback(listener.Addr().String()) {
		t.Errorf("%s: %s", listener.Addr(), log.String())
	}
	if _, err := listenAdmin(listener.Addr().String(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--admin-listen") {
		t.Errorf("a chosen port that is taken: %v", err)
	}
}

// A client that sends nothing does not keep the port from others.
func TestSilentClientsOfTheAdminPort(t *testing.T) {
	r := start(t, "--admin-listen", "127.0.0.1:0")
	url := r.admin(t)
	for range adminConnections - 6 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	began := time.Now()
	if status, _ := page(t, url+"/livez"); status != 200 || time.Since(began) > 3*time.Second {
		t.Errorf("%d after %v", status, time.Since(began))
	}
}

// A server whose upstream is not the one that was expected takes no calls, and says so to probes of either kind.
func TestAdminPortIsNotReadyOnAnotherUpstream(t *testing.T) {
	r := start(t, "--admin-listen", "127.0.0.1:0", "--expect-upstream", "graph")
	url := r.admin(t)
	if status, text := page(t, url+"/readyz"); status != 503 || !strings.Contains(text, "--expect-upstream") {
		t.Errorf("/readyz: %d %s", status, text)
	}
	if status, _ := page(t, url+"/livez"); status != 200 {
		t.Errorf("/livez: %d", status)
	}
}

// The page has what the config command prints, and no secret. It can be asked for by many at once.
func TestAdminPortShowsTheConfiguration(t *testing.T) {
	const canary = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=" // 32 bytes in base64.
	r := start(t, "--admin-listen", "127.0.0.1:0", "--page-token-key", canary)
	url := r.admin(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			status, text := page(t, url+"/config")
			if status != 200 || !regexp.MustCompile(`(?m)^--page-token-key +set +flag$`).MatchString(text) || strings.Contains(text, canary) {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	all.Wait()
}

// What TLS, rights and audit count reaches the metrics.
func TestAdminPortShowsCallersAndCertificates(t *testing.T) {
	own := newCertificateAuthority(t, "own")
	server, next := own.server(t, 1), own.issue(t, 2, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(48 * time.Hour) })
	folder := files(t, map[string][]byte{
		"tls.crt": server.certificate, "tls.key": server.key, "ca.crt": own.pem, "rights.yaml": []byte("version: 1\ncallers:\n  - {principal: \"dns:a.example\", tenants: [\"" + emulator.TenantA + "\"], role: reader}\n"),
	})
	r := start(t, append(tlsFlags(folder, clientAuthOptional), "--admin-listen", "127.0.0.1:0", "--reload-interval", "10ms",
		"--rights-file", filepath.Join(folder, "rights.yaml"), "--audit", "best-effort", "--audit-file", filepath.Join(folder, "audit"))...)
	url := r.admin(t)
	if err := callOnce(t, r.address, credentials.NewTLS(&tls.Config{RootCAs: own.pool()})); status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
	_, before := page(t, url+"/metrics")
	for _, want := range []string{
		`backupstorage_unauthenticated_total{why="no-credential"} 1`, `backupstorage_denied_total{why="tenant"} 0`,
		`backupstorage_audit_failures_total 0`, `backupstorage_request_bytes_inbound 0`,
		`backupstorage_reloads_total{result="failed",what="rights"} 0`, `backupstorage_certificate_expiry_timestamp_seconds{which="server"} `,
	} {
		if !strings.Contains(before, "\n"+want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	// A certificate that is not there would seem to have expired long ago.
	if strings.Contains(before, `which="graph-ca"`) || strings.Contains(before, `which="issuer-ca"`) {
		t.Error("the metrics have the end of a certificate that is not there")
	}
	// The pair is read when both files are the new ones.
	for name, content := range map[string][]byte{"tls.crt": next.certificate, "tls.key": next.key} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expiry := regexp.MustCompile(`(?m)^backupstorage_certificate_expiry_timestamp_seconds{which="server"}.*$`)
	for began := time.Now(); ; {
		_, after := page(t, url+"/metrics")
		if strings.Contains(after, `backupstorage_reloads_total{result="ok",what="tls-certificate"} 1`) && expiry.FindString(after) != expiry.FindString(before) {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("after a new certificate: %s", expiry.FindString(after))
		}
	}
}
