package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

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
		"/tenants": emulator.TenantA,
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
