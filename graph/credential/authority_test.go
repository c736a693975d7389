package credential_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenantA = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	tenantB = "1a6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b22"
	client  = "2b6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b33"
)

// file writes a file and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	overwrite(t, path, content)
	return path
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate makes a certificate and its key in PEM.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// source returns a source on an authority, with a client secret unless options change that.
func source(t *testing.T, authority *authoritytest.Authority, change ...func(*credential.Options)) *credential.Source {
	t.Helper()
	options := credential.Options{
		Mode: credential.ClientSecret, Authority: authority.URL, RootCAs: authority.Roots, ClientID: client, Secret: "secret-1",
	}
	for _, f := range change {
		f(&options)
	}
	s, err := credential.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, s *credential.Source, request graph.TokenRequest) string {
	t.Helper()
	token, err := s.Token(t.Context(), request)
	if err != nil {
		t.Fatalf("%v: %v", err, errors.Unwrap(err))
	}
	return token
}

// refuses requests a token that must be refused, and returns the error.
func refuses(t *testing.T, s *credential.Source, request graph.TokenRequest) *graph.TokenError {
	t.Helper()
	token, err := s.Token(t.Context(), request)
	var failed *graph.TokenError
	if !errors.As(err, &failed) {
		t.Fatalf("got %q and error %v, want a *graph.TokenError", token, err)
	}
	return failed
}

func TestEveryModeAsksInItsOwnWay(t *testing.T) {
	federated := authoritytest.JWT(map[string]any{"sub": "workload"})
	for _, mode := range []struct {
		name  string
		set   func(*credential.Options)
		check func(authoritytest.Request) bool
	}{
		{"secret", func(*credential.Options) {}, func(r authoritytest.Request) bool { return r.Secret == "secret-1" && r.ClientAssertion == "" }},
		{
			"secret in a file", func(o *credential.Options) { o.Secret, o.SecretFile = "", file(t, "secret-2\n") },
			func(r authoritytest.Request) bool { return r.Secret == "secret-2" },
		},
		{
			"certificate", func(o *credential.Options) {
				o.Mode, o.CertificateFile = credential.Certificate, file(t, certificate(t))
			},
			func(r authoritytest.Request) bool {
				return r.Secret == "" && authoritytest.Claims(r.ClientAssertion)["iss"] == client
			},
		},
		{
			"workload identity", func(o *credential.Options) {
				o.Mode, o.FederatedTokenFile = credential.WorkloadIdentity, file(t, federated+"\n")
			},
			func(r authoritytest.Request) bool { return r.Secret == "" && r.ClientAssertion == federated },
		},
	} {
		t.Run(mode.name, func(t *testing.T) {
			authority := authoritytest.New(t)
			s := source(t, authority, mode.set)
			user := authoritytest.Assertion(tenantB, "user-1")
			forApp := ask(t, s, graph.TokenRequest{Tenant: tenantA})
			forUser := ask(t, s, graph.TokenRequest{Tenant: tenantB, UserAssertion: user})
			if got := authoritytest.Claims(forApp); got["tid"] != tenantA || got["roles"] == nil {
				t.Errorf("token of the application: %v", got)
			}
			if got := authoritytest.Claims(forUser); got["tid"] != tenantB || got["oid"] != "user-1" {
				t.Errorf("token of the user: %v", got)
			}
			requests := authority.Requests()
			if len(requests) != 2 {
				t.Fatalf("%d token requests, want 2", len(requests))
			}
			for i, want := range []authoritytest.Request{
				{Tenant: tenantA, Grant: "client_credentials"},
				{Tenant: tenantB, Grant: "urn:ietf:params:oauth:grant-type:jwt-bearer", Assertion: user},
			} {
				got := requests[i]
				if got.Tenant != want.Tenant || got.Grant != want.Grant || got.Assertion != want.Assertion || got.ClientID != client {
					t.Errorf("request %d: %+v", i, got)
				}
				if !strings.Contains(got.Scope, "https://graph.microsoft.com/.default") || !strings.Contains(got.Claims, `"cp1"`) && !strings.Contains(got.Claims, `"CP1"`) {
					t.Errorf("request %d: scope %q, claims %q", i, got.Scope, got.Claims)
				}
				if !mode.check(got) {
					t.Errorf("request %d proves itself by %+v", i, got)
				}
			}
		})
	}
}

