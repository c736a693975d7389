package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

// jwt is a token with a payload, and without a signature.
func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
}

// claimsOf are the claims of an unsigned token, as JSON each.
func claimsOf(t *testing.T, source graph.Unsigned, request graph.TokenRequest) map[string]string {
	t.Helper()
	token, err := source.Token(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] != "" {
		t.Fatalf("got %q, want three parts and no signature", token)
	}
	read := func(part string) map[string]string {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		claims := make(map[string]string)
		for name, value := range fields {
			claims[name] = string(value)
		}
		return claims
	}
	if got, want := read(parts[0]), map[string]string{"alg": `"none"`, "typ": `"JWT"`}; !maps.Equal(got, want) {
		t.Errorf("got header %v, want %v", got, want)
	}
	return read(parts[1])
}

func TestAnUnsignedTokenSaysWhoCalls(t *testing.T) {
	const (
		permissions = "BackupRestore-Configuration.ReadWrite.All BackupRestore-Control.ReadWrite.All " +
			"BackupRestore-Restore.ReadWrite.All BackupRestore-Search.Read.All"
		user = "e0000001-67ef-4440-8a1c-000000000002"
	)
	roles := `["` + strings.ReplaceAll(permissions, " ", `","`) + `"]`
	for _, c := range []struct {
		name, assertion string
		source          graph.Unsigned
		want            map[string]string
	}{
		{"an application", "", graph.Unsigned{}, map[string]string{"tid": `"` + tenant + `"`, "roles": roles}},
		{"a user", jwt(`{"tid":"` + tenant + `","oid":"` + user + `"}`), graph.Unsigned{},
			map[string]string{"tid": `"` + tenant + `"`, "oid": `"` + user + `"`, "scp": `"` + permissions + `"`}},
		{"a user without a name", jwt(`{"tid":"` + strings.ToUpper(tenant) + `"}`), graph.Unsigned{},
			map[string]string{"tid": `"` + tenant + `"`, "scp": `"` + permissions + `"`}},
		{"leniently", "", graph.Unsigned{Lenient: true}, map[string]string{"tid": `"` + tenant + `"`}},
		{"leniently for a user", "any text", graph.Unsigned{Lenient: true}, map[string]string{"tid": `"` + tenant + `"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := claimsOf(t, c.source, graph.TokenRequest{Tenant: tenant, UserAssertion: c.assertion}); !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnUnsignedTokenQuotesItsTenant(t *testing.T) {
	for _, want := range []string{tenant, "", `"},"a":{"`, "<ü>"} {
		var got string
		if err := json.Unmarshal([]byte(claimsOf(t, graph.Unsigned{}, graph.TokenRequest{Tenant: want})["tid"]), &got); err != nil || got != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
}

func TestUnsignedRefusesAssertionsAsAnAuthorityDoes(t *testing.T) {
	at := func(passed time.Duration) string {
		return jwt(fmt.Sprintf(`{"tid":%q,"exp":%d}`, tenant, time.Now().Add(-passed).Unix()))
	}
	for _, c := range []struct {
		name, assertion string
		cause           graph.Cause // empty: accepted
	}{
		{"no JWT", "opaque", graph.CauseUserAssertion},
		{"two parts", "e30.e30", graph.CauseUserAssertion},
		{"another tenant", jwt(`{"tid":"00000000-0000-4000-8000-000000000001"}`), graph.CauseWrongTenant},
		{"no tenant", jwt(`{}`), graph.CauseWrongTenant},
		{"expired", at(time.Hour), graph.CauseUserAssertion},
		{"expired by a clock that is a little ahead", at(4 * time.Minute), ""},
		{"valid", at(-time.Hour), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := graph.Unsigned{}.Token(t.Context(), graph.TokenRequest{Tenant: tenant, UserAssertion: c.assertion})
			if c.cause == "" {
				if err != nil || token == "" {
					t.Errorf("got %q, %v", token, err)
				}
				return
			}
			failed, ok := errors.AsType[*graph.TokenError](err)
			if !ok || failed.Kind != graph.TokenAssertionRefused || failed.Cause != c.cause || token != "" {
				t.Errorf("got %q, %v, want cause %q", token, err, c.cause)
			}
			if strings.Contains(err.Error(), c.assertion) {
				t.Errorf("the error has the assertion: %v", err)
			}
		})
	}
}
