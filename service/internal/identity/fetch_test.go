package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// An issuer with a private CA is found by its openid-configuration.
func TestDiscovery(t *testing.T) {
	i := newTestIssuer(t)
	var server *httptest.Server
	configuration := func() string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, server.URL, server.URL+"/moved") }
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, configuration()) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i.jwks()) })
	server = httptest.NewTLSServer(mux)
	defer server.Close()

	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	token := sign(t, jose.ES256, signers()[jose.ES256], "ec", i.claimsWith(map[string]any{"iss": server.URL}), nil)
	use := func(ca []byte) Cause {
		a := New(Options{Now: i.clock})
		if err := a.Use([]Issuer{{Issuer: server.URL, Audience: audience, PrincipalClaim: "sub", CA: ca}}); err != nil {
			t.Fatal(err)
		}
		return causeOf(t, a, with(token))
	}
	if got := use(ca); got != "" {
		t.Errorf("refused because of %s", got)
	}
	if got := use(nil); got != CauseKeysUnavailable {
		t.Errorf("without the CA the cause is %q", got)
	}
	for name, text := range map[string]string{
		"another issuer":  fmt.Sprintf(`{"issuer":"https://another.example","jwks_uri":%q}`, server.URL+"/keys"),
		"no https":        fmt.Sprintf(`{"issuer":%q,"jwks_uri":"http://issuer.example/keys"}`, server.URL),
		"no keys":         fmt.Sprintf(`{"issuer":%q}`, server.URL),
		"no JSON":         `<html>`,
		"too large":       fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"a":"%s"}`, server.URL, server.URL+"/keys", strings.Repeat("a", maxDocument)),
		"no list of keys": fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, server.URL, server.URL+"/.well-known/openid-configuration"),
	} {
		configuration = func() string { return text }
		if got := use(ca); got != CauseKeysUnavailable {
			t.Errorf("%s: the cause is %q", name, got)
		}
	}
}

// Redirects to another host are not followed, nor are endless ones.
func TestRedirects(t *testing.T) {
	i := newTestIssuer(t)
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		fmt.Fprint(w, i.jwks())
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/endless", http.StatusFound) })
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, i.jwks())
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, path := range []string{"/other", "/endless", "/error", "/missing"} {
		a := New(Options{Now: i.clock})
		if err := a.Use([]Issuer{{Issuer: issuerURL, Audience: audience, PrincipalClaim: "sub", KeysURL: server.URL + path}}); err != nil {
			t.Fatal(err)
		}
		if got := causeOf(t, a, with(i.token(nil))); got != CauseKeysUnavailable {
			t.Errorf("%s: the cause is %q", path, got)
		}
	}
	if asked {
		t.Error("another host was asked")
	}
}

// Keys that fit no algorithm are left out, and a set without any other is refused.
func TestParseKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // It must be refused.
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := signers()[jose.ES256]
	good := string(marshal(t, jose.JSONWebKey{Key: ec.Public(), KeyID: "a", Use: "sig", Algorithm: "ES256"}))
	for name, bad := range map[string]string{
		"short RSA":         string(marshal(t, jose.JSONWebKey{Key: small.Public()})),
		"P-384":             string(marshal(t, jose.JSONWebKey{Key: p384.Public()})),
		"private":           string(marshal(t, jose.JSONWebKey{Key: ec})),
		"symmetric":         `{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}`,
		"for encryption":    string(marshal(t, jose.JSONWebKey{Key: ec.Public(), Use: "enc"})),
		"another algorithm": string(marshal(t, jose.JSONWebKey{Key: ec.Public(), Algorithm: "RS256"})),
		"of another kind":   `{"kty":"unheard-of"}`,
		"no object":         `5`,
	} {
		if _, err := parseKeys([]byte(`{"keys":[` + bad + `]}`)); err == nil {
			t.Errorf("%s: a set of this key alone is accepted", name)
		}
		if ks, err := parseKeys([]byte(`{"keys":[` + bad + `,` + good + `]}`)); err != nil || len(ks) != 1 {
			t.Errorf("%s: with a good key beside it there are %d keys and the error %v", name, len(ks), err)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "no JSON": "<html>", "a list": "[]", "no keys": "{}",
		"too many": `{"keys":[` + strings.Repeat(good+",", maxKeys) + good + `]}`,
	} {
		if _, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCheckIssuer(t *testing.T) {
	i := newTestIssuer(t)
	good := i.entry()
	if field, err := CheckIssuer(good); err != nil {
		t.Fatalf("%s %v", field, err)
	}
	for name, test := range map[string]struct {
		change func(*Issuer)
		want   Field
	}{
		"no issuer":            {func(i *Issuer) { i.Issuer = "" }, FieldIssuer},
		"http":                 {func(i *Issuer) { i.Issuer = "http://issuer.example" }, FieldIssuer},
		"a query":              {func(i *Issuer) { i.Issuer += "?a=b" }, FieldIssuer},
		"a fragment":           {func(i *Issuer) { i.Issuer += "#" }, FieldIssuer},
		"a password":           {func(i *Issuer) { i.Issuer = "https://a:b@issuer.example" }, FieldIssuer},
		"no audience":          {func(i *Issuer) { i.Audience = "" }, FieldAudience},
		"no principal claim":   {func(i *Issuer) { i.PrincipalClaim = "" }, FieldPrincipalClaim},
		"keys over http":       {func(i *Issuer) { i.KeysURL = "http://issuer.example/keys" }, FieldKeysURL},
		"keys twice":           {func(i *Issuer) { i.Keys = []byte(newTestIssuer(t).jwks()) }, FieldKeysURL},
		"bad keys":             {func(i *Issuer) { i.KeysURL, i.Keys = "", []byte("{}") }, FieldKeys},
		"a CA without a use":   {func(i *Issuer) { i.KeysURL, i.Keys, i.CA = "", []byte(newTestIssuer(t).jwks()), []byte("a") }, FieldCA},
		"a CA without content": {func(i *Issuer) { i.CA = []byte{} }, FieldCA},
	} {
		entry := good
		test.change(&entry)
		if field, err := CheckIssuer(entry); err == nil || field != test.want {
			t.Errorf("%s: the error is about %q: %v; want %q", name, field, err, test.want)
		}
	}
	for _, url := range []string{"http://127.0.0.1:8080", "http://[::1]/a", "http://localhost:1"} {
		local := good
		local.Issuer, local.KeysURL = url, url
		if field, err := CheckIssuer(local); err != nil {
			t.Errorf("%s: %s %v", url, field, err)
		}
	}
}
