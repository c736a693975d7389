package graph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzTargets compares the URL of a target that is not parsed with that of one that is.
func FuzzTargets(f *testing.F) {
	for _, target := range []string{
		"/solutions/backupRestore/protectionPolicies", "/a/b?$top=5&$filter=a%20eq%20'b'", "/a%2Fb", "//host/a", "/a//b", "a", "", "/?", "/a?#x", "/a#x",
		"/a b", "/a?b c", "/ä", "/a?ä", "/a?\x7f", "/a(b)'!*", "/a:b;c=d,e@f&g+h$i", "http://host/a", "/%", "/a?b?c", "/a?", "/..", "/*",
	} {
		f.Add("/v1.0", target)
	}
	f.Add("/a%2Fb", "/c")
	f.Add("/a b", "/c")
	f.Add("", "/c")
	f.Fuzz(func(t *testing.T, path, target string) {
		endpoint, err := url.Parse("https://graph.example" + path)
		if err != nil || endpoint.Host != "graph.example" || endpoint.RawQuery != "" || endpoint.Fragment != "" {
			return
		}
		var got, want url.URL
		o := newOutgoing(endpoint, "test")
		errGot := o.setTarget(&got, target)
		o.plain = false
		errWant := o.setTarget(&want, target)
		if (errGot == nil) != (errWant == nil) {
			t.Fatalf("%q: %v, want %v", target, errGot, errWant)
		}
		if errGot == nil && (got.RequestURI() != want.RequestURI() || got.Host != want.Host || got.Path != want.Path || got.RawQuery != want.RawQuery) {
			t.Errorf("%q: %s, want %s", target, got.RequestURI(), want.RequestURI())
		}
	})
}

func TestDatesAreRead(t *testing.T) {
	var d dateReader
	for text, want := range map[string]time.Time{
		"Fri, 20 Nov 2026 12:13:14 GMT":  time.Date(2026, 11, 20, 12, 13, 14, 0, time.UTC),
		"Fri, 20 Nov 2026 12:13:15 GMT":  time.Date(2026, 11, 20, 12, 13, 15, 0, time.UTC),
		"Friday, 20-Nov-26 12:13:14 GMT": time.Date(2026, 11, 20, 12, 13, 14, 0, time.UTC),
		"":                               {}, "yesterday": {},
	} {
		for range 2 {
			if got := d.read(text); !got.Equal(want) {
				t.Errorf("%q: %v", text, got)
			}
		}
	}
}

// A token for the application is made without JSON, and says the same.
func TestUnsignedTokensSayTheSame(t *testing.T) {
	const tenant = "11111111-2222-4333-8444-000000000001"
	for _, u := range []Unsigned{{}, {Lenient: true}} {
		token, err := u.Token(t.Context(), TokenRequest{Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		claims := unsignedClaims{Tenant: tenant}
		if !u.Lenient {
			claims.Roles = allPermissions
		}
		want, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			t.Fatalf("%q has %d parts", token, len(parts))
		}
		if got, err := base64.RawURLEncoding.DecodeString(parts[1]); err != nil || string(got) != string(want) {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// maxRequestAllocations is how many allocations a request takes. With a target that is parsed there are two more, and
// one with a token that is put into its header anew.
const maxRequestAllocations = 5

// What a request takes besides what net/http does with it: the request, its URL with what differs in its headers, and
// the headers.
func TestRequestsAllocateLittle(t *testing.T) {
	client, err := New(Options{Endpoint: "https://graph.example/v1.0", Tokens: Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := &Request{Method: http.MethodGet, Target: Root + "/protectionPolicies/1?$top=5", RequestID: "1", Safe: true}
	token := strings.Repeat("x", 1000)
	n := testing.AllocsPerRun(100, func() {
		authorization, ok := client.outgoing.authorization(token)
		if !ok {
			t.Fatal("the token does not fit")
		}
		if _, err := client.outgoing.request(t.Context(), request, authorization); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", n)
	if n > maxRequestAllocations {
		t.Errorf("%v allocations, want %d at most", n, maxRequestAllocations)
	}
}
