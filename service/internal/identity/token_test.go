package identity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Tokens of each algorithm prove their caller, whether or not they name their key.
func TestGoodTokens(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	for algorithm, id := range map[jose.SignatureAlgorithm]string{jose.RS256: "rsa", jose.PS256: "rsa", jose.ES256: "ec", jose.EdDSA: "ed"} {
		for _, id := range []string{id, ""} {
			token := sign(t, algorithm, signers()[algorithm], id, i.claimsWith(nil), nil)
			for _, scheme := range []string{"Bearer", "bearer"} {
				caller, err := a.Caller(context.Background(), Credential{Authorization: []string{scheme + " " + token}})
				if err != nil {
					t.Fatalf("%s with the key id %q: %#v", algorithm, id, err)
				}
				if want := "oidc:https://issuer.example#" + person; len(caller.Names) != 1 || caller.Names[0] != want {
					t.Errorf("%s: the caller is %q, want %q", algorithm, caller.Names, want)
				}
				if want := start.Add(time.Hour + ClockSkew); !caller.Expires.Equal(want) {
					t.Errorf("%s: it expires at %s, want %s", algorithm, caller.Expires, want)
				}
			}
		}
	}
}

// raw is a token of any header and payload, with a signature that no key made.
func raw(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(bytes.Repeat([]byte("s"), 64))
}

