package identity

import (
	"fmt"
	"testing"
	"time"
)

// A token is verified once while it is good. What makes it bad ends it at once.
func TestVerifiedTokensAreRemembered(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	token := with(i.token(nil))
	for range 3 {
		if got := causeOf(t, a, token); got != "" {
			t.Fatalf("refused because of %s", got)
		}
	}
	if n := len(a.verified.tokens); n != 1 {
		t.Errorf("%d tokens are remembered, want 1", n)
	}
	if known, ok := a.verified.of(token.Authorization[0][len("Bearer "):], *a.issuers.Load(), i.now); !ok || len(known.Names) != 1 {
		t.Errorf("it is not remembered: %v, %v", known, ok)
	}
	// Another token with one letter changed is another token.
	bad := with(token.Authorization[0][len("Bearer "):] + "A")
	if got := causeOf(t, a, bad); got == "" {
		t.Error("a changed token passes")
	}
	expired := i.now.Add(24 * time.Hour)
	if _, ok := a.verified.of(token.Authorization[0][len("Bearer "):], *a.issuers.Load(), expired); ok {
		t.Error("a token that has expired is still good")
	}
	if err := a.Use(nil); err != nil {
		t.Fatal(err)
	}
	if got := causeOf(t, a, token); got != CauseIssuerUnknown {
		t.Errorf("after its issuer is gone: %q", got)
	}
}

// When the issuer has other keys, its tokens are verified again.
func TestOtherKeysEndVerifiedTokens(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	token := i.token(nil)
	for range 2 {
		if got := causeOf(t, a, with(token)); got != "" {
			t.Fatalf("refused because of %s", got)
		}
	}
	keys := (*a.issuers.Load())[i.entry().Issuer].keys
	keys.mu.Lock()
	keys.current = append(keys.current[:0:0], keys.current...)
	for n := range keys.current {
		keys.current[n].KeyID = fmt.Sprint("new", n)
	}
	keys.mu.Unlock()
	if _, ok := a.verified.of(token, *a.issuers.Load(), i.now); ok {
		t.Error("the token of a key that was withdrawn is still good")
	}
}

func TestVerifiedTokensAreBounded(t *testing.T) {
	var v verified
	for n := range maxVerified + 10 {
		v.add(fmt.Sprint(n), nil, nil, Caller{})
	}
	if len(v.tokens) > maxVerified {
		t.Errorf("%d tokens are remembered", len(v.tokens))
	}
}