func TestTheEndpointsOfATenantAreRequestedOnce(t *testing.T) {
	authority := authoritytest.New(t)
	s := source(t, authority)
	for _, user := range []string{"1", "2", "3"} {
		ask(t, s, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, user)})
	}
	if authority.Discoveries() != 1 || len(authority.Requests()) != 3 {
		t.Errorf("%d discoveries and %d token requests, want 1 and 3", authority.Discoveries(), len(authority.Requests()))
	}
}

func TestRefusalsAreToldApartByTheirCodes(t *testing.T) {
	const html = "<html>proxy</html>"
	for _, test := range []struct {
		name      string
		answer    authoritytest.Answer
		forApp    graph.TokenKind
		onBehalf  graph.TokenKind
		keepsCode bool
	}{
		{"wrong secret", authoritytest.Answer{Status: 401, Code: "invalid_client", Numbers: []int{7000215}}, graph.TokenRefused, graph.TokenRefused, true},
		{"not in this tenant", authoritytest.Answer{Status: 400, Code: "unauthorized_client", Numbers: []int{700016}}, graph.TokenRefused, graph.TokenRefused, true},
		{"no such tenant", authoritytest.Answer{Status: 400, Code: "invalid_tenant", Numbers: []int{90002}}, graph.TokenRefused, graph.TokenRefused, true},
		{"wrong assertion", authoritytest.Answer{Status: 400, Code: "invalid_grant", Numbers: []int{50013}}, graph.TokenRefused, graph.TokenAssertionRefused, true},
		{"malformed assertion", authoritytest.Answer{Status: 400, Code: "invalid_request", Numbers: []int{5002723}}, graph.TokenRefused, graph.TokenAssertionRefused, true},
		{"no consent", authoritytest.Answer{Status: 400, Code: "invalid_grant", Numbers: []int{65001}}, graph.TokenRefused, graph.TokenRefused, true},
		{"second factor", authoritytest.Answer{Status: 400, Code: "interaction_required", Numbers: []int{50076}}, graph.TokenClaimsRefused, graph.TokenClaimsRefused, true},
		{"claims", authoritytest.Answer{Status: 400, Body: `{"error":"invalid_grant","error_codes":[53003],"claims":"{\"access_token\":{}}"}`}, graph.TokenClaimsRefused, graph.TokenClaimsRefused, true},
		{"suberror", authoritytest.Answer{Status: 400, Body: `{"error":"invalid_grant","suberror":"basic_action"}`}, graph.TokenClaimsRefused, graph.TokenClaimsRefused, true},
		{"overloaded", authoritytest.Answer{Status: 429, Code: "invalid_request"}, graph.TokenUnavailable, graph.TokenUnavailable, true},
		{"down", authoritytest.Answer{Status: 503, Body: html}, graph.TokenUnavailable, graph.TokenUnavailable, true},
		{"an internal error", authoritytest.Answer{Status: 400, Code: "server_error"}, graph.TokenUnavailable, graph.TokenUnavailable, true},
		{"a proxy", authoritytest.Answer{Status: 403, Body: html}, graph.TokenUnavailable, graph.TokenUnavailable, true},
		{"a redirect", authoritytest.Answer{Status: 307, Header: http.Header{"Location": {"https://evil.example/"}}, Body: html}, graph.TokenUnavailable, graph.TokenUnavailable, true},
		{"no JSON", authoritytest.Answer{Body: html}, graph.TokenUnavailable, graph.TokenUnavailable, false},
		{"no token", authoritytest.Answer{Body: "{}"}, graph.TokenUnavailable, graph.TokenUnavailable, false},
		{"a large response", authoritytest.Answer{Body: `{"token_type":"Bearer","expires_in":3600,"access_token":"` + authoritytest.JWT(map[string]any{"tid": tenantA}) + `"}` + strings.Repeat(" ", 2<<20)}, graph.TokenUnavailable, graph.TokenUnavailable, false},
		{"a token of another tenant", authoritytest.Answer{Token: authoritytest.JWT(map[string]any{"tid": tenantB})}, graph.TokenRefused, graph.TokenRefused, false},
		{"a token without a tenant", authoritytest.Answer{Token: authoritytest.JWT(map[string]any{})}, graph.TokenRefused, graph.TokenRefused, false},
		{"a token for another API", authoritytest.Answer{Token: authoritytest.JWT(map[string]any{"tid": tenantA, "aud": "https://vault.azure.net"})}, graph.TokenRefused, graph.TokenRefused, false},
		{"a token that cannot be read", authoritytest.Answer{Token: "opaque"}, graph.TokenRefused, graph.TokenRefused, false},
		{"a token that has ended", authoritytest.Answer{Lifetime: -time.Hour}, graph.TokenUnavailable, graph.TokenUnavailable, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			authority := authoritytest.New(t)
			authority.Handle(func(authoritytest.Request) authoritytest.Answer { return test.answer })
			var log strings.Builder
			s := source(t, authority, logTo(&log))
			for request, want := range map[graph.TokenRequest]graph.TokenKind{
				{Tenant: tenantA}: test.forApp,
				{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")}: test.onBehalf,
			} {
				got := refuses(t, s, request)
				if got.Kind != want {
					t.Errorf("delegated %v: got %v (%v), want kind %d", request.UserAssertion != "", got, got.Err, want)
				}
			}
			if test.keepsCode != strings.Contains(log.String(), `"httpStatus":`) {
				t.Errorf("log: %s", &log)
			}
			if strings.Contains(log.String(), "must not go on") {
				t.Errorf("the log has a text of the authority's: %s", &log)
			}
			if strings.Count(log.String(), `"msg":"token request failed","tenant":"`+tenantA+`"`) != 2 {
				t.Errorf("log: %s", &log)
			}
		})
	}
}