func TestBadTokens(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	good := i.token(nil)
	parts := strings.Split(good, ".")
	payload := `{"iss":"https://issuer.example","aud":"backupstorage","sub":"a","exp":4000000000}`
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(signers()[jose.RS256].Public())
	if err != nil {
		t.Fatal(err)
	}
	// The public key as the secret of HS256 is the classic way to make a token of one's own.
	hmac := sign(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "rsa", i.claimsWith(nil), nil)
	ec := func(changes map[string]any) []string { return []string{"Bearer " + i.token(changes)} }
	headers := func(h map[jose.HeaderKey]any) []string {
		return []string{"Bearer " + sign(t, jose.ES256, signers()[jose.ES256], "ec", i.claimsWith(nil), h)}
	}
	for name, test := range map[string]struct {
		authorization []string
		want          Cause
	}{
		"no credential":            {nil, CauseNoCredential},
		"empty":                    {[]string{""}, CauseSyntax},
		"no token":                 {[]string{"Bearer "}, CauseSyntax},
		"another scheme":           {[]string{"Basic YTpi"}, CauseSyntax},
		"a token without scheme":   {[]string{good}, CauseSyntax},
		"two headers":              {[]string{"Bearer " + good, "Bearer " + good}, CauseNotOneToken},
		"two joined headers":       {[]string{"Bearer " + good + ", Bearer " + good}, CauseNotOneToken},
		"two tokens":               {[]string{"Bearer " + good + " " + good}, CauseNotOneToken},
		"20 kB":                    {[]string{"Bearer " + strings.Repeat("a", 20000)}, CauseTooLong},
		"12 KiB and one":           {[]string{"Bearer " + strings.Repeat("a", 12<<10-6)}, CauseTooLong},
		"no JWT":                   {[]string{"Bearer abc"}, CauseSyntax},
		"two parts":                {[]string{"Bearer " + parts[0] + "." + parts[1]}, CauseSyntax},
		"five parts":               {[]string{"Bearer " + good + ".a.b"}, CauseSyntax},
		"no base64":                {[]string{"Bearer " + parts[0] + "." + parts[1] + "!." + parts[2]}, CauseSyntax},
		"a payload without object": {[]string{"Bearer " + raw(`{"alg":"ES256"}`, `null`)}, CauseSyntax},
		"a claim that comes twice": {[]string{"Bearer " + sign(t, jose.ES256, signers()[jose.ES256], "ec", strings.Replace(payload, "{", `{"sub":"b",`, 1), nil)}, CauseSyntax},
		"none":                     {[]string{"Bearer " + raw(`{"alg":"none"}`, payload)}, CauseAlgorithm},
		"None":                     {[]string{"Bearer " + raw(`{"alg":"None"}`, payload)}, CauseAlgorithm},
		"no algorithm":             {[]string{"Bearer " + raw(`{}`, payload)}, CauseAlgorithm},
		"HS256":                    {[]string{"Bearer " + hmac}, CauseAlgorithm},
		"RS384":                    {[]string{"Bearer " + sign(t, jose.RS384, signers()[jose.RS256], "rsa", i.claimsWith(nil), nil)}, CauseAlgorithm},
		"a logout token":           {headers(map[jose.HeaderKey]any{"typ": "logout+jwt"}), CauseType},
		"a number as type":         {[]string{"Bearer " + raw(`{"alg":"ES256","typ":5}`, payload)}, CauseType},
		"crit":                     {headers(map[jose.HeaderKey]any{"crit": []string{"b64"}, "b64": true}), CauseCritical},
		"empty crit":               {[]string{"Bearer " + raw(`{"alg":"ES256","crit":[]}`, payload)}, CauseCritical},
		"a number as key id":       {[]string{"Bearer " + raw(`{"alg":"ES256","kid":5}`, payload)}, CauseKeyUnknown},
		"an empty key id":          {[]string{"Bearer " + raw(`{"alg":"ES256","kid":""}`, payload)}, CauseKeyUnknown},
		"a long key id":            {[]string{"Bearer " + raw(`{"alg":"ES256","kid":"`+strings.Repeat("k", 257)+`"}`, payload)}, CauseKeyUnknown},
		"a key id of another kind": {[]string{"Bearer " + sign(t, jose.ES256, signers()[jose.ES256], "rsa", i.claimsWith(nil), nil)}, CauseKeyUnknown},
		"a bad signature":          {[]string{"Bearer " + sign(t, jose.ES256, other, "ec", i.claimsWith(nil), nil)}, CauseSignature},
		"a signature of another":   {[]string{"Bearer " + parts[0] + "." + strings.Split(i.token(map[string]any{"sub": "b"}), ".")[1] + "." + parts[2]}, CauseSignature},
		"no signature":             {[]string{"Bearer " + parts[0] + "." + parts[1] + "."}, CauseSignature},
		"a key in the header":      {[]string{"Bearer " + sign(t, jose.ES256, other, "unknown", i.claimsWith(nil), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.Public()}})}, CauseKeyUnknown},
		"expired":                  {ec(map[string]any{"exp": start.Add(-61 * time.Second).Unix()}), CauseExpired},
		"no expiry":                {ec(map[string]any{"exp": nil}), CauseExpired},
		"an expiry of text":        {ec(map[string]any{"exp": "4000000000"}), CauseExpired},
		"an endless expiry":        {ec(map[string]any{"exp": 1e18}), CauseExpired},
		"early":                    {ec(map[string]any{"nbf": start.Add(61 * time.Second).Unix()}), CauseEarly},
		"a begin of text":          {ec(map[string]any{"nbf": "now"}), CauseEarly},
		"wrong audience":           {ec(map[string]any{"aud": "another"}), CauseAudience},
		"no audience":              {ec(map[string]any{"aud": nil}), CauseAudience},
		"wrong issuer":             {ec(map[string]any{"iss": "https://another.example"}), CauseIssuerUnknown},
		"issuer with a slash":      {ec(map[string]any{"iss": issuerURL + "/"}), CauseIssuerUnknown},
		"no issuer":                {ec(map[string]any{"iss": nil}), CauseIssuerUnknown},
		"ID token":                 {ec(map[string]any{"nonce": "n"}), CauseIDToken},
		"ID token with a hash":     {ec(map[string]any{"at_hash": "h"}), CauseIDToken},
		"no principal":             {ec(map[string]any{"sub": nil}), CausePrincipalClaim},
		"an empty principal":       {ec(map[string]any{"sub": ""}), CausePrincipalClaim},
		"a number as principal":    {ec(map[string]any{"sub": 5}), CausePrincipalClaim},
		"a principal of two lines": {ec(map[string]any{"sub": "a\nb"}), CausePrincipalClaim},
	} {
		t.Run(name, func(t *testing.T) {
			credential := Credential{Authorization: test.authorization}
			if got := causeOf(t, a, credential); got != test.want {
				t.Errorf("the cause is %q, want %q", got, test.want)
			}
			// With a good certificate the token is refused all the same. No token at all is another matter.
			if test.authorization != nil {
				credential.Certificate = VerifiedCertificate(stateOf(t, "spiffe://corp.example/portal"))
				if got := causeOf(t, a, credential); got != test.want {
					t.Errorf("with a certificate the cause is %q, want %q", got, test.want)
				}
			}
		})
	}
	if got := i.count(); got != 1 {
		t.Errorf("the keys were fetched %d times within 30 s, want once", got)
	}
}

