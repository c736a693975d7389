package main

import (
	"cmp"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// The names of Graph and of the token authority behind a proxy. They cannot be looked up.
const proxiedGraph, proxiedAuthority = "graph.example:443", "login.example:443"

// proxy is an HTTP proxy. It connects names to servers on loopback.
type proxy struct {
	address string
	// servers are the addresses by the names that CONNECT asks for, statuses the names that are refused.
	servers  map[string]string
	statuses map[string]int
	// inspects are the names whose TLS the proxy ends with a certificate of its own.
	inspects map[string]*tls.Config

	mu    sync.Mutex
	names map[string]bool
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{servers: make(map[string]string), statuses: make(map[string]int), inspects: make(map[string]*tls.Config), names: make(map[string]bool)}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.address = server.Listener.Addr().String()
	return p
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.names[r.Host] = true
	p.mu.Unlock()
	if status := p.statuses[r.Host]; status != 0 || r.Method != http.MethodConnect {
		w.WriteHeader(cmp.Or(status, http.StatusMethodNotAllowed))
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	// The client sends nothing before it has the response, so that nothing is left in a buffer of net/http.
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	server, err := net.Dial("tcp", p.servers[r.Host])
	if err != nil {
		return
	}
	defer server.Close()
	if own := p.inspects[r.Host]; own != nil {
		own = own.Clone()
		own.NextProtos = []string{"http/1.1"}
		client = tls.Server(client, own)
		server = tls.Client(server, &tls.Config{InsecureSkipVerify: true, NextProtos: own.NextProtos}) //nolint:gosec // What the server's certificate is does not matter here.
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
	client.Close()
	<-ended
}

// asked returns the names that were to be connected.
func (p *proxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.names))
}

// newNamedAuthority starts a token authority with a certificate for its names. Its endpoints are at the name by which
// it was asked.
func newNamedAuthority(t *testing.T) (server *httptest.Server, root []byte) {
	t.Helper()
	tokens := authoritytest.New(t).Handler()
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			base := "https://" + r.Host + "/" + strings.Split(r.URL.Path, "/")[1]
			_, _ = io.WriteString(w, `{"issuer":"`+base+`/v2.0","authorization_endpoint":"`+base+`/authorize","token_endpoint":"`+base+`/oauth2/v2.0/token"}`)
			return
		}
		tokens.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS, root = newIdentity(t)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, root
}

