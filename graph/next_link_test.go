package graph

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

const (
	nextHost = "https://graph.microsoft.com"
	nextPath = Root + "/protectionPolicies"
	nextFrom = nextPath + "?$top=5"
)

func nextClient(tb testing.TB, endpoint string) *Client {
	tb.Helper()
	client, err := New(Options{Endpoint: endpoint, Tokens: Unsigned{}})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func TestANextLinkIsFollowedOnlyUnderTheEndpoint(t *testing.T) {
	const query = "?$skiptoken=a"
	maxLink := nextPath + "?a=" + strings.Repeat("x", maxNextLink-len(nextPath)-3)
	for _, test := range []struct{ name, endpoint, link, want string }{
		{"absolute", "", nextHost + "/v1.0" + nextPath + query, nextPath + query},
		{"absolute with the default port", "", nextHost + ":443/v1.0" + nextPath + query, nextPath + query},
		{"absolute with an empty port", "", nextHost + ":/v1.0" + nextPath + query, nextPath + query},
		{"the endpoint names the default port", nextHost + ":443/v1.0", nextHost + "/v1.0" + nextPath + query, nextPath + query},
		{"the default port of http", "http://127.0.0.1:80/v1.0", "http://127.0.0.1/v1.0" + nextPath + query, nextPath + query},
		{"another port that is the endpoint's", "http://127.0.0.1:8080/v1.0", "http://127.0.0.1:8080/v1.0" + nextPath + query, nextPath + query},
		{"an address of IPv6", "http://[::1]:8080/v1.0", "http://[::1]:8080/v1.0" + nextPath + query, nextPath + query},
		{"scheme and host in capitals", "", "HTTPS://GRAPH.Microsoft.COM/v1.0" + nextPath + query, nextPath + query},
		{"version in capitals", "", nextHost + "/V1.0" + nextPath + query, nextPath + query},
		{"path in small letters", "", nextHost + "/v1.0" + strings.ToLower(nextPath) + query, strings.ToLower(nextPath) + query},
		{"endpoint without a path", nextHost, nextHost + nextPath + query, nextPath + query},
		{"endpoint with an escaped path", nextHost + "/a%2Fb", nextHost + "/a%2Fb" + nextPath + query, nextPath + query},
		{"relative", "", nextPath + query, nextPath + query},
		{"relative with version", "", "/v1.0" + nextPath + query, nextPath + query},
		{"relative without a slash", "", nextPath[1:] + query, nextPath + query},
		{"relative with version without a slash", "", "v1.0" + nextPath + query, nextPath + query},
		{"the longest", "", maxLink, maxLink},
		{"without a query", "", nextHost + "/v1.0" + nextPath, nextPath},
		{"with an empty query", "", nextPath + "?", nextPath},
		{"with an id", "", nextPath + "/a%2Cb=+~/x" + query, nextPath + "/a%2Cb=+~/x" + query},
		{"query byte for byte", "", nextPath + "?$a=%2F%2f+;b&&c=/../?%24x='y'", nextPath + "?$a=%2F%2f+;b&&c=/../?%24x='y'"},
		{"a query that is another URL", "", nextPath + "?https://evil.example/", nextPath + "?https://evil.example/"},

		{"empty", "", "", ""},
		{"equal to the request", "", nextFrom, ""},
		{"equal to the request, absolute", "", nextHost + "/v1.0" + nextFrom, ""},
		{"too long", "", maxLink + "x", ""},
		{"too long once escaped", "", nextPath + "/" + strings.Repeat(`"`, maxNextLink/2), ""},
		{"another host", "", "https://graph.microsoft.us/v1.0" + nextPath + query, ""},
		{"a longer host", "", nextHost + ".evil.example/v1.0" + nextPath + query, ""},
		{"a host with a dot behind", "", nextHost + "./v1.0" + nextPath + query, ""},
		{"another port", "", nextHost + ":8443/v1.0" + nextPath + query, ""},
		{"the port of the other scheme", "", nextHost + ":80/v1.0" + nextPath + query, ""},
		{"another scheme", "", "http://graph.microsoft.com/v1.0" + nextPath + query, ""},
		{"another scheme with the same port", "", "http://graph.microsoft.com:443/v1.0" + nextPath + query, ""},
		{"a scheme without a host", "", "https:/v1.0" + nextPath + query, ""},
		{"a scheme without a slash", "", "https:v1.0" + nextPath + query, ""},
		{"a script", "", "javascript:alert(1)", ""},
		{"a host without a scheme", "", "//graph.microsoft.com/v1.0" + nextPath + query, ""},
		{"another host without a scheme", "", "//evil.example/v1.0" + nextPath + query, ""},
		{"three slashes", "", "///evil.example/v1.0" + nextPath + query, ""},
		{"a user", "", "https://me@graph.microsoft.com/v1.0" + nextPath + query, ""},
		{"an empty user", "", "https://@graph.microsoft.com/v1.0" + nextPath + query, ""},
		{"the host as a user", "", "https://graph.microsoft.com@evil.example/v1.0" + nextPath + query, ""},
		{"a fragment", "", nextPath + query + "#a", ""},
		{"a backslash", "", `/v1.0\..\users`, ""},
		{"backslashes for a host", "", `\\evil.example/v1.0` + nextPath + query, ""},
		{"a backslash in the query", "", nextPath + `?a=\`, ""},
		{"an escaped backslash", "", nextPath + "/a%5cb" + query, ""},
		{"another version", "", nextHost + "/beta" + nextPath + query, ""},
		{"the version twice", "", "/v1.0/v1.0" + nextPath + query, ""},
		{"absolute without the version", "", nextHost + nextPath + query, ""},
		{"another API", "", nextHost + "/v1.0/users" + query, ""},
		{"another solution", "", "/solutions/backupRestoreX/a" + query, ""},
		{"only the root", "", Root + query, ""},
		{"only the root with a slash", "", Root + "/" + query, ""},
		{"a way out", "", Root + "/../../users" + query, ""},
		{"a way out of the host's root", "", "/v1.0/../v1.0" + nextPath + query, ""},
		{"an escaped way out", "", Root + "/%2e%2e/%2E./users" + query, ""},
		{"a way out escaped twice", "", Root + "/%252e%252e/users" + query, ""},
		{"a dot", "", Root + "/./protectionPolicies" + query, ""},
		{"an escaped slash", "", Root + "/..%2f..%2Fusers" + query, ""},
		{"an escaped slash in the root", "", "/solutions%2fbackupRestore/protectionPolicies" + query, ""},
		{"an empty segment", "", Root + "//protectionPolicies" + query, ""},
		{"a slash behind", "", nextPath + "/" + query, ""},
		{"an empty segment in front", "", "/v1.0/" + nextPath + query, ""},
		{"a broken escape", "", nextPath + "/%zz" + query, ""},
		{"a broken host", "", "https://[::1/v1.0" + nextPath + query, ""},
		{"a space", "", nextPath + "?a=b c", ""},
		{"a space in front", "", " " + nextPath + query, ""},
		{"a line break", "", nextPath + "?a=b\r\nX: y", ""},
		{"a zero byte", "", nextPath + "?a=\x00", ""},
		{"delete", "", nextPath + "?a=\x7f", ""},
		{"not ASCII", "", nextPath + "?a=ä", ""},
		{"a letter that only folds to an s", "", "/v1.0/ſolutions/backupRestore/a" + query, ""},
		{"invalid UTF-8", "", nextPath + "?a=\xff", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			endpoint := test.endpoint
			if endpoint == "" {
				endpoint = nextHost + "/v1.0"
			}
			got, ok := nextClient(t, endpoint).NextTarget(test.link, nextFrom)
			if ok != (test.want != "") || ok && got != test.want {
				t.Errorf("got %.200q and %t, want %.200q", got, ok, test.want)
			}
		})
	}
}

func FuzzNextTarget(f *testing.F) {
	for _, link := range []string{
		nextHost + "/v1.0" + nextPath + "?$skiptoken=a", "/V1.0" + nextPath, nextPath[1:], Root + "/../users", Root + "/%2e%2e/x",
		Root + "/a%2f..%2fb", `/solutions/backupRestore/"/%2e%2e/a`, "//evil/solutions/backupRestore/x", "https:/solutions/backupRestore/x",
		Root + "/a;b/..;/c", nextPath + "?#", nextPath + "??a=#", "https://x@graph.microsoft.com/v1.0" + nextPath,
	} {
		f.Add(link)
	}
	clients := []*Client{nextClient(f, nextHost+"/v1.0"), nextClient(f, "http://127.0.0.1:8080"), nextClient(f, nextHost+"/a%2Fb/v1.0/")}
	f.Fuzz(func(t *testing.T, link string) {
		for _, client := range clients {
			target, ok := client.NextTarget(link, nextFrom)
			if !ok {
				continue
			}
			request, err := client.outgoing.request(t.Context(), &Request{Method: "GET", Target: target}, nil)
			if err != nil {
				t.Fatalf("%q became %q: %v", link, target, err)
			}
			u := request.URL
			if u.Scheme != client.endpoint.Scheme || u.Host != client.endpoint.Host || request.Host != u.Host || u.User != nil || u.Fragment != "" {
				t.Errorf("%q leads to %s", link, u)
			}
			base := client.endpoint.EscapedPath() + Root + "/"
			if !hasPrefixFold(u.EscapedPath(), base) {
				t.Errorf("%q leads to %s", link, u)
			}
			for _, spelling := range []string{u.EscapedPath(), u.Path, unescaped(u.Path)} {
				prefix := base
				if spelling != u.EscapedPath() {
					prefix = client.endpoint.Path + Root + "/"
				}
				if clean := path.Clean(strings.ReplaceAll(spelling, `\`, "/")); !hasPrefixFold(clean, prefix) {
					t.Errorf("%q leads to %s once it is cleaned", link, clean)
				}
			}
			if uri := u.RequestURI(); strings.ContainsAny(uri, " \r\n\t\x00") {
				t.Errorf("%q breaks the request line: %q", link, uri)
			}
			if _, query, _ := strings.Cut(link, "?"); u.RawQuery != strings.TrimSuffix(query, "#") {
				t.Errorf("%q: the query became %q", link, u.RawQuery)
			}
			// The target is a next link itself, and one that leads to the same place.
			if again, ok := client.NextTarget(target, ""); !ok || again != target {
				t.Errorf("%q became %q and then %q", link, target, again)
			}
		}
	})
}

func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
