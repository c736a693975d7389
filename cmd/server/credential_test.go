package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

const application = "2b6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b33"

// upstream is the emulator behind TLS. It records the token of each request.
type upstream struct {
	url string
	// root is the certificate to trust, in PEM.
	root []byte

	mu     sync.Mutex
	tokens map[string][]string // By client-request-id.
	// before, when set, sees each request first. It returns true when it has written the response itself.
	before func(w http.ResponseWriter, r *http.Request) bool
	// open is the number of connections. closed is signalled when one of them ends.
	open   int
	closed sync.Cond
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{tokens: make(map[string][]string)}
	u.closed.L = &u.mu
	e := emulator.New(emulator.Options{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, token := r.Header.Get("Client-Request-Id"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		u.mu.Lock()
		u.tokens[id] = append(u.tokens[id], token)
		before := u.before
		u.mu.Unlock()
		if before == nil || !before(w, r) {
			e.ServeHTTP(w, r)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		u.mu.Lock()
		defer u.mu.Unlock()
		switch state {
		case http.StateNew:
			u.open++
		case http.StateClosed:
			u.open--
			u.closed.Broadcast()
		}
	}
	server.EnableHTTP2 = true
	server.TLS, u.root = newIdentity(t)
	// Enough streams for all requests of a test: each request above the limit would open a connection of its own.
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2000}
	// Connections that end during their handshake are not of interest.
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	u.url = server.URL + "/v1.0"
	return u
}

// newIdentity makes an ECDSA certificate. A thousand handshakes at the same time would take too long with the RSA
// certificate of net/http/httptest.
func newIdentity(t *testing.T) (server *tls.Config, root []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero}, DNSNames: []string{"graph.example", "login.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// wantNoConnections checks that the server has closed its connections. The check for goroutines after all tests cannot
// see that: by then the upstream has closed them.
func (u *upstream) wantNoConnections(t *testing.T) {
	t.Helper()
	late := false
	timer := time.AfterFunc(10*time.Second, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		late = true
		u.closed.Broadcast()
	})
	defer timer.Stop()
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.open > 0 && !late {
		u.closed.Wait()
	}
	if u.open > 0 {
		t.Errorf("the server left %d connections open", u.open)
	}
}

// of returns the tokens of the requests that had this client-request-id.
func (u *upstream) of(id string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tokens[id]
}

// cloud is a server whose upstream is the emulator behind TLS, and whose tokens come from a fake authority.
type cloud struct {
	*running
	upstream   *upstream
	authority  *authoritytest.Authority
	secretFile string
}

// startOnCloud starts a server with a client secret, and these flags in addition.
func startOnCloud(t *testing.T, arguments ...string) *cloud {
	t.Helper()
	c := &cloud{upstream: newUpstream(t), authority: authoritytest.New(t), secretFile: filepath.Join(t.TempDir(), "secret")}
	c.setSecret(t, "secret-1")
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, append(c.upstream.root, c.authority.Root()...), 0o600); err != nil {
		t.Fatal(err)
	}
	// Cleanups run in reverse order: this check comes after the end of the server.
	t.Cleanup(func() { c.upstream.wantNoConnections(t) })
	c.running = start(t, append([]string{
		"--graph-endpoint", c.upstream.url, "--graph-authority", c.authority.URL, "--graph-ca-file", roots,
		"--graph-credential", "client-secret", "--graph-client-id", application, "--graph-client-secret-file", c.secretFile,
	}, arguments...)...)
	return c
}

func (c *cloud) setSecret(t *testing.T, secret string) {
	t.Helper()
	if err := os.WriteFile(c.secretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// as returns the context of a call in a tenant, and the id of its request. With an assertion the call is made on behalf
// of a user.
func as(ctx context.Context, tenant, assertion string) (_ context.Context, id string) {
	id = uuid.NewString()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant, "x-request-id", id)
	if assertion != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", assertion)
	}
	return ctx, id
}

// reasonOf returns the reason of an error; empty when it has no ErrorInfo.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// wantTokens checks that the upstream got the request, and that its token has the claims.
func (c *cloud) wantTokens(t *testing.T, id string, claims map[string]string) {
	t.Helper()
	tokens := c.upstream.of(id)
	if len(tokens) == 0 {
		t.Error("the upstream did not get the request")
	}
	for _, token := range tokens {
		got := authoritytest.Claims(token)
		for name, want := range claims {
			if got[name] != want {
				t.Errorf("%s of the token is %v, want %s", name, got[name], want)
			}
		}
	}
}

func TestEachCallCarriesTheTokenOfItsTenant(t *testing.T) {
	c := startOnCloud(t)
	policies := pb.NewProtectionPolicyServiceClient(c.conn)
	var calls sync.WaitGroup
	for n := range 40 {
		tenant := []string{emulator.TenantA, emulator.TenantC}[n%2]
		calls.Go(func() {
			ctx, id := as(t.Context(), tenant, "")
			var err error
			// Writes of two workloads and reads: reads and writes use different connections.
			switch n / 2 % 3 {
			case 0:
				_, err = policies.CreateOneDriveForBusinessProtectionPolicy(ctx, &pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: "drives"})
			case 1:
				_, err = policies.CreateSharePointProtectionPolicy(ctx, &pb.CreateSharePointProtectionPolicyRequest{DisplayName: "sites"})
			default:
				_, err = policies.ListProtectionPolicies(ctx, new(pb.ListProtectionPoliciesRequest))
			}
			if err != nil {
				t.Error(err)
			}
			c.wantTokens(t, id, map[string]string{"tid": tenant, "appid": application})
		})
	}
	calls.Wait()
	if n := len(c.authority.Requests()); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
	if _, err := policies.ListProtectionPolicies(t.Context(), new(pb.ListProtectionPoliciesRequest)); reasonOf(err) != "TENANT_REQUIRED" {
		t.Errorf("a call without a tenant: %v", err)
	}
	c.end(t)
}

