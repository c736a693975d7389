package emulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTheRouteTableIsTheDocumentedOne(t *testing.T) {
	if n := len(apiRoutes()); n != 99 { // the 98 documented ones and GET /protectionUnits
		t.Errorf("%d routes, want 99", n)
	}
	r := newRouter(allRoutes())
	seen := map[string]bool{}
	for _, rt := range r.routes {
		key := rt.method + " /" + strings.Join(rt.segments, "/")
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if rt.outside {
			continue // its parts need permissions
		}
		if !strings.HasPrefix(rt.permission, "BackupRestore-") || !strings.HasSuffix(rt.permission, ".All") {
			t.Errorf("%s: permission %q", key, rt.permission)
		}
		if rt.method != "GET" && strings.HasSuffix(rt.permission, ".Read.All") && !strings.HasSuffix(rt.template, "/search") {
			t.Errorf("%s writes with a read permission", key)
		}
		if r.named(rt.method, splitTemplate(rt.template)) != rt {
			t.Errorf("a fault rule cannot name %s", key)
		}
	}
}

func TestALiteralSegmentWinsOverAPlaceholder(t *testing.T) {
	r := newRouter([]*route{
		{method: "GET", template: "/a/{id}", handle: getRoot}, {method: "GET", template: "/a/b", handle: getRoot},
		{method: "POST", template: "/a/{id}", handle: getRoot},
	})
	for path, want := range map[string]string{"a/b": "/a/b", "A/B": "/a/b", "a/c": "/a/{id}"} {
		rt, _, _ := r.find("GET", strings.Split(path, "/"))
		if rt == nil || rt.template != want {
			t.Errorf("%s leads to %v, want %s", path, rt, want)
		}
	}
	// What the literal does not allow, the placeholder does not take over.
	if rt, _, allowed := r.find("POST", []string{"a", "b"}); rt != nil || !slices.Equal(allowed, []string{"GET"}) {
		t.Errorf("route %v, allowed %v", rt, allowed)
	}
}

func TestARouteWithoutAHandlerIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was accepted")
		}
	}()
	newRouter([]*route{{method: "GET", template: "/a"}})
}

func TestSplitPath(t *testing.T) {
	const root = "/v1.0/solutions/backupRestore"
	for path, want := range map[string]string{
		root:                        "[]",
		root + "/":                  "[]",
		root + "/a/b":               "[a b]",
		root + "/a('b')":            "[a b]",
		root + "/a('b')/c":          "[a b c]",
		root + "/a('it''s')":        "[a it's]",
		root + "/a(%27b%2Fc%27)":    "[a b/c]",
		root + "/a/b%2Fc":           "[a b/c]",
		root + "/a/..":              "[a ..]",
		root + "/a('')":             "[a ]",
		root + "/('b')":             "[('b')]",
		root + "//a":                "none",
		root + "/%":                 "none",
		"/v1.0/solutions":           "none",
		"/v2.0/solutions/" + "back": "none",
		"":                          "none",
	} {
		got := "none"
		if segments, ok := splitPath(path); ok {
			got = fmt.Sprint(segments)
			if segments == nil {
				got = "[]"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
