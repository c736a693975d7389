package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/internal/freeport"
)

// desk is a server with the files of dev-ca, as a process, and its audit file.
type desk struct {
	folder, address, audit, emulator string
	server                           *exec.Cmd
	log                              *logBuffer
	stop                             func() error
}

func (d *desk) at(name string) string { return filepath.Join(d.folder, name) }

func newDesk(t *testing.T, environment ...string) *desk {
	t.Helper()
	d := deskFiles(t)
	d.begin(t, environment...)
	return d
}

// deskFiles has the files of dev-ca, and no server yet.
func deskFiles(t *testing.T) *desk {
	t.Helper()
	d := &desk{folder: filepath.Join(t.TempDir(), "desk")}
	if err := (&devCACommand{Folder: d.folder}).Run(streams{out: io.Discard, log: io.Discard}); err != nil {
		t.Fatal(err)
	}
	d.audit, d.emulator = d.at("audit.log"), freeport.ForTest(t)
	return d
}

// begin starts the server.
func (d *desk) begin(t *testing.T, environment ...string) {
	t.Helper()
	d.server, d.log = process(t, append([]string{
		"BACKUPSTORAGE_TLS_CERTIFICATE_FILE=" + d.at("server.crt"), "BACKUPSTORAGE_TLS_KEY_FILE=" + d.at("server.key"),
		"BACKUPSTORAGE_TLS_CLIENT_CA_FILE=" + d.at("ca.crt"), "BACKUPSTORAGE_TLS_CLIENT_AUTH=optional", "BACKUPSTORAGE_RELOAD_INTERVAL=50ms",
		"BACKUPSTORAGE_RIGHTS_FILE=" + d.at("rights.yaml"), "BACKUPSTORAGE_AUDIT=required", "BACKUPSTORAGE_AUDIT_FILE=" + d.audit,
		"BACKUPSTORAGE_EMULATOR_LISTEN=" + d.emulator, "BACKUPSTORAGE_EMULATOR_SCENARIO=tests",
	}, environment...)...)
	conn, stop := begin(t, d.server)
	d.address, d.stop = conn.Target(), stop
}

