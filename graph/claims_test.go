package graph_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

func TestClaimsAreReadOfAnythingThatIsAJWT(t *testing.T) {
	jwt := func(payload string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
	}
	for _, test := range []struct {
		name, token string
		want        graph.Claims
		ok          bool
	}{
		{"as documented", jwt(`{"tid":"A-1","oid":"u","exp":1700000000}`), graph.Claims{Tenant: "a-1", User: "u", Expires: time.Unix(1700000000, 0)}, true},
		{"padded", "e30." + base64.URLEncoding.EncodeToString([]byte(`{"tid":"a"}`)) + ".", graph.Claims{Tenant: "a"}, true},
		{"a fraction of a second", jwt(`{"exp":1700000000.7}`), graph.Claims{Expires: time.Unix(1700000000, 0)}, true},
		{"claims of other types", jwt(`{"tid":1,"oid":["u"],"exp":"soon"}`), graph.Claims{}, true},
		{"an end that is no time", jwt(`{"exp":1e300}`), graph.Claims{}, true},
		{"another spelling is another claim", jwt(`{"tid":"a","TID":"b"}`), graph.Claims{Tenant: "a"}, true},
		{"empty", "", graph.Claims{}, false},
		{"opaque", "EwBgA8l6BAAU", graph.Claims{}, false},
		{"two parts", "e30.e30", graph.Claims{}, false},
		{"five parts, as encrypted ones have", "a.b.c.d.e", graph.Claims{}, false},
		{"no base64", "e30.§.c", graph.Claims{}, false},
		{"no object", jwt(`["tid"]`), graph.Claims{}, false},
		{"null", jwt(`null`), graph.Claims{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := graph.ReadClaims(test.token)
			if ok != test.ok || got != test.want {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func FuzzReadClaims(f *testing.F) {
	f.Add([]byte(`{"tid":"A","oid":"u","exp":1700000000}`))
	f.Add([]byte(`{"tid":{"tid":[]},"exp":1e400}`))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, ok := graph.ReadClaims("." + base64.RawURLEncoding.EncodeToString(payload) + ".")
		if claims.Tenant != strings.ToLower(claims.Tenant) || claims.Expires.Before(time.Unix(0, 0)) && !claims.Expires.IsZero() {
			t.Errorf("got %+v", claims)
		}
		if !ok && claims != (graph.Claims{}) {
			t.Errorf("got %+v of what is no JWT", claims)
		}
	})
}

func TestRolesAreReadOfAnythingThatIsAJWT(t *testing.T) {
	jwt := func(payload string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
	}
	for token, want := range map[string][]string{
		jwt(`{"roles":["A.Read.All","B.ReadWrite.All"]}`): {"A.Read.All", "B.ReadWrite.All"},
		jwt(`{"roles":"A"}`):                              nil, jwt(`{"scp":"A"}`): nil, "opaque": nil, "": nil,
	} {
		if got := graph.ReadRoles(token); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", token, got, want)
		}
	}
}
