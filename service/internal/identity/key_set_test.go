package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// When the issuer has a new key, the first token under it is accepted, and those under the old one are until it goes.
func TestIssuerRotates(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	if got := causeOf(t, a, with(i.token(nil))); got != "" {
		t.Fatalf("refused because of %s", got)
	}
	i.pass(31 * time.Second)
	next := newKey(t)
	i.set(func() { i.published["next"] = next.Public() })
	token := func() string { return sign(t, jose.ES256, next, "next", i.claimsWith(nil), nil) }
	if got := causeOf(t, a, with(token())); got != "" {
		t.Errorf("the first token under the new key is refused because of %s", got)
	}
	if got := causeOf(t, a, with(i.token(nil))); got != "" {
		t.Errorf("a token under the old key is refused because of %s", got)
	}
	if got := i.count(); got != 2 {
		t.Errorf("%d fetches, want 2", got)
	}
	// A key that the issuer withdraws ends with the next refresh, which no call waits for.
	i.set(func() { delete(i.published, "ec") })
	for len(i.began) > 0 {
		<-i.began
	}
	i.pass(maxAge)
	if got := causeOf(t, a, with(token())); got != "" {
		t.Errorf("refused while the keys are fetched again, because of %s", got)
	}
	<-i.began
	waitForFetch(a)
	if got := causeOf(t, a, with(i.token(nil))); got != CauseKeyUnknown {
		t.Errorf("the cause for a withdrawn key is %q", got)
	}
}

