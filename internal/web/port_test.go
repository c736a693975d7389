package web

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const (
	service   = "m365.backupstorage.v1.BackupRestoreService"
	method    = "/" + service + "/GetBackupRestore"
	stream    = "m365.backupstorage.v1.WatchService"
	watch     = "/" + stream + "/WatchProtectionPolicy"
	largeName = 6 << 20
)

// backupRestore responds with a large message.
type backupRestore struct {
	pb.UnimplementedBackupRestoreServiceServer
}

func (backupRestore) GetBackupRestore(context.Context, *pb.GetBackupRestoreRequest) (*pb.GetBackupRestoreResponse, error) {
	return &pb.GetBackupRestoreResponse{BackupRestore: &pb.BackupRestore{ServiceStatus: &pb.ServiceStatus{
		LastModifiedBy: &pb.IdentitySet{User: &pb.Identity{DisplayName: strings.Repeat("a", largeName)}},
	}}}, nil
}

// watches sends one message, and then nothing until the client goes.
type watches struct {
	pb.UnimplementedWatchServiceServer
	ended chan error
}

func (w watches) WatchProtectionPolicy(_ *pb.WatchProtectionPolicyRequest, s grpc.ServerStreamingServer[pb.WatchProtectionPolicyResponse]) error {
	if err := s.Send(&pb.WatchProtectionPolicyResponse{Revision: "1"}); err != nil {
		return err
	}
	<-s.Context().Done()
	w.ended <- s.Context().Err()
	return s.Context().Err()
}

// bench is a web port whose clients connect within the process, so that it can be in a bubble.
type bench struct {
	port    *Port
	clients *Pipes
	refused chan Refusal
	ended   chan error
}

func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := &bench{clients: NewPipes(), refused: make(chan Refusal, 100), ended: make(chan error, 100)}
	o := Options{
		Services: []string{service, stream}, Pipes: NewPipes(), MaxHeader: 16 << 10, MaxMessage: 8 << 20, Logger: slog.New(slog.DiscardHandler),
		Refuse: func(_ context.Context, _ http.Header, _ string, why Refusal) *spb.Status {
			b.refused <- why
			return &spb.Status{Code: int32(codes.InvalidArgument), Message: why.Reason.String()}
		},
	}
	if change != nil {
		change(&o)
	}
	port, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.port = port
	server := grpc.NewServer()
	pb.RegisterBackupRestoreServiceServer(server, backupRestore{})
	pb.RegisterWatchServiceServer(server, watches{ended: b.ended})
	go func() { _ = server.Serve(o.Pipes) }()
	go func() { _ = port.Serve(b.clients, nil) }()
	t.Cleanup(func() {
		_ = port.Close()
		server.Stop()
	})
	return b
}

// connect connects to the port.
func (b *bench) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, err := b.clients.dial(t.Context(), "10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// refusal is why the first request was refused that was.
func (b *bench) refusal(t *testing.T) Refusal {
	t.Helper()
	synctest.Wait()
	select {
	case why := <-b.refused:
		return why
	default:
		t.Fatal("nothing was refused")
		return Refusal{}
	}
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

const head = "POST " + method + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

func TestSlowClientsAreLetGo(t *testing.T) {
	for _, c := range []struct {
		name, sends string
		within      time.Duration
		wants       string
	}{
		{"headers that never end", "POST " + method + " HTTP/1.1\r\nHost: localhost\r\n", headerTime + time.Second, ""},
		{"nothing at all", "", headerTime + time.Second, ""},
		{"a body that never ends", head + "Content-Length: 100\r\n\r\n{", messageTime + time.Second, "DEADLINE_EXCEEDED"},
		{"an envelope that never ends", strings.Replace(head, "json", "grpc-web", 1) + "Content-Length: 100\r\n\r\n\x00\x00", messageTime + time.Second, "DEADLINE_EXCEEDED"},
		{"a refusal does not wait for the body", strings.Replace(head, "application/json", "text/plain", 1) + "Content-Length: 100\r\n\r\n{", time.Second, "INVALID_REQUEST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				conn := b.connect(t)
				send(t, conn, c.sends)
				began := time.Now()
				got := make([]byte, 4096)
				n, err := conn.Read(got)
				if took := time.Since(began); took > c.within || c.wants == "" && err == nil && !strings.Contains(string(got[:n]), "408") {
					t.Errorf("%q after %v, %v", got[:n], took, err)
				}
				if c.wants == "" {
					return
				}
				if why := b.refusal(t); why.Reason.String() != c.wants || !strings.Contains(string(got[:n]), c.wants) {
					t.Errorf("refused for %v: %q", why, got[:n])
				}
			})
		})
	}
}