// Access tokens of each kind are accepted.
func TestTypesOfTokens(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	for _, kind := range []string{"JWT", "at+jwt", "application/at+JWT", "JOSE"} {
		token := sign(t, jose.ES256, signers()[jose.ES256], "ec", i.claimsWith(nil), map[jose.HeaderKey]any{"typ": kind})
		if got := causeOf(t, a, with(token)); got != "" {
			t.Errorf("%s: refused because of %s", kind, got)
		}
	}
}

// A token without a key id is tried with a few keys only, however many the issuer has.
func TestTriesAreBounded(t *testing.T) {
	i := newTestIssuer(t)
	i.published = make(map[string]crypto.PublicKey)
	for n := range maxTries {
		i.published[fmt.Sprint(n)] = newKey(t).Public()
	}
	last := newKey(t)
	all, err := parseKeys([]byte(i.jwks()))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(sign(t, jose.ES256, last, "", i.claimsWith(nil), nil), algorithms)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		keys keys
		want Cause
	}{
		"as the last of 8": {append(all[1:len(all):len(all)], jose.JSONWebKey{Key: last.Public()}), ""},
		"as the 9th":       {append(slices.Clip(all), jose.JSONWebKey{Key: last.Public()}), CauseKeyUnknown},
	} {
		if _, cause := test.keys.verify(parsed, jose.ES256, ""); cause != test.want {
			t.Errorf("%s: the cause is %q, want %q", name, cause, test.want)
		}
	}
}

// The clocks of issuer and server may differ by a minute.
func TestClockSkew(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	for name, changes := range map[string]map[string]any{
		"just expired": {"exp": start.Add(-60 * time.Second).Unix()},
		"just early":   {"nbf": start.Add(60 * time.Second).Unix()},
		"no begin":     {"nbf": nil},
		"many ones":    {"aud": []string{"another", audience}},
	} {
		if got := causeOf(t, a, with(i.token(changes))); got != "" {
			t.Errorf("%s: refused because of %s", name, got)
		}
	}
}

// Where a claim names the application, a user's token must not pass for it.
func TestTokensOfApplications(t *testing.T) {
	i := newTestIssuer(t)
	for _, claim := range []string{"azp", "appid"} {
		entry := i.entry()
		entry.PrincipalClaim = claim
		a := i.authenticator(entry)
		if got := causeOf(t, a, with(i.token(map[string]any{claim: person}))); got != "" {
			t.Errorf("%s: an application's token is refused because of %s", claim, got)
		}
		for _, scopes := range []any{"Backup.Read", "", []string{}} {
			if got := causeOf(t, a, with(i.token(map[string]any{claim: person, "scp": scopes}))); got != CauseUserToken {
				t.Errorf("%s: the cause for a user's token with scp %v is %q", claim, scopes, got)
			}
		}
	}
	// By sub the user is the caller, who may have scopes.
	if got := causeOf(t, i.authenticator(), with(i.token(map[string]any{"scp": "Backup.Read"}))); got != "" {
		t.Errorf("sub: a user's token is refused because of %s", got)
	}
}