// read reads one of the files.
func (d *desk) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(d.at(name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// connect connects over TLS, with the certificate of a caller or with none.
func (d *desk) connect(t *testing.T, caller string) pb.ProtectionPolicyServiceClient {
	t.Helper()
	return pb.NewProtectionPolicyServiceClient(d.dial(t, caller))
}

func (d *desk) dial(t *testing.T, caller string) *grpc.ClientConn {
	t.Helper()
	roots := x509.NewCertPool()
	content, err := os.ReadFile(d.at("ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(content) {
		t.Fatal("no CA")
	}
	config := &tls.Config{RootCAs: roots}
	if caller != "" {
		pair, err := tls.LoadX509KeyPair(d.at(caller+".crt"), d.at(caller+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	conn, err := grpc.NewClient(d.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// What is not of the contract: anybody may ask for health, and only callers for reflection.
func TestReflectionIsForCallersAndHealthForAll(t *testing.T) {
	d := newDesk(t)
	reflect := func(conn *grpc.ClientConn) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		_, err = stream.Recv()
		return err
	}
	for caller, want := range map[string]string{"": "CALLER_UNAUTHENTICATED", "reader": ""} {
		conn := d.dial(t, caller)
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
			t.Errorf("health for %q: %v", caller, err)
		}
		if err := reflect(conn); reasonOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("reflection for %q: %v", caller, err)
		}
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

// token is the call metadata of a caller with a token.
func (d *desk) token(t *testing.T, caller string) context.Context {
	t.Helper()
	token, err := os.ReadFile(d.at(caller + ".token"))
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+string(token))
}

func create(ctx context.Context, client pb.ProtectionPolicyServiceClient) error {
	_, err := client.CreateOneDriveForBusinessProtectionPolicy(ctx, &pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: "drives"})
	return err
}

func list(ctx context.Context, client pb.ProtectionPolicyServiceClient) error {
	_, err := client.ListProtectionPolicies(ctx, new(pb.ListProtectionPoliciesRequest))
	return err
}

// auditLine is what the tests read of a line.
type auditLine struct {
	Kind, Principal, RPC, Outcome, Reason string
	Seq, Attempt                          uint64
	RequestID                             string
}

// lines are those of the audit file.
func (d *desk) lines(t *testing.T, path string) (all []auditLine) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(content)) {
		var line auditLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all = append(all, line)
	}
	return all
}

func TestCallersByCertificateAndByToken(t *testing.T) {
	d := newDesk(t)
	operator, reader, nobody := d.connect(t, "operator"), d.connect(t, "reader"), d.connect(t, "")
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"an operator writes", func() error { return create(t.Context(), operator) }, ""},
		{"a reader reads", func() error { return list(t.Context(), reader) }, ""},
		{"a reader writes", func() error { return create(t.Context(), reader) }, "CALLER_NOT_ALLOWED"},
		{"nobody reads", func() error { return list(t.Context(), nobody) }, "CALLER_UNAUTHENTICATED"},
		{"an operator writes by token", func() error { return create(d.token(t, "operator"), nobody) }, ""},
		{"a reader writes by token", func() error { return create(d.token(t, "reader"), nobody) }, "CALLER_NOT_ALLOWED"},
		{"the token decides, whatever the certificate is", func() error { return create(d.token(t, "reader"), operator) }, "CALLER_NOT_ALLOWED"},
		{"another tenant", func() error {
			return list(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantC), operator)
		}, "CALLER_NOT_ALLOWED"},
	} {
		if err := c.do(); reasonOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	// A broken rights file changes nothing, a good one counts at once.
	before, err := os.ReadFile(d.at("rights.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(d.at("rights.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("version: 1\ncallers: [")
	d.await(t, `"what":"rights"`)
	if err := list(t.Context(), operator); err != nil {
		t.Errorf("with a broken rights file: %v", err)
	}
	write(strings.ReplaceAll(string(before), "desk.example/operator", "desk.example/other"))
	awaitReason(t, func() error { return list(t.Context(), operator) }, "CALLER_NOT_ALLOWED")
	write(string(before))
	awaitReason(t, func() error { return list(t.Context(), operator) }, "")
	if err := d.stop(); err != nil {
		t.Errorf("the process ended with %v: %s", err, d.log)
	}
	attempts, outcomes, denied := 0, 0, 0
	for _, line := range d.lines(t, d.audit) {
		switch line.Kind {
		case "attempt":
			attempts++
			if line.RPC != "ProtectionPolicyService/CreateOneDriveForBusinessProtectionPolicy" || line.RequestID == "" ||
				line.Principal != "spiffe://desk.example/operator" && line.Principal != "oidc:"+deskIssuer+"#operator" {
				t.Errorf("attempt %+v", line)
			}
		case "outcome":
			outcomes++
			if line.Outcome != "ok" || line.Attempt == 0 {
				t.Errorf("outcome %+v", line)
			}
		case "denied":
			denied++
		}
	}
	if attempts != 2 || outcomes != 2 || denied < 5 {
		t.Errorf("%d attempts, %d outcomes, %d denied", attempts, outcomes, denied)
	}
	token, _ := os.ReadFile(d.at("operator.token"))
	if strings.Contains(d.log.String(), string(token)) {
		t.Error("the log has a token")
	}
	if !strings.Contains(d.log.String(), `"principal":"spiffe://desk.example/operator"`) || !strings.Contains(d.log.String(), `"tenant":"`+emulator.TenantA) {
		t.Errorf("the lines of calls name neither caller nor tenant: %s", d.log)
	}
}

// has reports whether the log has a text.
func (d *desk) has(text string) bool { return strings.Contains(d.log.String(), text) }

// await waits until the log has a text.
func (d *desk) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !d.has(text); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %s: %s", text, d.log)
		}
	}
}

func awaitReason(t *testing.T, do func() error, want string) {
	t.Helper()
	deadline := time.Now().Add(wholeRotation)
	for err := do(); reasonOf(err) != want || (err == nil) != (want == ""); err = do() {
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
}

// ledger is what reached the emulator.
func (d *desk) ledger(t *testing.T) (requests []string) {
	t.Helper()
	response, err := http.Get("http://" + d.emulator + "/_emulator/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct {
		Entries []struct{ Kind, Method, ClientRequestID string }
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	for _, e := range body.Entries {
		if e.Method == http.MethodPost {
			requests = append(requests, strings.ToLower(e.ClientRequestID))
		}
	}
	return requests
}

// TestAuditLinesSurviveSIGKILL kills the server while it writes: for every write that reached Graph there is an
// attempt.
func TestAuditLinesSurviveSIGKILL(t *testing.T) {
	upstream := newUpstream(t)
	// Of all rounds: a request can arrive after its server was killed.
	attempts := make(map[string]bool)
	for round := range 5 {
		d := newDesk(t, "BACKUPSTORAGE_GRAPH_ENDPOINT="+upstream.url, "BACKUPSTORAGE_GRAPH_CA_FILE="+rootsOf(t, upstream), "BACKUPSTORAGE_EMULATOR_LISTEN=", "BACKUPSTORAGE_EMULATOR_SCENARIO=")
		operator := d.connect(t, "operator")
		// Each round kills the server at another point: after so many writes.
		arrived := make(chan struct{})
		var writes atomic.Int64
		upstream.mu.Lock()
		upstream.before = func(http.ResponseWriter, *http.Request) bool {
			if writes.Add(1) == int64(1+3*round) {
				close(arrived)
			}
			return false
		}
		upstream.mu.Unlock()
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				for err := error(nil); err == nil; {
					ctx, _ := as(t.Context(), emulator.TenantA, "")
					err = create(ctx, operator)
				}
			})
		}
		<-arrived
		if err := d.server.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = d.stop()
		calls.Wait()
		for _, line := range d.lines(t, d.audit) {
			if line.Kind == "attempt" {
				attempts[strings.ToLower(line.RequestID)] = true
			}
		}
		upstream.mu.Lock()
		if len(upstream.tokens) == 0 {
			t.Error("no request reached Graph")
		}
		for id := range upstream.tokens {
			if !attempts[strings.ToLower(id)] {
				t.Errorf("round %d: request %s reached Graph and has no attempt", round, id)
			}
		}
		upstream.mu.Unlock()
	}
}