func TestOnlyTheAuthorityGetsRequests(t *testing.T) {
	other := authoritytest.New(t)
	authority := authoritytest.New(t)
	// The metadata names a token endpoint on another host: the secret is not sent there.
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		tenant, _, _ := strings.Cut(r.URL.Path[1:], "/")
		w.Write([]byte(`{"issuer":"https://` + r.Host + "/" + tenant + `/v2.0","authorization_endpoint":"` + other.URL + `","token_endpoint":"` + other.URL + "/" + tenant + `/oauth2/v2.0/token"}`))
	})
	authority.Serve(mux)
	s := source(t, authority)
	if got := refuses(t, s, graph.TokenRequest{Tenant: tenantA}); got.Kind != graph.TokenUnavailable {
		t.Errorf("got %v", got)
	}
	if n := len(other.Requests()); n != 0 {
		t.Errorf("another host got %d requests", n)
	}
}

func TestAPageInsteadOfTheEndpointsIsNotCached(t *testing.T) {
	for name, page := range map[string]string{
		"no JSON":         "<html>Back soon</html>",
		"nothing":         "",
		"no endpoint":     `{"issuer":"https://login.example","authorization_endpoint":"https://login.example"}`,
		"endpoint beyond": `{"issuer":"https://login.example","authorization_endpoint":"https://login.example","token_endpoint":"https://login.example/token"}`,
	} {
		t.Run(name, func(t *testing.T) {
			authority := authoritytest.New(t)
			sound := authority.Handler()
			var down atomic.Bool
			down.Store(true)
			authority.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if down.Load() {
					io.WriteString(w, page)
					return
				}
				sound.ServeHTTP(w, r)
			}))
			s := source(t, authority)
			refuses(t, s, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "1")})
			down.Store(false)
			// For the first user of the tenant the failure is cached for some seconds, so this is another one.
			ask(t, s, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "2")})
		})
	}
}

func TestAnAuthorityThatIsNotThereIsUnavailable(t *testing.T) {
	authority := authoritytest.New(t)
	s := source(t, authority, func(o *credential.Options) { o.Authority = "https://127.0.0.1:1" })
	if got := refuses(t, s, graph.TokenRequest{Tenant: tenantA}); got.Kind != graph.TokenUnavailable {
		t.Errorf("got %v", got)
	}
	strict := source(t, authority, func(o *credential.Options) { o.RootCAs = x509.NewCertPool() })
	if got := refuses(t, strict, graph.TokenRequest{Tenant: tenantA}); got.Kind != graph.TokenUnavailable {
		t.Errorf("an authority with an unknown certificate: %v", got)
	}
}