func TestRequiredClaims(t *testing.T) {
	i := newTestIssuer(t)
	entry := i.entry()
	entry.RequiredClaims = []RequiredClaim{{"idtyp", "app"}, {"roles", "Backup"}, {"verified", true}}
	a := i.authenticator(entry)
	good := map[string]any{"idtyp": "app", "roles": []string{"Other", "Backup"}, "verified": true}
	if got := causeOf(t, a, with(i.token(good))); got != "" {
		t.Errorf("refused because of %s", got)
	}
	for name, value := range map[string]any{"idtyp": "user", "roles": []string{"backup"}, "verified": "true"} {
		for _, value := range []any{value, nil, map[string]any{"app": true}} {
			changed := map[string]any{"idtyp": "app", "roles": "Backup", "verified": true, name: value}
			if got := causeOf(t, a, with(i.token(changed))); got != CauseRequiredClaim {
				t.Errorf("%s of %v: the cause is %q", name, value, got)
			}
		}
	}
}

// Two issuers have audiences of their own, and each its own keys: a token of one signed by the other is refused.
func TestTwoIssuers(t *testing.T) {
	i := newTestIssuer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwks := fmt.Sprintf(`{"keys":[%s]}`, marshal(t, jose.JSONWebKey{Key: key.Public(), KeyID: "rsa"}))
	second := Issuer{Issuer: "https://second.example/a", Audience: "second", PrincipalClaim: "sub", Keys: []byte(jwks)}
	a := i.authenticator(i.entry(), second)
	of := func(issuer, audience string, key any) string {
		return sign(t, jose.RS256, key, "rsa", i.claimsWith(map[string]any{"iss": issuer, "aud": audience}), nil)
	}
	for name, test := range map[string]struct {
		token string
		want  Cause
	}{
		"first":                            {of(issuerURL, audience, signers()[jose.RS256]), ""},
		"second":                           {of(second.Issuer, "second", key), ""},
		"the audience of the other":        {of(second.Issuer, audience, key), CauseAudience},
		"signed by the other":              {of(second.Issuer, "second", signers()[jose.RS256]), CauseSignature},
		"signed by the other, and fetched": {of(issuerURL, audience, key), CauseSignature},
	} {
		if got := causeOf(t, a, with(test.token)); got != test.want {
			t.Errorf("%s: the cause is %q, want %q", name, got, test.want)
		}
	}
}

func marshal(t *testing.T, key jose.JSONWebKey) []byte {
	t.Helper()
	data, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What a stranger may send never stops the server, and is never a caller.
func FuzzToken(f *testing.F) {
	i := newTestIssuer(&testing.T{})
	a := New(Options{Now: i.clock})
	if err := a.Use([]Issuer{{Issuer: issuerURL, Audience: audience, PrincipalClaim: "sub", Keys: []byte(i.jwks())}}); err != nil {
		f.Fatal(err)
	}
	f.Add(`{"alg":"ES256","kid":"ec"}`, `{"iss":"https://issuer.example","aud":"backupstorage","sub":"a","exp":4000000000}`)
	f.Add(`{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, `{"iss":"https://issuer.example","aud":["backupstorage"],"sub":"a","exp":4e9,"nbf":1.5}`)
	f.Add(`{"alg":"RS256"}`, `{"iss":"https://issuer.example","aud":null,"exp":-1}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		if caller, err := a.Caller(context.Background(), with(raw(header, payload))); err == nil {
			t.Errorf("a token that nobody signed is %q", caller.Names)
		}
	})
}

// What a token costs a call that is accepted, from the second one on.
func BenchmarkCaller(b *testing.B) {
	t := &testing.T{}
	i := newTestIssuer(t)
	a := New(Options{Now: i.clock})
	if err := a.Use([]Issuer{{Issuer: issuerURL, Audience: audience, PrincipalClaim: "sub", Keys: []byte(i.jwks())}}); err != nil {
		b.Fatal(err)
	}
	for algorithm, id := range map[jose.SignatureAlgorithm]string{jose.RS256: "rsa", jose.ES256: "ec", jose.EdDSA: "ed"} {
		credential := with(sign(t, algorithm, signers()[algorithm], id, i.claimsWith(nil), nil))
		b.Run(string(algorithm), func(b *testing.B) {
			for b.Loop() {
				if _, err := a.Caller(context.Background(), credential); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
