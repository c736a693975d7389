package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// asServer makes the test binary run as the server instead of running its tests, when the environment has it.
const asServer = "TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	// A goroutine that a test leaves behind is a failure: it can hold a connection.
	goleak.VerifyTestMain(m)
}

// process returns the server as a process of its own, configured by its environment only.
func process(t *testing.T, environment ...string) (server *exec.Cmd, log *logBuffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log = new(logBuffer)
	server = exec.CommandContext(t.Context(), self)
	// Nothing of the machine's own environment is passed on: its proxy must not serve a loopback address.
	server.Env = append([]string{asServer + "=1", "BACKUPSTORAGE_LISTEN=127.0.0.1:0"}, environment...)
	server.Stderr = log
	return server, log
}

// begin starts the process and connects to it. stop sends SIGTERM, and returns how the process ended.
func begin(t *testing.T, server *exec.Cmd) (conn *grpc.ClientConn, stop func() error) {
	t.Helper()
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("no banner: %v", server.Wait())
	}
	found := address.FindStringSubmatch(lines.Text())
	if found == nil {
		t.Fatalf("no address in %q", lines.Text())
	}
	conn, err = grpc.NewClient(found[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, func() error {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		for lines.Scan() {
			// Wait must not be called before the end of the output.
		}
		return server.Wait()
	}
}

func TestProcessServesTenantsAndEndsOnSIGTERM(t *testing.T) {
	const secret = "canary-of-the-secret"
	u, authority := newUpstream(t), authoritytest.New(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, append(u.root, authority.Root()...), 0o600); err != nil {
		t.Fatal(err)
	}
	server, log := process(t,
		"BACKUPSTORAGE_GRAPH_ENDPOINT="+u.url, "BACKUPSTORAGE_GRAPH_AUTHORITY="+authority.URL, "BACKUPSTORAGE_GRAPH_CA_FILE="+roots,
		"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "AZURE_CLIENT_ID="+application, "AZURE_CLIENT_SECRET="+secret)
	conn, stop := begin(t, server)
	for _, tenant := range []string{emulator.TenantA, emulator.TenantB} {
		ctx, id := as(t.Context(), tenant, "")
		if _, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
			t.Error(err)
		}
		(&cloud{upstream: u}).wantTokens(t, id, map[string]string{"tid": tenant, "appid": application})
	}
	if err := stop(); err != nil {
		t.Errorf("the process ended with %v: %s", err, log)
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log contains the secret: %s", log)
	}
	if n := strings.Count(log.String(), `"msg":"call"`); n != 2 {
		t.Errorf("%d calls in the log, want 2: %s", n, log)
	}
}

func TestNetHTTPLogsNothingFromGraph(t *testing.T) {
	const surplus = `,"@odata.nextLink":"https://graph.example/?$skiptoken=canary","email":"canary@a.example"}`
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				// net/http logs bytes that come after the end of a response.
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"+surplus)
			}
			defer conn.Close()
		}
	}()
	server, _ := process(t, "BACKUPSTORAGE_GRAPH_ENDPOINT=http://"+listener.Addr().String()+"/v1.0")
	server.Stderr = nil
	log, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	conn, stop := begin(t, server)
	ctx, _ := as(t.Context(), emulator.TenantA, "")
	if _, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
		t.Error(err)
	}
	for lines := bufio.NewScanner(log); ; {
		if !lines.Scan() {
			t.Fatal("net/http logged nothing, so this test proves nothing")
		}
		if strings.Contains(lines.Text(), "canary") || strings.Contains(lines.Text(), "Unsolicited") {
			t.Errorf("the log contains what Graph sent: %s", lines.Text())
		} else if !strings.Contains(lines.Text(), "a library") {
			continue
		}
		break
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWrongConfigurationIsExitCodeOne(t *testing.T) {
	// One line on standard error, without the value, and exit code 1.
	for _, environment := range [][]string{
		{"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret"},
		{"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "BACKUPSTORAGE_GRAPH_ENDPOINT=http://127.0.0.1:1/v1.0", "AZURE_CLIENT_ID=" + application, "AZURE_CLIENT_SECRET=canary"},
		{"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "BACKUPSTORAGE_GRAPH_ENDPOINT=https://graph.microsoft.us/v1.0", "AZURE_CLIENT_ID=" + application, "AZURE_CLIENT_SECRET=canary"},
		{"BACKUPSTORAGE_MAX_CALLS=canary"},
		{"BACKUPSTORAGE_LISTEN=0.0.0.0:0"},
		{"BACKUPSTORAGE_LISTEN=0.0.0.0:0", "BACKUPSTORAGE_INSECURE_LISTEN=true"},
		{"BACKUPSTORAGE_LISTEN=0.0.0.0:0", "BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "BACKUPSTORAGE_GRAPH_ENDPOINT=https://graph.microsoft.com/v1.0", "AZURE_CLIENT_ID=" + application, "AZURE_CLIENT_SECRET=canary"},
		{"BACKUPSTORAGE_TLS_CLIENT_CA_FIEL=canary"},
		{"BACKUPSTORAGE_TLS_CERTIFICATE_FILE=/dev/null", "BACKUPSTORAGE_TLS_KEY_FILE=/dev/null"},
	} {
		server, log := process(t, environment...)
		err := server.Run()
		if server.ProcessState.ExitCode() != 1 || strings.Count(log.String(), "\n") != 1 || strings.Contains(log.String(), "canary") {
			t.Errorf("%v: %v, %q", environment, err, log)
		}
	}
}

// The memory limit of Go's runtime is the one that was set, and the config command says so.
func TestMemoryLimitOfTheEnvironmentStays(t *testing.T) {
	program, log := process(t, "GOMEMLIMIT=100MiB")
	program.Args = append(program.Args, "config")
	out, err := program.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, log)
	}
	for _, want := range []string{`GOMEMLIMIT +104857600 +environment GOMEMLIMIT\n`, `--max-response-bytes +26214400 +default\n`} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// A second signal ends the process at once, also where a shell started it in the background with SIGINT ignored.
func TestSecondSignalEndsTheProcess(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(faults, []byte(`[{"operation":"GET /","delay":"1h"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		second syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		server, _ := process(t, "BACKUPSTORAGE_EMULATOR_FAULTS="+faults)
		server.Path, server.Args = "/bin/sh", []string{"sh", "-c", `trap "" INT; exec "$0"`, server.Path}
		conn, _ := begin(t, server)
		called := make(chan error, 1)
		go func() {
			_, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest))
			called <- err
		}()
		// A second call ends on the same connection: so the first one has reached the server, and holds up its end.
		if _, err := pb.NewProtectionPolicyServiceClient(conn).ListProtectionPolicies(t.Context(), new(pb.ListProtectionPoliciesRequest)); err != nil {
			t.Fatal(err)
		}
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		// The server refuses connections when it has taken note of the first signal.
		target := conn.Target()
		for {
			other, err := net.Dial("tcp", target)
			if err != nil {
				break
			}
			other.Close()
		}
		if err := server.Process.Signal(test.second); err != nil {
			t.Fatal(err)
		}
		_ = server.Wait()
		if got := server.ProcessState.ExitCode(); got != test.code {
			t.Errorf("%v: exit code %d, want %d", test.second, got, test.code)
		}
		if err := <-called; err == nil {
			t.Error("the call under way ended well")
		}
	}
}
