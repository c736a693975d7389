package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/freeport"
)

// running is a server under test, in this process.
type running struct {
	conn    *grpc.ClientConn
	address string
	banner  string
	log     *logBuffer
	// stop asks the server to stop; done receives the error of run.
	stop context.CancelFunc
	done chan error
}

var address = regexp.MustCompile(`gRPC on (\S+),`)

// start runs a server with these flags on a free port and connects to it. The test ends it.
func start(t *testing.T, arguments ...string) *running {
	t.Helper()
	flags := []string{"--listen", "127.0.0.1:0"}
	if !slices.ContainsFunc(arguments, func(flag string) bool { return strings.HasPrefix(flag, "--graph-endpoint") }) {
		// Tests begin in tenant A, which has nothing.
		flags = append(flags, "--emulator-scenario", "tests")
	}
	inBanner := 3
	if !slices.Contains(arguments, "--web-listen") {
		flags, inBanner = append(flags, "--web-listen", ""), 2
	}
	c, err := readConfig(append(flags, arguments...), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, done: make(chan error, 1), log: new(logBuffer)}
	out, in := io.Pipe()
	go func() {
		r.done <- run(ctx, c, in, r.log)
		close(r.done)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	for range inBanner {
		if !lines.Scan() {
			t.Fatalf("the server ended: %v", <-r.done)
		}
		r.banner += lines.Text() + "\n"
	}
	found := address.FindStringSubmatch(r.banner)
	if found == nil {
		t.Fatalf("no address in %q", r.banner)
	}
	r.address = found[1]
	if r.conn, err = grpc.NewClient(r.address, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.conn.Close()
		stop()
		// The test can have ended it before: then done is closed.
		<-r.done
	})
	return r
}

// logBuffer is a log that can be written and read at the same time.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	// off is set for a log that would be too large.
	off bool
}

// discard drops what is logged from now on.
func (b *logBuffer) discard() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.off = true
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off {
		return len(p), nil
	}
	return b.buffer.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// end stops the server and waits until run has returned.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not stop")
	}
}

func TestServerStartsOnEmulatorAndPrintsBanner(t *testing.T) {
	r := start(t)
	if !strings.Contains(r.banner, "built-in emulator at http://127.0.0.1:") || !strings.Contains(r.banner, "grpcurl -plaintext 127.0.0.1:") {
		t.Errorf("banner: %s", r.banner)
	}
	answer, err := pb.NewBackupRestoreServiceClient(r.conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest))
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.GetBackupRestore().GetServiceStatus().GetStatus(); got != pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED {
		t.Errorf("the service of the default tenant is %v", got)
	}
	r.end(t)
}

func TestAClientMayCompress(t *testing.T) {
	r := start(t)
	if _, err := pb.NewBackupRestoreServiceClient(r.conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest), grpc.UseCompressor("gzip")); err != nil {
		t.Error(err)
	}
}

func TestReflectionShowsAllServices(t *testing.T) {
	for _, on := range []bool{true, false} {
		r := start(t, map[bool]string{true: "--reflection", false: "--reflection=false"}[on])
		stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil && !errors.Is(err, io.EOF) {
			// EOF means that the stream has ended already; Recv returns the status.
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if !on {
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("reflection is off, but the call ended with %v", err)
			}
			continue
		}
		var names []string
		for _, service := range answer.GetListServicesResponse().GetService() {
			if strings.HasPrefix(service.GetName(), "m365.backupstorage.v1.") {
				names = append(names, service.GetName())
			}
		}
		if len(names) != 14 {
			t.Errorf("%d services: %v", len(names), names)
		}
	}
}

func TestHealthIsServedOverallAndPerService(t *testing.T) {
	r := start(t)
	client := healthpb.NewHealthClient(r.conn)
	for _, service := range []string{"", "m365.backupstorage.v1.ProtectionPolicyService", "m365.backupstorage.v1.BrowseSessionService"} {
		answer, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", service, answer, err)
		}
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
}

