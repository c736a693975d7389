//go:build live

package prometheus

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/m365backup/backupstorage/internal/freeport"
)

// replica is a server in a process of its own, which keeps its addresses when it starts anew.
type replica struct {
	name, listen, admin string
	around              *surroundings
	process             *exec.Cmd
	// log is the end of a pipe from which somebody has to read.
	log *os.File
	// unread is held while nobody reads the log.
	unread sync.Mutex
}

func newReplica(t *testing.T, w *surroundings, name string) *replica {
	t.Helper()
	r := &replica{name: name, listen: freeport.ForTest(t), admin: freeport.ForTest(t), around: w}
	t.Cleanup(r.kill)
	w.write(t, r.rights(), []byte(goodRights))
	return r
}

// build builds the server as the image has it.
func build(t *testing.T, to string, flags ...string) string {
	t.Helper()
	command := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", to}, flags...), "../../cmd/server")...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// upstreamFlags say which Graph a replica has, and how it gets tokens: what `server check` needs too.
func (w *surroundings) upstreamFlags() []string {
	return []string{
		"--graph-endpoint", "https://graph.microsoft.com/v1.0", "--graph-credential", "client-secret",
		"--graph-client-id", "11111111-2222-4333-8444-00000000c11e", "--graph-client-secret-file", w.at("secret"), "--graph-ca-file", w.at("roots.pem"),
	}
}

// environment leads to Microsoft by the proxy.
func (w *surroundings) environment() []string {
	return append(os.Environ(), "HTTPS_PROXY="+w.proxy, "NO_PROXY=")
}

// servingFlags are those of production: TLS, callers, rights, audit.
func (r *replica) servingFlags() []string {
	at := r.around.at
	return []string{
		"--listen", r.listen, "--admin-listen", r.admin, "--drain-timeout", "1s", "--reload-interval", "200ms",
		"--tls-certificate-file", at("tls.crt"), "--tls-key-file", at("tls.key"), "--tls-client-ca-file", at("roots.pem"), "--tls-client-auth", "optional",
		"--rights-file", at(r.rights()), "--audit", "required", "--audit-file", r.audit(), "--page-token-key-file", at("keys"),
	}
}

// rights is the name of the rights file, audit the path of the audit file.
func (r *replica) rights() string { return "rights-" + r.name + ".yaml" }

func (r *replica) audit() string { return r.around.at("audit-" + r.name) }

// start starts a program as this replica, and waits until it is ready.
func (r *replica) start(t *testing.T, program string, flags ...string) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	r.log = read
	r.process = exec.Command(program, flags...)
	// A collector of spans that is down all the time.
	r.process.Env, r.process.Stderr = append(r.around.environment(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"), write
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	copied, err := os.OpenFile(r.around.at("replica-"+r.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer copied.Close()
		defer read.Close()
		for {
			r.unread.Lock()
			r.unread.Unlock() //nolint:staticcheck // It waits while nobody is to read.
			if _, err := io.CopyN(copied, read, 4096); err != nil {
				return
			}
		}
	}()
	r.waitReady(t)
}

func (r *replica) waitReady(t *testing.T) {
	t.Helper()
	for began := time.Now(); ; <-time.After(50 * time.Millisecond) {
		if _, err := get(r.admin, "/readyz"); err == nil {
			return
		} else if time.Since(began) > 30*time.Second {
			t.Fatalf("replica %s is not ready: %v", r.name, err)
		}
	}
}

// stop stops the replica as a cluster does.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.process.Wait(); err != nil {
		t.Errorf("replica %s: %v", r.name, err)
	}
	r.process = nil
}

func (r *replica) kill() {
	if r.process != nil {
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
	}
}

// occupy takes a connection and says nothing.
func (r *replica) occupy(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", r.listen)
	if err != nil {
		return
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	// It ends when the server closes the connection, or when the time is over.
	_, _ = connection.Read(make([]byte, 1))
}

func (r *replica) connect(t *testing.T, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+r.listen, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// get gets a page over HTTP.
func get(address, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status + ": " + string(text))
	}
	return string(text), err
}
