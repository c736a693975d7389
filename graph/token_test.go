package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph"
)

func TestAnUnsignedTokenNamesTheTenantAndNothingElse(t *testing.T) {
	for _, want := range []string{tenant, "", `"},"a":{"`, "<ü>"} {
		token, err := graph.Unsigned{}.Token(t.Context(), graph.TokenRequest{Tenant: want})
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 || parts[2] != "" {
			t.Fatalf("got %q, want three parts and no signature", token)
		}
		for part, wanted := range map[string]map[string]string{
			parts[0]: {"alg": "none", "typ": "JWT"},
			parts[1]: {"tid": want},
		} {
			text, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if len(got) != len(wanted) {
				t.Errorf("got %v, want %v", got, wanted)
			}
			for name := range wanted {
				if got[name] != wanted[name] {
					t.Errorf("%s: got %q, want %q", name, got[name], wanted[name])
				}
			}
		}
	}
}