func TestRefusalsThatNeedNoRequest(t *testing.T) {
	authority := authoritytest.New(t)
	secret := source(t, authority, func(o *credential.Options) { o.NationalCloudTenants = []string{tenantB} })
	managed := source(t, authority, func(o *credential.Options) { o.Mode, o.HomeTenant = credential.ManagedIdentity, tenantA })
	chain := source(t, authority, func(o *credential.Options) { o.Mode = credential.Default })
	for _, test := range []struct {
		name    string
		source  *credential.Source
		request graph.TokenRequest
		want    graph.TokenKind
	}{
		{"another cloud", secret, graph.TokenRequest{Tenant: tenantB}, graph.TokenCloud},
		{"another cloud, for a user", secret, graph.TokenRequest{Tenant: tenantB, UserAssertion: "x"}, graph.TokenCloud},
		{"no JWT", secret, graph.TokenRequest{Tenant: tenantA, UserAssertion: "opaque"}, graph.TokenAssertionRefused},
		{"a user of another tenant", secret, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantB, "u")}, graph.TokenAssertionRefused},
		{"a user of no tenant", secret, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.JWT(nil)}, graph.TokenAssertionRefused},
		{
			"an assertion that has ended", secret,
			graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.JWT(map[string]any{"tid": tenantA, "exp": time.Now().Add(-time.Hour).Unix()})},
			graph.TokenAssertionRefused,
		},
		{"another tenant than the managed identity's", managed, graph.TokenRequest{Tenant: tenantB}, graph.TokenRefused},
		{"a user of a managed identity", managed, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")}, graph.TokenNotDelegable},
		{"a user of the default chain", chain, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")}, graph.TokenNotDelegable},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := refuses(t, test.source, test.request); got.Kind != test.want {
				t.Errorf("got %v (%v)", got, got.Err)
			}
		})
	}
	if n := len(authority.Requests()); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// managedIdentity is a machine with a managed identity of tenant A. That of App Service is a URL in the environment.
// Each token differs.
func managedIdentity(t *testing.T) *authoritytest.Authority {
	t.Helper()
	authority := authoritytest.New(t)
	authority.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Identity-Header") != "header" {
			t.Errorf("a request without the header: %v", r)
		}
		w.Write([]byte(`{"access_token":"` + authoritytest.JWT(map[string]any{"aud": authoritytest.Audience, "tid": tenantA, "jti": rand.Text()}) + `","expires_on":"4102444800","resource":"https://graph.microsoft.com","token_type":"Bearer"}`))
	}))
	t.Setenv("IDENTITY_ENDPOINT", authority.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "header")
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "prod")
	return authority
}

func TestARefusedTokenOfAManagedIdentityIsNotGivenAgain(t *testing.T) {
	for _, mode := range []credential.Mode{credential.ManagedIdentity, credential.Default} {
		t.Run(string(mode), func(t *testing.T) {
			authority := managedIdentity(t)
			s := source(t, authority, func(o *credential.Options) { o.Mode, o.HomeTenant, o.ClientID = mode, tenantA, "" })
			old := ask(t, s, graph.TokenRequest{Tenant: tenantA})
			renewed := ask(t, s, graph.TokenRequest{Tenant: tenantA, Refused: old})
			if again := ask(t, s, graph.TokenRequest{Tenant: tenantA}); renewed == old || again != renewed {
				t.Errorf("got the tokens %q, %q and %q", old, renewed, again)
			}
		})
	}
}

func TestAManagedIdentityOfAnotherTenantIsNotUsed(t *testing.T) {
	for _, mode := range []credential.Mode{credential.ManagedIdentity, credential.Default} {
		t.Run(string(mode), func(t *testing.T) {
			authority := managedIdentity(t)
			right := source(t, authority, func(o *credential.Options) { o.Mode, o.HomeTenant, o.ClientID = mode, tenantA, "" })
			if got := ask(t, right, graph.TokenRequest{Tenant: tenantA}); authoritytest.Claims(got)["tid"] != tenantA {
				t.Errorf("got %q", got)
			}
			wrong := source(t, authority, func(o *credential.Options) { o.Mode, o.HomeTenant, o.ClientID = mode, tenantB, "" })
			if got := refuses(t, wrong, graph.TokenRequest{Tenant: tenantB}); got.Kind != graph.TokenRefused {
				t.Errorf("got %v (%v)", got, got.Err)
			}
		})
	}
}