// waitForFetch returns when no fetch is under way.
func waitForFetch(a *Authenticator) {
	s := (*a.issuers.Load())[issuerURL].keys
	s.mu.Lock()
	done := s.underWay
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Strangers cannot make the server fetch: 10,000 random key ids cause one fetch in 30 s, and as many bad signatures
// under a known key none.
func TestStrangersCauseNoFetches(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	if got := causeOf(t, a, with(i.token(nil))); got != "" {
		t.Fatalf("refused because of %s", got)
	}
	payload := string(marshalClaims(t, i.claimsWith(nil)))
	key := newKey(t)
	flood := func(id func(n int) string, want Cause) {
		t.Helper()
		var calls sync.WaitGroup
		for worker := range 4 {
			calls.Go(func() {
				for n := range 2500 {
					token := raw(fmt.Sprintf(`{"alg":"ES256","kid":%q}`, id(worker*2500+n)), payload)
					if got := causeOf(t, a, with(token)); got != want {
						t.Errorf("the cause is %q, want %q", got, want)
						return
					}
				}
			})
		}
		calls.Wait()
	}
	i.pass(31 * time.Second)
	flood(func(int) string { return "ec" }, CauseSignature)
	if got := i.count(); got != 1 {
		t.Errorf("%d fetches after bad signatures, want the 1 before them", got)
	}
	flood(func(n int) string { return fmt.Sprintf("random-%d", n) }, CauseKeyUnknown)
	if got := i.count(); got != 2 {
		t.Errorf("%d fetches after random key ids, want 2", got)
	}
	i.pass(29 * time.Second)
	causeOf(t, a, with(sign(t, jose.ES256, key, "again", i.claimsWith(nil), nil)))
	if got := i.count(); got != 2 {
		t.Errorf("%d fetches 29 s later, want 2", got)
	}
	i.pass(time.Second)
	causeOf(t, a, with(sign(t, jose.ES256, key, "again", i.claimsWith(nil), nil)))
	if got := i.count(); got != 3 {
		t.Errorf("%d fetches 30 s later, want 3", got)
	}
}

// While the issuer is down, known keys go on, and each call is decided.
func TestIssuerDown(t *testing.T) {
	i := newTestIssuer(t)
	i.down = true
	a := i.authenticator()
	if got := causeOf(t, a, with(i.token(nil))); got != CauseKeysUnavailable {
		t.Errorf("the cause before any key was fetched is %q", got)
	}
	i.pass(30 * time.Second)
	i.set(func() { i.down = false })
	if got := causeOf(t, a, with(i.token(nil))); got != "" {
		t.Errorf("refused once the issuer is up, because of %s", got)
	}
	i.set(func() { i.down = true })
	for minute := range 40 {
		i.pass(time.Minute)
		if got := causeOf(t, a, with(i.token(nil))); got != "" {
			t.Errorf("a known key is refused after %d min, because of %s", minute, got)
		}
		waitForFetch(a)
	}
	unknown := sign(t, jose.ES256, newKey(t), "unknown", i.claimsWith(nil), nil)
	if got := causeOf(t, a, with(unknown)); got != CauseKeysUnavailable {
		t.Errorf("the cause for an unknown key is %q", got)
	}
}

// All calls with an unknown key share one fetch, and each waits only as long as it may.
func TestOneFetchForAll(t *testing.T) {
	i := newTestIssuer(t)
	i.hold = make(chan struct{})
	a := i.authenticator()
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if got := causeOf(t, a, with(i.token(nil))); got != "" {
				t.Errorf("refused because of %s", got)
			}
		})
	}
	<-i.began
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Caller(ctx, with(i.token(nil))); err == nil {
		t.Error("a call that was cancelled got a caller before the keys were there")
	}
	// The moment when only headers are there waits for nothing: the token may pass.
	if _, pending, err := a.Known(with(i.token(nil))); err != nil || !pending {
		t.Errorf("a token of an unknown key, before the keys are there: pending %v, %v", pending, err)
	}
	close(i.hold)
	calls.Wait()
	if got := i.count(); got != 1 {
		t.Errorf("%d fetches, want 1", got)
	}
	for name, test := range map[string]struct {
		credential Credential
		refused    bool
	}{
		"good token":         {with(i.token(nil)), false},
		"unknown key":        {with(sign(t, jose.ES256, newKey(t), "unknown", i.claimsWith(nil), nil)), true},
		"bad signature":      {with(sign(t, jose.ES256, newKey(t), "ec", i.claimsWith(nil), nil)), true},
		"expired":            {with(i.token(map[string]any{"exp": 1})), true},
		"no credential":      {Credential{}, true},
		"a long key id":      {with(sign(t, jose.ES256, newKey(t), string(make([]byte, 300)), i.claimsWith(nil), nil)), true},
		"a good certificate": {Credential{Certificate: VerifiedCertificate(stateOf(t, "spiffe://corp.example/portal"))}, false},
	} {
		caller, pending, err := a.Known(test.credential)
		if (err != nil) != test.refused || pending || !test.refused && !pending && len(caller.Names) == 0 {
			t.Errorf("%s: refused from headers: %v, want %v", name, err, test.refused)
		}
	}
	if got := i.count(); got != 1 {
		t.Errorf("%d fetches after looks at headers, want 1", got)
	}
	// When a fetch is allowed again, a look begins it, and the token is pending.
	i.pass(fetchPause + time.Second)
	unknown := with(sign(t, jose.ES256, newKey(t), "unknown", i.claimsWith(nil), nil))
	if _, pending, err := a.Known(unknown); err != nil || !pending {
		t.Errorf("an unknown key: pending %v, %v", pending, err)
	}
	<-i.began
	if got := i.count(); got != 2 {
		t.Errorf("%d fetches, want 2", got)
	}
}

// New issuers replace the old ones at once; the keys of those that stay are not fetched again. A bad one changes
// nothing.
func TestIssuersAreReplaced(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	causeOf(t, a, with(i.token(nil)))
	entry := i.entry()
	entry.Audience = "second"
	if err := a.Use([]Issuer{entry}); err != nil {
		t.Fatal(err)
	}
	if got := causeOf(t, a, with(i.token(nil))); got != CauseAudience {
		t.Errorf("the cause for the old audience is %q", got)
	}
	if got := causeOf(t, a, with(i.token(map[string]any{"aud": "second"}))); got != "" {
		t.Errorf("the new audience is refused because of %s", got)
	}
	if got := i.count(); got != 1 {
		t.Errorf("%d fetches, want 1: the keys stay", got)
	}
	if err := a.Use([]Issuer{entry, {Issuer: "http://issuer.example"}}); err == nil {
		t.Error("an issuer without https is used")
	}
	if got := causeOf(t, a, with(i.token(map[string]any{"aud": "second"}))); got != "" {
		t.Errorf("after bad issuers the good one is refused because of %s", got)
	}
	if err := a.Use(nil); err != nil {
		t.Fatal(err)
	}
	if got := causeOf(t, a, with(i.token(map[string]any{"aud": "second"}))); got != CauseIssuerUnknown {
		t.Errorf("the cause without issuers is %q", got)
	}
}

func marshalClaims(t *testing.T, all map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
