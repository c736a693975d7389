package emulator_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// authority is a world over https that wants real tokens, as Graph does.
func authority(t *testing.T, seeds ...emulator.Seed) *world {
	t.Helper()
	w := newWorld(t, func(o *emulator.Options) { o.RequireToken, o.Seeds, o.Base = true, seeds, time.Now })
	w.server.Close()
	w.server = httptest.NewTLSServer(w.e)
	t.Cleanup(w.server.Close)
	w.client = w.server.Client()
	return w
}

func (w *world) azure() azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport: w.client, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: w.server.URL},
		Retry: policy.RetryOptions{MaxRetries: -1},
	}
}

const graphScope = "https://graph.microsoft.com/.default"

// with is the same world, with a token of a credential.
func (w *world) with(credential azcore.TokenCredential) (*world, error) {
	token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
	other := *w
	other.auth = "Bearer " + token.Token
	return &other, err
}

func (w *world) secret(tenant, app, secret string) azcore.TokenCredential {
	w.t.Helper()
	c, err := azidentity.NewClientSecretCredential(tenant, app, secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: w.azure(), DisableInstanceDiscovery: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// certificate makes a certificate, with its PEM form.
func certificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// aadCode is the code of the token authority in an error of azidentity.
func aadCode(err error) string {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) {
		return ""
	}
	_, rest, found := strings.Cut(err.Error(), "AADSTS")
	if !found {
		return ""
	}
	code, _, _ := strings.Cut(rest, ":")
	return "AADSTS" + code
}

func TestAzidentitysCredentialsGetTokens(t *testing.T) {
	leaf, key, text := certificate(t)
	otherLeaf, otherKey, _ := certificate(t)
	w := authority(t, emulator.Seed{Tenant: emulator.TenantC, ServiceStatus: "enabled", Apps: []emulator.App{
		{ID: emulator.DefaultApp, DisplayName: "Backup", Secrets: []string{"right"}, Certificates: []string{text}},
	}})
	w.get("/").wantError(401, "InvalidAuthenticationToken")

	app, err := w.with(w.secret(emulator.TenantC, emulator.DefaultApp, "right"))
	if err != nil {
		t.Fatal(err)
	}
	app.get("/").want(200).eq("serviceStatus.status", "enabled")
	app.do(http.MethodPatch, "/emailNotificationsSetting", map[string]any{"isEnabled": true}).wantError(403, "accessDenied")

	options := &azidentity.ClientCertificateCredentialOptions{ClientOptions: w.azure(), DisableInstanceDiscovery: true}
	signed, err := azidentity.NewClientCertificateCredential(emulator.TenantC, emulator.DefaultApp, []*x509.Certificate{leaf}, key, options)
	if err != nil {
		t.Fatal(err)
	}
	if app, err = w.with(signed); err != nil {
		t.Fatal(err)
	}
	app.get("/").want(200)

	assertion, err := w.e.Token(emulator.TokenRequest{Tenant: emulator.TenantC, User: emulator.UserID(emulator.TenantC, 7), Audience: emulator.DefaultApp})
	if err != nil {
		t.Fatal(err)
	}
	behalf, err := azidentity.NewOnBehalfOfCredentialWithSecret(emulator.TenantC, emulator.DefaultApp, assertion, "right",
		&azidentity.OnBehalfOfCredentialOptions{ClientOptions: w.azure(), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	user, err := w.with(behalf)
	if err != nil {
		t.Fatal(err)
	}
	user.do(http.MethodPatch, "/emailNotificationsSetting", map[string]any{"isEnabled": true}).want(200).
		eq("lastModifiedBy", nil)

	if _, err := w.with(w.secret(emulator.TenantC, emulator.DefaultApp, "wrong")); aadCode(err) != "AADSTS7000215" {
		t.Errorf("a wrong secret: %v", err)
	}
	if _, err := w.with(w.secret(emulator.TenantC, stranger, "right")); aadCode(err) != "AADSTS700016" {
		t.Errorf("an app that the tenant does not know: %v", err)
	}
	other, err := azidentity.NewClientCertificateCredential(emulator.TenantC, emulator.DefaultApp, []*x509.Certificate{otherLeaf}, otherKey, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.with(other); aadCode(err) != "AADSTS700027" {
		t.Errorf("a certificate that the app does not have: %v", err)
	}
}

// Without a seed that says who there is, every application is known, and any certificate that it shows is its own.
func TestAnyApplicationGetsATokenInATenantWithoutApps(t *testing.T) {
	w := authority(t)
	app, err := w.with(w.secret(emulator.TenantA, stranger, "anything"))
	if err != nil {
		t.Fatal(err)
	}
	app.get("/").want(200)
	for _, tenant := range []string{emulator.TenantB, emulator.TenantC} {
		other, err := w.with(w.secret(tenant, stranger, "anything"))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{emulator.TenantB: "disabled", emulator.TenantC: "enabled"}[tenant]
		other.get("/").want(200).eq("serviceStatus.status", want)
	}
}

func TestFaultRulesActOnTheTokenAuthority(t *testing.T) {
	w := authority(t)
	w.fault(emulator.Fault{Operation: "*", Status: 503})
	w.fault(emulator.Fault{Operation: "POST /{tenant}/oauth2/v2.0/token", Code: "AADSTS7000222", Times: 1})
	w.fault(emulator.Fault{Operation: "POST /{t}/oauth2/v2.0/token", Code: "AADSTS90033", Message: "Try again.", RetryAfter: []string{"7"}, Times: 1})
	if _, err := w.with(w.secret(emulator.TenantA, stranger, "x")); aadCode(err) != "AADSTS7000222" {
		t.Errorf("an expired secret: %v", err)
	}
	r := w.form(emulator.TenantA, url.Values{"grant_type": {"client_credentials"}}).want(503).eq("error", "temporarily_unavailable").eq("error_codes.0", 90033)
	if r.header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
	}
	// A rule for all of Graph leaves the authority alone.
	app, err := w.with(w.secret(emulator.TenantA, stranger, "x"))
	if err != nil {
		t.Fatal(err)
	}
	app.get("/").want(503)
	if _, err := w.e.AddFault(emulator.Fault{Operation: "POST /{tenant}/oauth2/v2.0/token", Code: "PolicyNotFound"}); err == nil {
		t.Error("the authority takes a code of Graph")
	}
}

// form asks for a token as no library would.
func (w *world) form(tenant string, form url.Values) *reply {
	w.t.Helper()
	return w.send(http.MethodPost, "/"+tenant+"/oauth2/v2.0/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

func TestBadRequestsForTokensAreRefused(t *testing.T) {
	w := authority(t)
	good := url.Values{"grant_type": {"client_credentials"}, "client_id": {stranger}, "client_secret": {"x"}, "scope": {graphScope}}
	w.form(emulator.TenantA, good).want(200).eq("token_type", "Bearer").eq("expires_in", 3600)
	for name, c := range map[string]struct {
		tenant, field, value string
		status               int
		code                 int
		named                string
	}{
		"no grant":                  {emulator.TenantA, "grant_type", "", 400, 900144, "invalid_request"},
		"an unknown grant":          {emulator.TenantA, "grant_type", "password", 400, 70003, "unsupported_grant_type"},
		"no client":                 {emulator.TenantA, "client_id", "", 400, 900144, "invalid_request"},
		"a client that is no GUID":  {emulator.TenantA, "client_id", "me", 400, 700016, "unauthorized_client"},
		"no secret":                 {emulator.TenantA, "client_secret", "", 401, 7000218, "invalid_client"},
		"no scope":                  {emulator.TenantA, "scope", "", 400, 90014, "invalid_request"},
		"a scope of its own":        {emulator.TenantA, "scope", "https://graph.microsoft.com/User.Read.All", 400, 1002012, "invalid_scope"},
		"an unknown resource":       {emulator.TenantA, "scope", "https://elsewhere.example/.default", 400, 500011, "invalid_resource"},
		"no tenant":                 {"organizations", "scope", graphScope, 400, 50059, "invalid_request"},
		"a tenant that is none":     {"contoso", "scope", graphScope, 400, 900023, "invalid_request"},
		"an assertion that is none": {emulator.TenantA, "client_assertion", "x", 400, 900144, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{}
			for k, v := range good {
				form[k] = v
			}
			form.Set(c.field, c.value)
			r := w.within(t).form(c.tenant, form).want(c.status).eq("error", c.named).eq("error_codes.0", float64(c.code))
			if !strings.Contains(r.str("error_description"), "Trace ID: ") {
				t.Errorf("the description is %q", r.str("error_description"))
			}
		})
	}
}

func TestAnAssertionOfAUserIsChecked(t *testing.T) {
	w := authority(t)
	token := func(r emulator.TokenRequest) string {
		t.Helper()
		text, err := w.e.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := token(emulator.TokenRequest{User: emulator.UserA2, Audience: stranger})
	ask := func(assertion, scope string) *reply {
		return w.form(emulator.TenantA, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "client_id": {stranger}, "client_secret": {"x"},
			"requested_token_use": {"on_behalf_of"}, "assertion": {assertion}, "scope": {scope},
		})
	}
	got := ask(good, "openid https://graph.microsoft.com/User.Read.All").want(200).eq("scope", "https://graph.microsoft.com/User.Read.All").str("access_token")
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got, ".")[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims["oid"] != emulator.UserA2 || claims["tid"] != emulator.TenantA ||
		claims["upn"] != "chidi.costa.2@a.example" || claims["appid"] != stranger {
		t.Errorf("the claims are %s (%v)", payload, err)
	}
	ask("x", graphScope).want(400).eq("error_codes.0", 50027)
	ask(emulator.UserAssertion(emulator.TenantA, 1), graphScope).want(400).eq("error_codes.0", 50013)
	ask(token(emulator.TokenRequest{User: emulator.UserA2}), graphScope).want(400).eq("error_codes.0", 500131)
	ask(token(emulator.TokenRequest{User: emulator.UserA2, Audience: stranger, Lifetime: emulator.Duration(-time.Minute)}), graphScope).want(400).eq("error_codes.0", 500133)
	ask(token(emulator.TokenRequest{Tenant: emulator.TenantB, User: emulator.UserID(emulator.TenantB, 1), Audience: stranger}), graphScope).want(400).eq("error_codes.0", 50013)
	ask(token(emulator.TokenRequest{Audience: stranger}), graphScope).want(400).eq("error_codes.0", 50013)
	ask(good, "https://graph.microsoft.com/Mail.Read").want(400).eq("error_codes.0", 65001)
	ask(good, "openid").want(400).eq("error_codes.0", 90014)
}

// An emulator that wants no tokens still hands them out, and believes a user's token without a signature.
func TestALenientAuthorityBelievesUnsignedAssertions(t *testing.T) {
	w := newWorld(t)
	w.form(emulator.TenantA, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "client_id": {stranger}, "client_secret": {"x"},
		"requested_token_use": {"on_behalf_of"}, "assertion": {emulator.UserAssertion(emulator.TenantA, 3)}, "scope": {graphScope},
	}).want(200)
}

func TestARequiredTokenIsChecked(t *testing.T) {
	w := authority(t)
	token := func(r emulator.TokenRequest) string {
		t.Helper()
		text, err := w.e.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	good := token(emulator.TokenRequest{})
	for name, c := range map[string]struct{ header, says string }{
		"no token":                {"", "Access token is empty."},
		"another scheme":          {"Basic eDp5", "Access token is empty."},
		"a token that is none":    {"Bearer opaque", "JWT is not well formed"},
		"a token of nobody":       {bearer(map[string]any{"tid": emulator.TenantA}), "Signature validation"},
		"a token that is changed": {good[:len(good)-8] + "AAAAAAAA", "Signature validation"},
		"a token that expired":    {token(emulator.TokenRequest{Lifetime: emulator.Duration(-time.Minute)}), "token is expired"},
		"a token for others":      {token(emulator.TokenRequest{Audience: stranger}), "Invalid audience"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.within(t)
			w.auth = c.header
			r := w.get("/").wantError(401, "InvalidAuthenticationToken")
			if !strings.Contains(r.str("error.message"), c.says) {
				t.Errorf("it says %q", r.str("error.message"))
			}
			if got := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="", authorization_uri="`+w.server.URL+"/common/") {
				t.Errorf("WWW-Authenticate is %q", got)
			}
			w.send(http.MethodGet, "/v1.0/users", nil).wantError(401, "InvalidAuthenticationToken")
		})
	}
	w.auth = good
	w.get("/").want(200)
	w.auth = token(emulator.TokenRequest{Permissions: []string{"User.Read.All"}})
	w.get("/").wantError(403, "accessDenied")
	w.send(http.MethodGet, "/v1.0/users", nil).want(200)
	w.send(http.MethodGet, "/v1.0/groups", nil).wantError(403, "Authorization_RequestDenied")
	w.control(http.MethodGet, "clock", nil).want(200)
}

func TestTheAuthorityDescribesItself(t *testing.T) {
	w := authority(t)
	at := w.server.URL + "/" + emulator.TenantA
	w.send(http.MethodGet, "/"+emulator.TenantA+"/v2.0/.well-known/openid-configuration", nil).want(200).
		eq("issuer", at+"/v2.0").eq("token_endpoint", at+"/oauth2/v2.0/token").eq("jwks_uri", at+"/discovery/v2.0/keys")
	w.send(http.MethodGet, "/common/discovery/v2.0/keys", nil).want(200).eq("keys.0.kty", "RSA").eq("keys.0.alg", "RS256")
	w.send(http.MethodGet, "/common/discovery/instance?api-version=1.1&authorization_endpoint="+
		url.QueryEscape(at+"/oauth2/v2.0/authorize"), nil).want(200).
		eq("tenant_discovery_endpoint", at+"/v2.0/.well-known/openid-configuration").
		eq("metadata.0.preferred_network", strings.TrimPrefix(w.server.URL, "https://"))
	if r := w.form(emulator.TenantA, url.Values{}); r.status != 400 {
		t.Errorf("an empty form: %d", r.status)
	}
	w.send(http.MethodGet, "/"+emulator.TenantA+"/oauth2/v2.0/token", nil).want(405)
}

func TestATokenIsHadWithoutACredential(t *testing.T) {
	w := authority(t)
	r := w.control(http.MethodPost, "token", `{"user":"bruno.berg.1@a.example"}`).want(200)
	w.auth = "Bearer " + r.str("token")
	w.do(http.MethodPatch, "/emailNotificationsSetting", map[string]any{"isEnabled": true}).want(200)
	for body, says := range map[string]string{
		`{"user":"nobody@a.example"}`: "nobody@a.example", `{"tenant":"x"}`: "GUID", `{"apps":"x"}`: "apps", `{"app":"x"}`: `"x"`,
		`{"lifetime":60}`: "lifetime",
	} {
		if got := w.control(http.MethodPost, "token", body).want(400).str("error.message"); !strings.Contains(got, says) {
			t.Errorf("%s: %s", body, got)
		}
	}
}