func TestADefaultChainWithoutAnyCredentialIsOfNoUse(t *testing.T) {
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
	s := source(t, authoritytest.New(t), func(o *credential.Options) { o.Mode = credential.Default })
	if got := refuses(t, s, graph.TokenRequest{Tenant: tenantA}); got.Kind != graph.TokenRefused {
		t.Errorf("got %v (%v)", got, got.Err)
	}
}

func TestTheDefaultChainServesEveryTenant(t *testing.T) {
	authority := authoritytest.New(t)
	for name, value := range map[string]string{
		"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential", "AZURE_TENANT_ID": tenantA, "AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": "secret-1",
		// The authority in the environment is not used.
		"AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us",
	} {
		t.Setenv(name, value)
	}
	s := source(t, authority, func(o *credential.Options) { o.Mode = credential.Default })
	for _, tenant := range []string{tenantA, tenantB} {
		if got := ask(t, s, graph.TokenRequest{Tenant: tenant}); authoritytest.Claims(got)["tid"] != tenant {
			t.Errorf("got %q for %s", got, tenant)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	wrongKey, _, _ := strings.Cut(certificate(t), "-----BEGIN PRIVATE KEY")
	_, otherKey, _ := strings.Cut(certificate(t), "-----BEGIN PRIVATE KEY")
	for _, test := range []struct {
		name    string
		options credential.Options
	}{
		{"no mode", credential.Options{ClientID: client, Secret: "s"}},
		{"unknown mode", credential.Options{Mode: "password", ClientID: client, Secret: "s"}},
		{"no client", credential.Options{Mode: credential.ClientSecret, Secret: "s"}},
		{"no secret", credential.Options{Mode: credential.ClientSecret, ClientID: client}},
		{"no secret file", credential.Options{Mode: credential.ClientSecret, ClientID: client, SecretFile: "/nowhere"}},
		{"empty secret file", credential.Options{Mode: credential.ClientSecret, ClientID: client, SecretFile: file(t, " \n")}},
		{"two lines of secret", credential.Options{Mode: credential.ClientSecret, ClientID: client, SecretFile: file(t, "a\nb")}},
		{"large secret file", credential.Options{Mode: credential.ClientSecret, ClientID: client, SecretFile: file(t, strings.Repeat("a", 2<<20))}},
		{"no certificate", credential.Options{Mode: credential.Certificate, ClientID: client}},
		{"certificate that is none", credential.Options{Mode: credential.Certificate, ClientID: client, CertificateFile: file(t, "a")}},
		{"certificate without its key", credential.Options{Mode: credential.Certificate, ClientID: client, CertificateFile: file(t, wrongKey)}},
		{"key of another certificate", credential.Options{Mode: credential.Certificate, ClientID: client, CertificateFile: file(t, wrongKey+"-----BEGIN PRIVATE KEY"+otherKey)}},
		{"no federated token", credential.Options{Mode: credential.WorkloadIdentity, ClientID: client}},
		{"managed identity of no tenant", credential.Options{Mode: credential.ManagedIdentity}},
		{"authority without https", credential.Options{Mode: credential.ClientSecret, ClientID: client, Secret: "s", Authority: "http://127.0.0.1"}},
		{"authority with a path", credential.Options{Mode: credential.ClientSecret, ClientID: client, Secret: "s", Authority: "https://127.0.0.1/tenant"}},
		{"authority with a query", credential.Options{Mode: credential.ClientSecret, ClientID: client, Secret: "s", Authority: "https://127.0.0.1?a=b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := credential.New(test.options); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestAClosedSourceGivesNothingAndLeavesNothing(t *testing.T) {
	authority := authoritytest.New(t)
	asked, release := make(chan struct{}), make(chan struct{})
	authority.Handle(func(authoritytest.Request) authoritytest.Answer {
		close(asked)
		<-release
		return authoritytest.Answer{}
	})
	s := source(t, authority)
	done := make(chan error, 1)
	go func() {
		_, err := s.Token(context.Background(), graph.TokenRequest{Tenant: tenantA})
		done <- err
	}()
	<-asked
	s.Close()
	var failed *graph.TokenError
	if err := <-done; !errors.As(err, &failed) || failed.Kind != graph.TokenUnavailable {
		t.Errorf("a call that waited: %v", err)
	}
	close(release)
	if got := refuses(t, s, graph.TokenRequest{Tenant: tenantA}); got.Kind != graph.TokenUnavailable {
		t.Errorf("a call after: %v", got)
	}
}