func TestThousandFirstCallsCostOneTokenRequestATenant(t *testing.T) {
	c := startOnCloud(t, "--max-calls", "2000")
	// Writes share a connection to Graph. This call opens it, so that the test does not wait for a thousand handshakes.
	if err := deletesNothing(t.Context(), c.conn, emulator.TenantB); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	c.authority.Handle(func(authoritytest.Request) authoritytest.Answer {
		<-release
		return authoritytest.Answer{}
	})
	var started, calls sync.WaitGroup
	for range 10 {
		// A connection of the server has 100 streams.
		conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		for n := range 100 {
			started.Add(1)
			calls.Go(func() {
				started.Done()
				if err := deletesNothing(t.Context(), conn, []string{emulator.TenantA, emulator.TenantC}[n%2]); err != nil {
					t.Error(err)
				}
			})
		}
	}
	started.Wait()
	close(release)
	calls.Wait()
	if n := len(c.authority.Requests()); n != 3 {
		t.Errorf("%d token requests, want 3", n)
	}
}

// deletesNothing makes a call that always reaches Graph and fails there: the policy does not exist, or the service is
// disabled in the tenant.
func deletesNothing(ctx context.Context, conn *grpc.ClientConn, tenant string) error {
	ctx, _ = as(ctx, tenant, "")
	_, err := pb.NewProtectionPolicyServiceClient(conn).DeleteProtectionPolicy(ctx, &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: uuid.NewString()})
	if reason := reasonOf(err); reason != "POLICY_NOT_FOUND" && reason != "OPERATION_NOT_ALLOWED" {
		return fmt.Errorf("got %s: %w", reason, err)
	}
	return nil
}

// hasty sends a deadline to the server, but its client waits longer than that. Otherwise a client that is a little late
// ends the call itself, with an error that looks like the server's.
type hasty struct {
	context.Context
	time time.Duration
}

// Deadline is what gRPC sends to the server.
func (h hasty) Deadline() (time.Time, bool) { return time.Now().Add(h.time), true }