// The server as a process, behind a proxy that its environment names.
func TestTheProxyOfTheEnvironment(t *testing.T) {
	u := newUpstream(t)
	authority, authorityRoot := newNamedAuthority(t)
	inspector, inspectorRoot := newIdentity(t)
	graphAddress := strings.TrimSuffix(strings.TrimPrefix(u.url, "https://"), "/v1.0")
	authorityAddress := authority.Listener.Addr().String()
	_, graphPort, _ := strings.Cut(graphAddress, ":")
	_, authorityPort, _ := strings.Cut(authorityAddress, ":")
	both := []string{proxiedGraph, proxiedAuthority}
	for _, test := range []struct {
		name string
		// statuses are responses to CONNECT, inspects the hosts whose TLS the proxy ends.
		statuses map[string]int
		inspects []string
		// trusts says that --graph-ca-file has the proxy's authority.
		trusts bool
		// direct reaches both servers at 0.0.0.0, which unlike a loopback address is not exempt from the proxy by itself.
		direct  bool
		noProxy string
		// cause is empty for a call that succeeds, host says which connection failed, retries whether there is RetryInfo.
		cause, host string
		retries     bool
		asked       []string
	}{
		{name: "a tunnel", asked: both},
		{name: "407 for the authority", statuses: map[string]int{proxiedAuthority: 407}, cause: "proxy-authentication", host: "authority", asked: both[1:]},
		{name: "407 for Graph", statuses: map[string]int{proxiedGraph: 407}, cause: "proxy-authentication", host: "graph", asked: both},
		{name: "403 for the authority", statuses: map[string]int{proxiedAuthority: 403}, cause: "proxy-refused", host: "authority", retries: true, asked: both[1:]},
		{name: "403 for Graph", statuses: map[string]int{proxiedGraph: 403}, cause: "proxy-refused", host: "graph", retries: true, asked: both},
		{name: "502 for the authority", statuses: map[string]int{proxiedAuthority: 502}, cause: "proxy-refused", host: "authority", retries: true, asked: both[1:]},
		{name: "502 for Graph", statuses: map[string]int{proxiedGraph: 502}, cause: "proxy-refused", host: "graph", retries: true, asked: both},
		{name: "inspection of the authority", inspects: both[1:], cause: "tls-unknown-authority", host: "authority", asked: both[1:]},
		{name: "inspection of Graph", inspects: both[:1], cause: "tls-unknown-authority", host: "graph", asked: both},
		{name: "inspection by a trusted authority", inspects: both, trusts: true, asked: both},
		{name: "NO_PROXY with both", direct: true, noProxy: "0.0.0.0"},
		{name: "NO_PROXY with the authority", direct: true, noProxy: "0.0.0.0:" + authorityPort, cause: "proxy-refused", host: "graph", retries: true, asked: []string{"0.0.0.0:" + graphPort}},
		{name: "NO_PROXY with Graph", direct: true, noProxy: "0.0.0.0:" + graphPort, cause: "proxy-refused", host: "authority", retries: true, asked: []string{"0.0.0.0:" + authorityPort}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProxy(t)
			p.servers[proxiedGraph], p.servers[proxiedAuthority] = graphAddress, authorityAddress
			maps.Copy(p.statuses, test.statuses)
			for _, name := range test.inspects {
				p.inspects[name] = inspector
			}
			endpoint, authorityURL := "https://graph.example/v1.0", "https://login.example"
			if test.direct {
				endpoint, authorityURL = "https://0.0.0.0:"+graphPort+"/v1.0", "https://0.0.0.0:"+authorityPort
				p.statuses["0.0.0.0:"+graphPort], p.statuses["0.0.0.0:"+authorityPort] = 403, 403
			}
			trusted := slices.Concat(u.root, authorityRoot)
			if test.trusts {
				// Nothing else is trusted: the proxy's is the only certificate that is seen.
				trusted = inspectorRoot
			}
			roots := filepath.Join(t.TempDir(), "roots.pem")
			if err := os.WriteFile(roots, trusted, 0o600); err != nil {
				t.Fatal(err)
			}
			server, log := process(t,
				"HTTPS_PROXY=http://user:canary-of-the-password@"+p.address, "NO_PROXY="+test.noProxy,
				"BACKUPSTORAGE_GRAPH_ENDPOINT="+endpoint, "BACKUPSTORAGE_GRAPH_AUTHORITY="+authorityURL, "BACKUPSTORAGE_GRAPH_CA_FILE="+roots,
				"BACKUPSTORAGE_GRAPH_CREDENTIAL=client-secret", "AZURE_CLIENT_ID="+application, "AZURE_CLIENT_SECRET=secret")
			conn, stop := begin(t, server)
			ctx, id := as(t.Context(), emulator.TenantA, "")
			_, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
			if ended := stop(); ended != nil {
				t.Errorf("the process ended with %v", ended)
			}
			if asked := p.asked(); !slices.Equal(asked, test.asked) {
				t.Errorf("the proxy was asked for %v, want %v", asked, test.asked)
			}
			if test.cause == "" {
				if err != nil || len(u.of(id)) != 1 {
					t.Errorf("got %v, and %d requests to Graph: %s", err, len(u.of(id)), log)
				}
				return
			}
			got, reason, code := readStatus(err), "GRAPH_UNREACHABLE", codes.Unavailable
			if test.host == "authority" {
				reason = "GRAPH_CREDENTIALS_UNAVAILABLE"
				if !test.retries {
					code = codes.FailedPrecondition
				}
			}
			if got.reason != reason || got.code != code || got.metadata["cause"] != test.cause || got.retries != test.retries {
				t.Errorf("got %s", got.description)
			}
			if line := logLine(t, log.String(), "call", "requestId", id); line["cause"] != test.cause || line["host"] != test.host {
				t.Errorf("line %v", line)
			}
			if test.host == "authority" {
				if line := logLine(t, log.String(), "token request failed", "requestId", id); line["cause"] != test.cause || line["host"] != test.host {
					t.Errorf("line %v", line)
				}
			}
			if strings.Contains(log.String()+got.description, "canary") {
				t.Errorf("the password of the proxy is in the Status or the log: %s %s", got.description, log)
			}
		})
	}
}
