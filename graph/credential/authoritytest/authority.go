// Package authoritytest is a small stand-in for Microsoft's token authority, for tests. It serves https on loopback,
// issues unsigned tokens for every well-formed request, and records the requests.
package authoritytest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Request is a request for a token.
type Request struct {
	// Tenant is the one in the path.
	Tenant string
	// Grant is `client_credentials`, or `urn:ietf:params:oauth:grant-type:jwt-bearer` on behalf of a user.
	Grant string
	// ClientID, Secret and ClientAssertion are the credential of the application.
	ClientID, Secret, ClientAssertion string
	// Assertion is the token of the user.
	Assertion string
	Scope     string
	// Claims are the requested claims, as JSON, with the client's capabilities among them.
	Claims string
}

// Answer is how the authority responds to a request.
type Answer struct {
	// Status is 200 unless given.
	Status int
	Header http.Header
	// Body is the whole body. When it is empty, the body is an error of Code and Numbers, or a token.
	Body string
	// Code is the error code of OAuth, Numbers are those of Microsoft.
	Code    string
	Numbers []int
	// Token is the token; empty makes one that suits the request. Lifetime is how long it is good; 0 is an hour.
	Token    string
	Lifetime time.Duration
}

// Authority is a token authority.
type Authority struct {
	// URL has no path.
	URL string
	// Roots holds the certificate to trust.
	Roots *x509.CertPool

	server *httptest.Server

	mu          sync.Mutex
	requests    []Request
	discoveries int
	tokens      int
	answer      func(Request) Answer
	handler     http.Handler
}

// New starts an authority that issues a new token for every request. It speaks HTTP/1.1.
func New(tb testing.TB) *Authority {
	tb.Helper()
	return start(tb, false)
}

// NewHTTP2 starts one that speaks HTTP/2 as well.
func NewHTTP2(tb testing.TB) *Authority {
	tb.Helper()
	return start(tb, true)
}

func start(tb testing.TB, http2 bool) *Authority {
	tb.Helper()
	a := new(Authority)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", a.discover)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", a.token)
	a.Serve(mux)
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		handler := a.handler
		a.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	// Connections that end during the handshake are not logged.
	a.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.server.EnableHTTP2 = http2
	a.server.StartTLS()
	tb.Cleanup(a.server.Close)
	a.URL, a.Roots = a.server.URL, x509.NewCertPool()
	a.Roots.AddCert(a.server.Certificate())
	return a
}

// Root is the certificate to trust, in PEM.
func (a *Authority) Root() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
}

// Handle makes a function decide the response. It may block. The zero Answer issues a new token.
func (a *Authority) Handle(answer func(Request) Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// Serve makes another handler respond to everything from now on.
func (a *Authority) Serve(handler http.Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handler = handler
}

// Handler returns the present handler, for a handler that wraps it.
func (a *Authority) Handler() http.Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.handler
}

// Requests returns the token requests so far.
func (a *Authority) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Request(nil), a.requests...)
}

// Discoveries returns how often the metadata with the endpoints was requested.
func (a *Authority) Discoveries() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.discoveries
}

func (a *Authority) discover(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.discoveries++
	a.mu.Unlock()
	base := a.URL + "/" + r.PathValue("tenant")
	write(w, http.StatusOK, map[string]any{
		"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
	})
}

func (a *Authority) token(w http.ResponseWriter, r *http.Request) {
	request := Request{
		Tenant: r.PathValue("tenant"), Grant: r.PostFormValue("grant_type"), ClientID: r.PostFormValue("client_id"),
		Secret: r.PostFormValue("client_secret"), ClientAssertion: r.PostFormValue("client_assertion"),
		Assertion: r.PostFormValue("assertion"), Scope: r.PostFormValue("scope"), Claims: r.PostFormValue("claims"),
	}
	a.mu.Lock()
	a.requests = append(a.requests, request)
	a.tokens++
	number, handle := a.tokens, a.answer
	a.mu.Unlock()
	var answer Answer
	if handle != nil {
		answer = handle(request)
	}
	maps.Copy(w.Header(), answer.Header)
	if answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	switch {
	case answer.Body != "":
		w.WriteHeader(answer.Status)
		fmt.Fprintf(w, "%s", answer.Body)
	case answer.Code != "":
		write(w, answer.Status, map[string]any{
			"error": answer.Code, "error_codes": answer.Numbers, "error_description": "AADSTS: a text that must not go on, for " + request.Tenant,
		})
	default:
		if answer.Lifetime == 0 {
			answer.Lifetime = time.Hour
		}
		if answer.Token == "" {
			answer.Token = request.newToken(number, answer.Lifetime)
		}
		write(w, answer.Status, map[string]any{
			"token_type": "Bearer", "expires_in": int(answer.Lifetime / time.Second), "access_token": answer.Token,
		})
	}
}

// Audience is that of the tokens: the resource of Microsoft Graph.
const Audience = "https://graph.microsoft.com"

// newToken makes a token that suits the request, a different one each time.
func (r Request) newToken(number int, lifetime time.Duration) string {
	claims := map[string]any{
		"aud": Audience, "tid": r.Tenant, "appid": r.ClientID, "jti": fmt.Sprint("token-", number), "exp": time.Now().Add(lifetime).Unix(),
	}
	if r.Assertion == "" {
		claims["roles"] = []string{"BackupRestore-Configuration.ReadWrite.All", "BackupRestore-Control.ReadWrite.All", "BackupRestore-Restore.ReadWrite.All", "BackupRestore-Search.Read.All"}
	} else {
		claims["oid"] = User(r.Assertion)
		claims["scp"] = "BackupRestore-Configuration.ReadWrite.All BackupRestore-Control.ReadWrite.All BackupRestore-Restore.ReadWrite.All BackupRestore-Search.Read.All"
	}
	return JWT(claims)
}

// JWT makes an unsigned token.
func JWT(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(payload) + ".c2lnbmF0dXJl"
}

// Assertion makes the token with which a user of a tenant calls the application, good for an hour.
func Assertion(tenant, user string) string {
	return JWT(map[string]any{"tid": tenant, "oid": user, "exp": time.Now().Add(time.Hour).Unix()})
}

// Claims reads the claims of a token; nil when it has none.
func Claims(token string) (claims map[string]any) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	return claims
}

// User returns the object id in a token.
func User(token string) string {
	user, _ := Claims(token)["oid"].(string)
	return user
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone.
	_ = json.NewEncoder(w).Encode(body)
}
