package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuerURL = "https://issuer.example"
	audience  = "backupstorage"
	person    = "00001111-aaaa-2222-bbbb-3333cccc4444"
)

// start is when the clock of a test begins.
var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// signers are one key of each kind. They are made once, since RSA keys take a while.
var signers = sync.OnceValue(func() map[jose.SignatureAlgorithm]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[jose.SignatureAlgorithm]crypto.Signer{jose.RS256: rsaKey, jose.PS256: rsaKey, jose.ES256: ecKey, jose.EdDSA: edKey}
})

// testIssuer is an issuer without a network: its keys come out of a transport.
type testIssuer struct {
	t *testing.T

	mu sync.Mutex
	// now is the clock of issuer and server.
	now time.Time
	// published are the keys of the JWKS by their ids.
	published map[string]crypto.PublicKey
	// down makes all fetches fail; hold keeps them until it is closed.
	down bool
	hold chan struct{}
	// fetches counts the requests for the JWKS, began gets one value for each.
	fetches int
	began   chan struct{}
}

func newTestIssuer(t *testing.T) *testIssuer {
	t.Helper()
	return &testIssuer{
		t: t, now: start, began: make(chan struct{}, 1000),
		published: map[string]crypto.PublicKey{
			"rsa": signers()[jose.RS256].Public(), "ec": signers()[jose.ES256].Public(), "ed": signers()[jose.EdDSA].Public(),
		},
	}
}

// RoundTrip is the issuer's end of a fetch.
func (i *testIssuer) RoundTrip(request *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.fetches++
	down, hold, body := i.down, i.hold, i.jwks()
	i.mu.Unlock()
	i.began <- struct{}{}
	if hold != nil {
		select {
		case <-hold:
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	if down {
		return nil, fmt.Errorf("the issuer is down")
	}
	return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

// jwks is the JWKS of the published keys.
func (i *testIssuer) jwks() string {
	var set jose.JSONWebKeySet
	for id, key := range i.published {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: id})
	}
	data, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func (i *testIssuer) clock() time.Time { i.mu.Lock(); defer i.mu.Unlock(); return i.now }

func (i *testIssuer) pass(d time.Duration) { i.mu.Lock(); defer i.mu.Unlock(); i.now = i.now.Add(d) }

func (i *testIssuer) set(change func()) { i.mu.Lock(); defer i.mu.Unlock(); change() }

func (i *testIssuer) count() int { i.mu.Lock(); defer i.mu.Unlock(); return i.fetches }

// entry is how the rights file has the issuer.
func (i *testIssuer) entry() Issuer {
	return Issuer{Issuer: issuerURL, Audience: audience, PrincipalClaim: "sub", KeysURL: issuerURL + "/keys"}
}

// authenticator returns one that knows the issuers, by default this one.
func (i *testIssuer) authenticator(entries ...Issuer) *Authenticator {
	i.t.Helper()
	a := New(Options{Now: i.clock, Transport: func(*x509.CertPool) http.RoundTripper { return i }})
	if len(entries) == 0 {
		entries = []Issuer{i.entry()}
	}
	if err := a.Use(entries); err != nil {
		i.t.Fatal(err)
	}
	return a
}

// claimsWith returns the claims of a good token, with changes; nil removes a claim.
func (i *testIssuer) claimsWith(changes map[string]any) map[string]any {
	now := i.clock().Unix()
	all := map[string]any{"iss": issuerURL, "aud": audience, "sub": person, "exp": now + 3600, "iat": now, "nbf": now}
	maps.Copy(all, changes)
	for name, value := range all {
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// token is a token signed by the published key of an algorithm.
func (i *testIssuer) token(changes map[string]any) string {
	return sign(i.t, jose.ES256, signers()[jose.ES256], "ec", i.claimsWith(changes), nil)
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, payload any, headers map[jose.HeaderKey]any) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: maps.Clone(headers)}
	if id != "" {
		options = options.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := payload.(string)
	if !ok {
		data, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	signed, err := signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// with is the credential of a call that sends a token.
func with(token string) Credential { return Credential{Authorization: []string{"Bearer " + token}} }

// causeOf returns why a credential is refused, empty when it is not.
func causeOf(t *testing.T, a *Authenticator, c Credential) Cause {
	t.Helper()
	caller, err := a.Caller(context.Background(), c)
	if err == nil {
		if len(caller.Names) == 0 || caller.Expires.IsZero() {
			t.Errorf("an accepted caller is %+v", caller)
		}
		return ""
	}
	refused, ok := errors.AsType[*CredentialError](err)
	if !ok {
		t.Fatalf("the error is %T, want a *CredentialError", err)
	}
	if err.Error() != "the caller's credential is missing or invalid" {
		t.Errorf("%s: the text %q differs from the one of all causes", refused.Cause, err)
	}
	return refused.Cause
}