func TestStopLetsCallUnderWayEnd(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(faults, []byte(`[{"operation":"GET /","delay":"300ms"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, "--emulator-faults", faults, "--drain-wait", "100ms")
	watch, err := healthpb.NewHealthClient(r.conn).Watch(t.Context(), new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("health: %v %v", first, err)
	}
	called := make(chan error, 1)
	go func() {
		_, err := pb.NewBackupRestoreServiceClient(r.conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest))
		called <- err
	}()
	// A second call, which has no delay, ends on the same connection: so the first one has reached the server.
	if _, err := pb.NewProtectionPolicyServiceClient(r.conn).ListProtectionPolicies(t.Context(), new(pb.ListProtectionPoliciesRequest)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if next, err := watch.Recv(); err != nil || next.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health while stopping: %v %v", next, err)
	}
	if err := <-called; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	// The watch is still open, and must not hold up the stop.
	r.end(t)
}

func TestAddressInUseIsAClearError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"--listen", "--emulator-listen"} {
		c, err := readConfig([]string{"--listen", "127.0.0.1:0", name, taken.Addr().String()}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), c, io.Discard, new(bytes.Buffer)); err == nil || !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongFaultRulesPreventStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(file, []byte(`[{"operation":"GET /","frobnicate":1}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, "/nowhere/faults.json"} {
		c, err := readConfig([]string{"--listen", "127.0.0.1:0", "--emulator-faults", path}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), c, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--emulator-faults") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A write that --drain-timeout cuts has a line in the log that says that it may have been done.
func TestWriteCutByDrainIsLogged(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(faults, []byte(`[{"operation":"POST /exchangeProtectionPolicies","delay":"1h"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, "--emulator-faults", faults, "--drain-timeout", "50ms")
	called := make(chan error, 1)
	go func() {
		_, err := pb.NewProtectionPolicyServiceClient(r.conn).CreateExchangeProtectionPolicy(t.Context(),
			&pb.CreateExchangeProtectionPolicyRequest{DisplayName: "cut"})
		called <- err
	}()
	// A second call ends on the same connection: so the first one has reached the server, and soon Graph.
	for range 20 {
		if _, err := pb.NewProtectionPolicyServiceClient(r.conn).ListProtectionPolicies(t.Context(), new(pb.ListProtectionPoliciesRequest)); err != nil {
			t.Fatal(err)
		}
	}
	r.end(t)
	if err := <-called; status.Code(err) != codes.Unavailable {
		t.Errorf("the client got %v", err)
	}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "CreateExchangeProtectionPolicy") {
			if !strings.Contains(line, `"outcome":"unknown"`) || !strings.Contains(line, `"reason":"CANCELLED"`) {
				t.Errorf("the line of the write: %s", line)
			}
			return
		}
	}
	t.Errorf("the write has no line: %s", r.log)
}

// A reset of the built-in emulator also ends what the server remembers of its throttles.
func TestEmulatorResetEndsThrottles(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(faults, []byte(`[{"operation":"GET /","status":429,"code":"TooManyRequests","retryAfter":["600"],"times":1}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	free := freeport.ForTest(t)
	r := start(t, "--emulator-faults", faults, "--emulator-listen", free)
	call := func() error {
		_, err := pb.NewBackupRestoreServiceClient(r.conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest))
		return err
	}
	if reason := reasonOf(call()); reason != "TOO_MANY_REQUESTS" {
		t.Fatalf("the throttled call: %s", reason)
	}
	if err := call(); reasonOf(err) != "TOO_MANY_REQUESTS" {
		t.Fatalf("the call behind it: %v", err)
	}
	if !strings.Contains(r.log.String(), "Graph throttles a tenant") {
		t.Error("no line says that the tenant is throttled")
	}
	response, err := http.Post("http://"+free+"/_emulator/reset", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode >= 300 {
		t.Fatalf("reset: %s", response.Status)
	}
	if err := call(); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}
