package service_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// tokenIssuer is an issuer that serves its keys over HTTPS, with a certificate that no system knows.
type tokenIssuer struct {
	t        *testing.T
	server   *httptest.Server
	audience string
	// fetches counts the requests for keys, hang holds them up until it is closed.
	fetches atomic.Int64
	hang    atomic.Pointer[chan struct{}]

	mu   sync.Mutex
	keys map[string]*ecdsa.PrivateKey
}

func newTokenIssuer(t *testing.T, audience string) *tokenIssuer {
	t.Helper()
	i := &tokenIssuer{t: t, audience: audience, keys: make(map[string]*ecdsa.PrivateKey)}
	i.publish("first")
	mux := http.NewServeMux()
	i.server = httptest.NewTLSServer(mux)
	t.Cleanup(i.server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.server.URL, i.server.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		if hang := i.hang.Load(); hang != nil {
			select {
			case <-*hang:
			case <-r.Context().Done():
			}
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		var set jose.JSONWebKeySet
		for id, key := range i.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(set)
	})
	return i
}

// publish adds a key.
func (i *tokenIssuer) publish(id string) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[id] = key
}

// token is a token of the caller `app`, signed by a key under any id.
func (i *tokenIssuer) token(key *ecdsa.PrivateKey, id, audience string) string {
	i.t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": i.server.URL, "aud": audience, "sub": "app", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		i.t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// good is a token by a key that is published.
func (i *tokenIssuer) good(id string) string {
	i.mu.Lock()
	key := i.keys[id]
	i.mu.Unlock()
	return i.token(key, id, i.audience)
}

// overHTTP is a server whose callers have tokens of two issuers: the first has the URL of its keys in the rights file,
// the second is asked where they are. Its clock stands still.
type overHTTP struct {
	*identified
	first, second *tokenIssuer
	method        protoreflect.MethodDescriptor
	passed        atomic.Int64
}

func newOverHTTP(t *testing.T, options ...servicetest.Option) *overHTTP {
	t.Helper()
	s := &overHTTP{identified: newIssuer(t), first: newTokenIssuer(t, "audience-1"), second: newTokenIssuer(t, "audience-2"), method: methodNamed(t, "ListProtectionPolicies")}
	began := time.Now()
	var err error
	s.callers, err = service.NewCallersAt(slog.New(slog.DiscardHandler), func() time.Time { return began.Add(time.Duration(s.passed.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	text := "version: 1\nissuers:\n" +
		fmt.Sprintf("  - {issuer: %q, audience: audience-1, principalClaim: sub, jwksUrl: %q, caFile: ca.crt}\n", s.first.server.URL, s.first.server.URL+"/keys") +
		fmt.Sprintf("  - {issuer: %q, audience: audience-2, principalClaim: sub, caFile: ca.crt}\n", s.second.server.URL) +
		"  - {issuer: \"https://issuer.example\", audience: backupstorage, principalClaim: sub, jwksFile: keys.json}\ncallers:\n"
	for _, principal := range []string{"oidc:" + s.first.server.URL + "#app", "oidc:" + s.second.server.URL + "#app", "oidc:https://issuer.example#owner"} {
		text += fmt.Sprintf("  - {principal: %q, tenants: [%q], role: reader}\n", principal, grantedTenant)
	}
	files := map[string][]byte{
		"keys.json": s.jwks(), "ca.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.first.server.Certificate().Raw}),
	}
	file, err := s.callers.Parse([]byte(text), func(name string) ([]byte, error) { return files[name], nil })
	if err == nil {
		err = s.callers.Use(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	options = append([]servicetest.Option{func(o *service.Options) {
		o.Callers, o.Logger = s.callers, slog.New(slog.DiscardHandler)
	}}, options...)
	s.Server = servicetest.NewOnHandler(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"value":[]}`) }, options...)
	return s
}

// pass lets time pass.
func (s *overHTTP) pass(d time.Duration) { s.passed.Add(int64(d)) }

// list calls with a token, and returns the reason for which that is refused.
func (s *overHTTP) list(token string) string {
	return s.call(s.method, new(pb.ListProtectionPoliciesRequest), token, grantedTenant).Reason()
}

// Two issuers with other audiences and a private CA: each proves its own callers. One of them gets a new key, and the
// first token under it passes.
func TestIssuersOverHTTPS(t *testing.T) {
	s := newOverHTTP(t)
	const refused = "CALLER_UNAUTHENTICATED"
	for _, c := range []struct{ name, token, want string }{
		{"of the first", s.first.good("first"), ""},
		{"of the second", s.second.good("first"), ""},
		{"of the first for the second", s.first.token(s.first.keys["first"], "first", "audience-2"), refused},
		{"of the second for the first", s.second.token(s.second.keys["first"], "first", "audience-1"), refused},
		{"of the first by a key of the second", s.first.token(s.second.keys["first"], "first", "audience-1"), refused},
	} {
		if got := s.list(c.token); got != c.want {
			t.Errorf("a token %s: %q, want %q", c.name, got, c.want)
		}
	}
	s.pass(31 * time.Second)
	for _, i := range []*tokenIssuer{s.first, s.second} {
		before := i.fetches.Load()
		i.publish("next")
		for range 3 {
			if got := s.list(i.good("next")); got != "" {
				t.Errorf("a token under the new key: %s", got)
			}
			if got := s.list(i.good("first")); got != "" {
				t.Errorf("a token under the old key: %s", got)
			}
		}
		if n := i.fetches.Load() - before; n != 1 {
			t.Errorf("%d fetches for a new key", n)
		}
	}
}

// Strangers make 10,000 tokens under random keys and 10,000 bad ones under a known key: the issuer is asked once in
// 30 s at most, and the callers with good tokens are served.
func TestStrangersDoNotFetchKeys(t *testing.T) {
	s := newOverHTTP(t)
	// Windows of 30 s, and tokens of each kind in a window.
	windows, each := 10, 1000
	if slowed || testing.Short() {
		each = 50
	}
	if got := s.list(s.first.good("first")); got != "" {
		t.Fatal(got)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := s.first.good("first")
	for window := range windows {
		if window > 0 {
			s.pass(30 * time.Second)
		}
		var strangers sync.WaitGroup
		for part := range 8 {
			strangers.Go(func() {
				for n := range each / 8 {
					for _, id := range []string{fmt.Sprintf("%s-%d-%d-%d", rand.Text(), window, part, n), "first"} {
						// Of those that wait for keys at once only few have room.
						if got := s.list(s.first.token(stranger, id, "audience-1")); got != "CALLER_UNAUTHENTICATED" && got != "SERVER_OVERLOADED" {
							t.Errorf("a stranger with the key %s: %q", id, got)
						}
					}
				}
			})
		}
		for range 5 {
			if got := s.list(own); got != "" {
				t.Errorf("a caller beside strangers: %s", got)
			}
		}
		strangers.Wait()
		if n, most := s.first.fetches.Load(), int64(window+1); n > most {
			t.Fatalf("%d fetches in %d windows of 30 s", n, most)
		}
	}
	t.Logf("%d fetches in %d windows of 30 s", s.first.fetches.Load(), windows)
	if s.first.fetches.Load() < 2 {
		t.Error("nothing was fetched, so this proves nothing")
	}
}

// An issuer that hangs holds up its own callers alone, also where few calls are taken at all.
func TestIssuerThatHangsLeavesRoom(t *testing.T) {
	s := newOverHTTP(t, func(o *service.Options) { o.MaxCalls = 8 })
	hang := make(chan struct{})
	s.first.hang.Store(&hang)
	stranger := s.first.good("first")
	var waiting sync.WaitGroup
	var refused atomic.Int64
	for range 40 {
		waiting.Go(func() {
			if s.list(stranger) == "SERVER_OVERLOADED" {
				refused.Add(1)
			}
		})
	}
	for began := time.Now(); refused.Load() < 30; {
		if got := s.list(s.token("owner", nil)); got != "" {
			t.Errorf("a caller of another issuer: %s", got)
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("only %d of 40 calls were refused", refused.Load())
		}
	}
	for range 20 {
		if got := s.list(s.token("owner", nil)); got != "" {
			t.Errorf("a caller of another issuer: %s", got)
		}
	}
	close(hang)
	waiting.Wait()
}