// A client that does not take a large response loses its connection, and what was counted for it is free again.
func TestResponsesThatAreNotTakenAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		conn := b.connect(t)
		send(t, conn, head+"Content-Length: 2\r\n\r\n{}")
		synctest.Wait()
		held := func() int64 {
			b.port.responses.mu.Lock()
			defer b.port.responses.mu.Unlock()
			return b.port.responses.used
		}
		if held() < largeName {
			t.Errorf("%d bytes are counted", held())
		}
		time.Sleep(takeTime + (largeName/takeRate+1)*time.Second)
		synctest.Wait()
		if held() != 0 {
			t.Errorf("%d bytes are counted after the time", held())
		}
		if n, err := io.Copy(io.Discard, conn); n >= largeName {
			t.Errorf("%d bytes came, %v", n, err)
		}
	})
}

// A stream that is silent for long has all its time, and its call ends with its client.
func TestStreamsLastAndEndWithTheirClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		conn := b.connect(t)
		send(t, conn, "POST "+watch+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\nContent-Length: 7\r\n\r\n\x00\x00\x00\x00\x02{}")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		message := make([]byte, 5+len(`{"revision":"1"}`))
		if _, err := io.ReadFull(response.Body, message); err != nil || !strings.HasSuffix(string(message), `{"revision":"1"}`) {
			t.Fatalf("%q %v", message, err)
		}
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		select {
		case err := <-b.ended:
			t.Fatalf("the call ended: %v", err)
		default:
		}
		conn.Close()
		if err := <-b.ended; err != context.Canceled { //nolint:errorlint // It is the context's own.
			t.Errorf("the call ended with %v", err)
		}
	})
}

// Large messages together have a bound, and each client a share of it.
func TestLargeMessagesHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		const each = 7 << 20
		var conns []net.Conn
		for range 3 * maxRequests / each / 2 {
			conn := b.connect(t)
			conns = append(conns, conn)
			go func() {
				_, _ = io.WriteString(conn, head+"Content-Length: 8000000\r\n\r\n"+`{"a":"`+strings.Repeat("a", each))
			}()
		}
		synctest.Wait()
		b.port.requests.mu.Lock()
		used := b.port.requests.used
		b.port.requests.mu.Unlock()
		if used == 0 || used > maxRequests/2 {
			t.Errorf("one client holds %d bytes", used)
		}
		if why := b.refusal(t); why.Reason != pb.ErrorReason_SERVER_OVERLOADED {
			t.Errorf("refused for %v", why)
		}
		for _, conn := range conns {
			conn.Close()
		}
		time.Sleep(messageTime)
		synctest.Wait()
		b.port.requests.mu.Lock()
		defer b.port.requests.mu.Unlock()
		if b.port.requests.used != 0 || len(b.port.requests.byClient) != 0 {
			t.Errorf("%d bytes are left, of %d", b.port.requests.used, len(b.port.requests.byClient))
		}
	})
}

func TestFilesOfThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) {
			o.Files = fstest.MapFS{
				"index.html": {Data: []byte("<!doctype html>")}, "assets/app-3fA9c0d1.js": {Data: []byte("1")}, "favicon.svg": {Data: []byte("<svg/>")},
			}
			o.Contract = func() ([]byte, error) { return []byte("contract"), nil }
			o.Emulator = http.NotFoundHandler()
		})
		for path, want := range map[string]struct {
			status      int
			cached, has string
		}{
			"/": {200, "no-cache", "<!doctype html>"}, "/assets/app-3fA9c0d1.js": {200, "public, max-age=31536000, immutable", "1"},
			"/favicon.svg": {200, "no-cache", "<svg/>"}, "/assets/": {404, "no-store", "not found"}, "/assets": {404, "no-store", "not found"},
			"/contract.binpb": {200, "no-cache", "contract"}, "/about.json": {200, "no-store", `"upstream":""`},
			"/_emulator/clock": {404, "no-store", "not found"}, "/../go.mod": {http.StatusTemporaryRedirect, "no-store", ""},
		} {
			conn := b.connect(t)
			send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != want.status || response.Header.Get("Cache-Control") != want.cached || !strings.Contains(string(body), want.has) {
				t.Errorf("%s: %d, %v: %q", path, response.StatusCode, response.Header, body)
			}
		}
	})
}
