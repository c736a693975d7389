package graph

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestClaimsAreReadFromTheBearerChallenge(t *testing.T) {
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1?>~"}}}`
	padded, raw := base64.StdEncoding.EncodeToString([]byte(claims)), base64.RawURLEncoding.EncodeToString([]byte(claims))
	tooLarge := base64.StdEncoding.EncodeToString([]byte(`{"a":"` + strings.Repeat("x", maxClaims) + `"}`))
	for _, test := range []struct {
		name    string
		status  int
		headers []string
		claims  string
		demands bool
	}{
		{"padded", 401, []string{`Bearer error="insufficient_claims", claims="` + padded + `"`}, claims, true},
		{"for URLs", 403, []string{`bearer claims="` + raw + `",error="insufficient_claims"`}, claims, true},
		{"without quotes", 403, []string{`Bearer error=insufficient_claims, claims=` + raw}, claims, true},
		{"behind another challenge", 403, []string{`Basic realm="a, b", Bearer realm="", error="insufficient_claims", claims="` + padded + `"`}, claims, true},
		{"in a second header", 403, []string{`Negotiate`, `Bearer error="insufficient_claims" claims="` + padded + `"`}, claims, true},
		{"before another challenge", 403, []string{`Bearer error="insufficient_claims", claims="` + padded + `", PoP claims="e30="`}, claims, true},
		{"of another scheme", 403, []string{`PoP error="insufficient_claims", claims="` + padded + `"`}, "", false},
		{"an escaped quote", 403, []string{`Bearer realm="a\"b", error="insufficient_claims", claims="` + padded + `"`}, claims, true},
		{"no base64", 403, []string{`Bearer error="insufficient_claims", claims="!!"`}, "", true},
		{"no JSON", 403, []string{`Bearer error="insufficient_claims", claims="aGVsbG8="`}, "", true},
		{"no object", 403, []string{`Bearer error="insufficient_claims", claims="W10="`}, "", true},
		{"null", 403, []string{`Bearer error="insufficient_claims", claims="bnVsbA=="`}, "", true},
		{"too large", 403, []string{`Bearer error="insufficient_claims", claims="` + tooLarge + `"`}, "", true},
		{"an open quote", 403, []string{`Bearer error="insufficient_claims`}, "", true},
		{"another error", 401, []string{`Bearer error="invalid_token"`}, "", false},
		{"a response about something else", 404, []string{`Bearer error="insufficient_claims", claims="` + padded + `"`}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &Error{Meta: Meta{Status: test.status}}
			e.readChallenge(http.Header{"Www-Authenticate": test.headers})
			if e.claims != test.claims || e.InsufficientClaims != test.demands {
				t.Errorf("got %q and %t", e.claims, e.InsufficientClaims)
			}
		})
	}
}

func TestAnErrorBodyCanDemandClaimsToo(t *testing.T) {
	e := &Error{Meta: Meta{Status: 403}, Codes: []string{"accessDenied", "insufficient_claims"}}
	e.readChallenge(nil)
	if _, ok := e.challenge(); !ok || !e.InsufficientClaims {
		t.Error("the code is not seen")
	}
}

func FuzzChallenge(f *testing.F) {
	for _, value := range []string{`Bearer error="insufficient_claims", claims="e30="`, `a=b, Bearer x`, `Bearer a = "b\`, `,,==,`} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		e := &Error{Meta: Meta{Status: 401}}
		e.readChallenge(http.Header{"Www-Authenticate": {value}})
		if e.claims != "" && !strings.Contains(e.claims, "{") || len(e.claims) > maxClaims {
			t.Errorf("claims %q", e.claims)
		}
	})
}