// TestAuditRequiredRefusesWrites fills the sink: no write reaches the emulator, reads do.
func TestAuditRequiredRefusesWrites(t *testing.T) {
	d := newDesk(t, "BACKUPSTORAGE_AUDIT_FILE=/dev/full", "BACKUPSTORAGE_AUDIT=best-effort")
	operator := d.connect(t, "operator")
	if err := create(t.Context(), operator); err != nil {
		t.Errorf("best-effort: %v", err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	d = newDesk(t)
	operator = d.connect(t, "operator")
	if err := create(t.Context(), operator); err != nil {
		t.Fatal(err)
	}
	// The file cannot be opened anew: what is written from now on is lost.
	if err := os.Rename(d.audit, d.audit+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", d.audit); err != nil {
		t.Fatal(err)
	}
	if err := d.server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, func() error { return create(t.Context(), operator) }, "AUDIT_UNAVAILABLE")
	sent := len(d.ledger(t))
	for range 5 {
		if err := create(t.Context(), operator); reasonOf(err) != "AUDIT_UNAVAILABLE" || status.Code(err) != codes.Unavailable {
			t.Errorf("with a full sink: %v", err)
		}
	}
	if now := len(d.ledger(t)); now != sent {
		t.Errorf("%d writes reached the emulator without a line", now-sent)
	}
	if err := list(t.Context(), operator); err != nil {
		t.Errorf("a read: %v", err)
	}
	// A good file again.
	if err := os.Remove(d.audit); err != nil {
		t.Fatal(err)
	}
	if err := d.server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, func() error { return create(t.Context(), operator) }, "")
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	if err := (&auditVerify{Files: []string{d.audit, d.audit + ".1"}}).Run(streams{out: &out}); err != nil && !strings.Contains(out.String(), "could not be written when they came") {
		t.Errorf("verify: %v: %s", err, &out)
	}
}

func TestDevCAOverwritesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "desk")
	for round := range 2 {
		err := (&devCACommand{Folder: folder}).Run(streams{out: io.Discard})
		if (err != nil) != (round == 1) {
			t.Errorf("round %d: %v", round, err)
		}
	}
	for round := range 2 {
		var out bytes.Buffer
		err := (&devCACommand{Folder: folder, Callers: []string{"auditor"}}).Run(streams{out: &out})
		if (err != nil) != (round == 1) || round == 0 && !strings.Contains(out.String(), "spiffe://desk.example/auditor") {
			t.Errorf("one more caller, round %d: %v: %s", round, err, &out)
		}
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(folder, "auditor.crt"), filepath.Join(folder, "auditor.key")); err != nil {
		t.Error(err)
	}
	if err := (&devCACommand{Folder: folder, Callers: []string{"../x"}}).Run(streams{out: io.Discard}); err == nil {
		t.Error("a name with a path was taken")
	}
}

func TestRightsCheckSaysWhy(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "desk")
	if err := (&devCACommand{Folder: folder}).Run(streams{out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rpc, want string }{
		{"ProtectionPolicyService/ListProtectionPolicies", "allowed: line 9"},
		{"ProtectionPolicyService/DeleteProtectionPolicy", "denied: line 9"},
		{"ProtectionPolicyService/Nothing", ""},
	} {
		var out bytes.Buffer
		err := (&rightsCheck{filepath.Join(folder, "rights.yaml"), "spiffe://desk.example/reader", emulator.TenantA, c.rpc}).Run(streams{out: &out})
		if !strings.Contains(out.String(), c.want) || (err == nil) != strings.HasPrefix(c.want, "allowed") {
			t.Errorf("%s: %v: %s", c.rpc, err, &out)
		}
	}
	var out bytes.Buffer
	if err := (&rightsList{filepath.Join(folder, "rights.yaml")}).Run(streams{out: &out}); err != nil || !strings.Contains(out.String(), "reader: READ") {
		t.Errorf("%v: %s", err, &out)
	}
}

// rootsOf is a file with the root of an upstream.
func rootsOf(t *testing.T, u *upstream) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, u.root, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
