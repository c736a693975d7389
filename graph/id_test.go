package graph_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph"
)

func TestAnIDIsValidWhenItIsOneSegmentOfAPath(t *testing.T) {
	guid := "845457dc-4bb2-4815-bef3-8628ebd1952e"
	for _, test := range []struct {
		name, id string
		want     bool
	}{
		{"a GUID", guid, true},
		{"a GUID in capitals", strings.ToUpper(guid), true},
		{"a site: host and two GUIDs with commas", "contoso.sharepoint.com," + guid + "," + guid, true},
		{"base64", "MSMxIyMxMjM0NQ==", true},
		{"base64 with a plus", "a+b=", true},
		{"base64 for URLs", "a-b_c", true},
		{"one character", "a", true},
		{"256 characters", strings.Repeat("a", 256), true},
		{"three dots", "...", true},
		{"a dot in front", ".a", true},
		{"a tilde", "~a", true},

		{"empty", "", false},
		{"257 characters", strings.Repeat("a", 257), false},
		{"the folder itself", ".", false},
		{"the folder above", "..", false},
		{"a slash", "a/b", false},
		{"a way out", "../../users", false},
		{"a backslash", `a\b`, false},
		{"a query", "a?b", false},
		{"a fragment", "a#b", false},
		{"escaped dots", "%2e%2e", false},
		{"an escaped slash", "a%2fb", false},
		{"a percent sign", "100%", false},
		{"a colon", "a:b", false},
		{"a semicolon", "a;b", false},
		{"an at sign", "a@b", false},
		{"an ampersand", "a&b", false},
		{"quotes", "'a'", false},
		{"double quotes", `"a"`, false},
		{"parentheses", "a(b)", false},
		{"a dollar sign", "$count", false},
		{"an asterisk", "*", false},
		{"braces", "{id}", false},
		{"a space", "a b", false},
		{"a space in front", " a", false},
		{"a space behind", "a ", false},
		{"a zero byte", "a\x00b", false},
		{"a tab", "a\tb", false},
		{"a line break", "a\r\nb", false},
		{"delete", "a\x7f", false},
		{"full-width dots", "．．", false},
		{"a full-width slash", "a／b", false},
		{"a full-width letter", "ａ", false},
		{"an umlaut", "ä", false},
		{"a no-break space", "a\u00a0b", false},
		{"a zero-width space", "a\u200bb", false},
		{"invalid UTF-8", "a\xff", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := graph.ValidID(test.id); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func FuzzID(f *testing.F) {
	for _, id := range []string{"a", "..", "a,b", "a+b==", "%2e%2e", "a/b", "...", "~", "\uff0e"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !graph.ValidID(id) {
			return
		}
		target := string(append(graph.AppendSegment([]byte(policies), id), "/end"...))
		u, err := url.Parse("https://graph.microsoft.com/v1.0" + target)
		if err != nil {
			t.Fatal(err)
		}
		if u.Host != "graph.microsoft.com" || u.RawQuery != "" || u.Fragment != "" || u.Path != "/v1.0"+policies+"/"+id+"/end" {
			t.Errorf("%q became %+v", id, u)
		}
		if clean := u.JoinPath(); clean.Path != u.Path {
			t.Errorf("%q: cleaning makes %q of it", id, clean.Path)
		}
		segments := strings.Split(u.EscapedPath(), "/")
		if len(segments) != 7 {
			t.Fatalf("%q became segments %q", id, segments)
		}
		if got, err := url.PathUnescape(segments[5]); err != nil || got != id {
			t.Errorf("%q came back as %q, %v", id, got, err)
		}
	})
}

func TestEveryValidCharacterArrivesInOneSegment(t *testing.T) {
	var got string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1.0"+policies+"/{id}/end", func(_ http.ResponseWriter, r *http.Request) { got = r.PathValue("id") })
	_, client := serve(t, mux.ServeHTTP)
	for c := range 128 {
		id := "." + string(rune(c)) + "."
		if !graph.ValidID(id) {
			continue
		}
		request := read()
		request.Target = string(append(graph.AppendSegment([]byte(policies), id), "/end"...))
		if _, err := client.Do(t.Context(), request); err != nil || got != id {
			t.Errorf("%q arrived as %q, %v", id, got, err)
		}
	}
}
