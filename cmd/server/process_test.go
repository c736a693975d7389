package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// asServer is set in the environment of a process that is to be the server itself instead of its tests.
const asServer = "BACKUPSTORAGE_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	// It fails when a test leaves a goroutine behind, and with it a connection.
	goleak.VerifyTestMain(m)
}

// process makes the server a process of its own, configured by its environment alone.
func process(t *testing.T, environment ...string) (server *exec.Cmd, log *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log = new(bytes.Buffer)
	server = exec.CommandContext(t.Context(), self)
	// A proxy of the machine is not for a loopback address, and nothing else is of any use to a server.
	server.Env = append([]string{asServer + "=1", "BACKUPSTORAGE_LISTEN=127.0.0.1:0"}, environment...)
	server.Stderr = log
	return server, log
}

// begin starts the process and connects to it. stop asks it to end, and returns how it did.
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
			// To the end of the output, before which Wait must not be called.
		}
		return server.Wait()
	}
}

func TestTheProcessServesTenantsOfTheirOwnCredentialAndEndsOnSIGTERM(t *testing.T) {
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
		t.Errorf("the log tells the secret: %s", log)
	}
	if n := strings.Count(log.String(), `"msg":"call"`); n != 2 {
		t.Errorf("%d calls in the log: %s", n, log)
	}
}

func TestNothingOfGraphsReachesTheLogByWayOfNetHTTP(t *testing.T) {
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
				// net/http looks at what comes behind an answer, and says so.
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
			t.Fatal("net/http had nothing to say: this test shows nothing")
		}
		if strings.Contains(lines.Text(), "canary") || strings.Contains(lines.Text(), "Unsolicited") {
			t.Errorf("the log tells what Graph sent: %s", lines.Text())
		} else if !strings.Contains(lines.Text(), "a library") {
			continue
		}
		break
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAConfigurationThatMakesNoSenseIsOneLineAndExitCodeOne(t *testing.T) {
	for _, environment := range [][]string{
		{"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret"},
		{"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "BACKUPSTORAGE_GRAPH_ENDPOINT=http://127.0.0.1:1/v1.0", "AZURE_CLIENT_ID=" + application, "AZURE_CLIENT_SECRET=canary"},
		{"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "BACKUPSTORAGE_GRAPH_ENDPOINT=https://graph.microsoft.us/v1.0", "AZURE_CLIENT_ID=" + application, "AZURE_CLIENT_SECRET=canary"},
		{"BACKUPSTORAGE_MAX_CALLS=canary"},
		{"BACKUPSTORAGE_LISTEN=0.0.0.0:0"},
	} {
		server, log := process(t, environment...)
		err := server.Run()
		if server.ProcessState.ExitCode() != 1 || strings.Count(log.String(), "\n") != 1 || strings.Contains(log.String(), "canary") {
			t.Errorf("%v: %v, %q", environment, err, log)
		}
	}
}