func TestTokenThatHangsHoldsUpNobody(t *testing.T) {
	c := startOnCloud(t)
	release, asked := make(chan struct{}), make(chan struct{})
	c.authority.Handle(func(r authoritytest.Request) authoritytest.Answer {
		if r.Tenant == emulator.TenantA {
			close(asked)
			<-release
		}
		return authoritytest.Answer{}
	})
	client := pb.NewBackupRestoreServiceClient(c.conn)
	patient := make(chan error, 1)
	go func() {
		ctx, _ := as(t.Context(), emulator.TenantA, "")
		_, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
		patient <- err
	}()
	<-asked
	ctx, _ := as(t.Context(), emulator.TenantC, "")
	if _, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
		t.Errorf("the other tenant: %v", err)
	}
	for attempt := 1; ; attempt++ {
		start := time.Now()
		ctx, _ := as(hasty{t.Context(), 200 * time.Millisecond}, emulator.TenantA, "")
		_, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
		// Far below the timeout of a token request. The tests of the cache check exact times, on a clock of their own.
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if status.Code(err) == codes.DeadlineExceeded && reasonOf(err) == "DEADLINE_EXCEEDED" {
			break
		}
		// The server answers 20 ms before the deadline. On a busy machine gRPC can end the call before that.
		if attempt == 3 {
			t.Errorf("the server never answered before the deadline: %v", err)
			break
		}
	}
	close(release)
	if err := <-patient; err != nil {
		t.Errorf("the patient caller: %v", err)
	}
	if n := len(c.authority.Requests()); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

func TestUsersNeverShareAToken(t *testing.T) {
	c := startOnCloud(t)
	client := pb.NewBackupRestoreServiceClient(c.conn)
	assertions := map[string]string{
		"user-1": authoritytest.Assertion(emulator.TenantA, "user-1"), "user-2": authoritytest.Assertion(emulator.TenantA, "user-2"),
	}
	var calls sync.WaitGroup
	for range 30 {
		for user, assertion := range assertions {
			calls.Go(func() {
				ctx, id := as(t.Context(), emulator.TenantA, assertion)
				if _, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
					t.Error(err)
				}
				c.wantTokens(t, id, map[string]string{"tid": emulator.TenantA, "oid": user})
			})
		}
		calls.Go(func() {
			ctx, id := as(t.Context(), emulator.TenantA, "")
			if _, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
				t.Error(err)
			}
			for _, token := range c.upstream.of(id) {
				if authoritytest.Claims(token)["scp"] != nil {
					t.Error("the application has the token of a user")
				}
			}
		})
	}
	calls.Wait()
	if n := len(c.authority.Requests()); n != 3 {
		t.Errorf("%d token requests, want 3", n)
	}
	// Graph allows this operation to users, and not to applications.
	ctx, _ := as(t.Context(), emulator.TenantA, "")
	if _, err := client.UpdateEmailNotificationsSetting(ctx, new(pb.UpdateEmailNotificationsSettingRequest)); reasonOf(err) != "DELEGATED_TOKEN_REQUIRED" {
		t.Errorf("an application changes the mail settings: %v", err)
	}
	ctx, _ = as(t.Context(), emulator.TenantC, assertions["user-1"])
	if _, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); reasonOf(err) != "DELEGATED_TOKEN_REJECTED" {
		t.Errorf("a user in another tenant: %v", err)
	}
}

func TestRotationOfSecretLosesNoCall(t *testing.T) {
	c := startOnCloud(t)
	var mu sync.Mutex
	accepted := []string{"secret-1"}
	c.authority.Handle(func(r authoritytest.Request) authoritytest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(accepted, r.Secret) {
			return authoritytest.Answer{Status: 401, Code: "invalid_client", Numbers: []int{7000215}}
		}
		return authoritytest.Answer{}
	})
	client := pb.NewBackupRestoreServiceClient(c.conn)
	const callers, rotations = 8, 5
	stop := make(chan struct{})
	var calls sync.WaitGroup
	var made [callers]atomic.Int64
	for caller := range callers {
		calls.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				// Each call is made for a new user, so that it needs a new token.
				ctx, _ := as(t.Context(), emulator.TenantA, authoritytest.Assertion(emulator.TenantA, fmt.Sprint(caller, "-", n)))
				if _, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
					t.Errorf("call %d: %v", n, err)
				}
				made[caller].Add(1)
			}
		})
	}
	for n := 2; n < 2+rotations; n++ {
		// Between two rotations each caller begins and ends a call, so that no token request meets two rotations.
		for caller := range made {
			for before := made[caller].Load(); made[caller].Load() < before+2; {
				ctx, _ := as(t.Context(), emulator.TenantA, "")
				if _, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
					t.Error(err)
				}
			}
		}
		// The authority accepts the new secret before the file has it. It stops accepting the old one while requests
		// with it are under way.
		secret := fmt.Sprint("secret-", n)
		mu.Lock()
		accepted = append(accepted, secret)
		mu.Unlock()
		c.setSecret(t, secret)
		mu.Lock()
		accepted = []string{secret}
		mu.Unlock()
	}
	close(stop)
	calls.Wait()
}

func TestNationalCloudTenantIsRefusedLocally(t *testing.T) {
	c := startOnCloud(t, "--national-cloud-tenants", strings.ToUpper(emulator.TenantC))
	ctx, id := as(t.Context(), emulator.TenantC, "")
	_, err := pb.NewBackupRestoreServiceClient(c.conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
	if reasonOf(err) != "CLOUD_NOT_SUPPORTED" || len(c.authority.Requests()) != 0 || c.authority.Discoveries() != 0 || len(c.upstream.of(id)) != 0 {
		t.Errorf("%v, after %d token requests", err, len(c.authority.Requests()))
	}
}

func TestNoSecretIsInLogOrStatus(t *testing.T) {
	c := startOnCloud(t)
	const secret, claims = "canary-of-the-secret", `{"access_token":{"canary-of-the-claims":{"essential":true}}}`
	c.setSecret(t, secret)
	assertion := authoritytest.Assertion(emulator.TenantA, "canary-of-the-user")
	var mu sync.Mutex
	var answer authoritytest.Answer
	c.authority.Handle(func(authoritytest.Request) authoritytest.Answer {
		mu.Lock()
		defer mu.Unlock()
		return answer
	})
	challenge := func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"code":"InvalidAuthenticationToken","message":"Continuous access evaluation"}}`)
		return true
	}
	client := pb.NewBackupRestoreServiceClient(c.conn)
	var seen strings.Builder
	for _, step := range []struct {
		answer authoritytest.Answer
		before func(http.ResponseWriter, *http.Request) bool
		failed bool
	}{
		{failed: false},
		{before: challenge, failed: true},
		{answer: authoritytest.Answer{Status: 401, Body: `{"error":"invalid_client","error_description":"wrong: ` + secret + `"}`}, failed: true},
		{answer: authoritytest.Answer{Status: 400, Body: `{"error":"interaction_required","error_description":"` + assertion + `","claims":"canary-of-the-claims"}`}, failed: true},
		{answer: authoritytest.Answer{Body: `{"access_token":"canary-of-a-token"}`}, failed: true},
		{answer: authoritytest.Answer{Token: "canary-of-a-token"}, failed: true},
		{answer: authoritytest.Answer{Token: authoritytest.JWT(map[string]any{"tid": "canary-of-a-token"})}, failed: true},
	} {
		mu.Lock()
		answer = step.answer
		mu.Unlock()
		c.upstream.mu.Lock()
		c.upstream.before = step.before
		c.upstream.mu.Unlock()
		// A new user each time, so that the server requests a token.
		assertion = authoritytest.Assertion(emulator.TenantA, "canary-of-the-user-"+uuid.NewString())
		ctx, _ := as(t.Context(), emulator.TenantA, assertion)
		_, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
		if (err != nil) != step.failed {
			t.Errorf("got %v", err)
		}
		fmt.Fprintln(&seen, status.Convert(err).Proto())
	}
	c.end(t)
	seen.WriteString(c.log.String())
	if !strings.Contains(seen.String(), "token request failed") {
		t.Error("the log has no line about the failed token request")
	}
	// Lines about token requests name the tenant, and no others do.
	for line := range strings.Lines(seen.String()) {
		if strings.Contains(line, emulator.TenantA) && !strings.Contains(line, `"msg":"token request failed","tenant":"`+emulator.TenantA+`"`) {
			t.Errorf("the tenant is in: %s", line)
		}
	}
	canaries := []string{secret, "canary", base64.StdEncoding.EncodeToString([]byte(claims))}
	demanded := false
	for _, r := range c.authority.Requests() {
		canaries = append(canaries, r.Assertion)
		demanded = demanded || strings.Contains(r.Claims, "canary-of-the-claims")
	}
	if !demanded {
		t.Error("the authority was not asked for the claims that Graph demanded")
	}
	c.upstream.mu.Lock()
	for _, tokens := range c.upstream.tokens {
		canaries = append(canaries, tokens...)
	}
	c.upstream.mu.Unlock()
	for _, canary := range canaries {
		if canary != "" && strings.Contains(seen.String(), canary) {
			t.Errorf("%q is in: %s", canary, &seen)
		}
	}
}
