package emulator

import (
	"net/url"
	"slices"
	"strings"
)

// gate says what the tenant's service must be able to do for an operation.
type gate int

const (
	gateOpen    gate = iota // always works, also while the service is disabled
	gateRead                // the service must not be disabled
	gateChange              // protection may change: enabled only
	gateRestore             // restores run: enabled or protectionChangeLocked
)

// area says which service of Microsoft's an operation belongs to.
type area int

const (
	areaBackup    area = iota // below /v1.0/solutions/backupRestore
	areaDirectory             // users, groups and sites, below /v1.0
	areaAuthority             // the token authority
)

// route is one documented operation.
type route struct {
	area          area
	method        string
	template      string   // below /solutions/backupRestore, such as /protectionPolicies/{policyId}; below /v1.0; or the path
	permission    string   // the least one
	others        []string // permissions that allow it as well
	delegatedOnly bool
	bodyless      bool // takes no body
	outside       bool // stands beside the API, and no tenant is locked for it
	gate          gate
	handle        handler
	segments      []string
}

// operation names the route the way fault rules and the ledger do.
func (rt *route) operation() string { return rt.method + " " + rt.template }

// handler does an operation's work. It runs with the tenant locked, and either
// returns an answer or refuses without having changed anything.
type handler func(*call) (*answer, *graphError)

// router finds a request's route. It is built once and then only read.
type router struct {
	routes   []*route
	byLength map[int][]*route // by the number of segments
}

// newRouter panics when a route has no handler, since only a mistake in the
// table can cause that.
func newRouter(routes []*route) *router {
	r := &router{routes: routes, byLength: map[int][]*route{}}
	for _, rt := range routes {
		if rt.handle == nil {
			panic("emulator: nothing handles " + rt.operation())
		}
		rt.segments = splitTemplate(rt.template)
		r.byLength[len(rt.segments)] = append(r.byLength[len(rt.segments)], rt)
	}
	return r
}

func splitTemplate(template string) []string {
	var segments []string
	for segment := range strings.FieldsFuncSeq(strings.ToLower(template), func(r rune) bool { return r == '/' }) {
		if name, parameter, ok := cutFunction(segment); ok {
			segments = append(segments, name, parameter)
			continue
		}
		segments = append(segments, segment)
	}
	return segments
}

// cutFunction takes a function of one parameter apart, f(p='x'), into f(p) and x.
func cutFunction(s string) (name, parameter string, ok bool) {
	name, rest, found := strings.Cut(s, "='")
	if !found || !strings.Contains(name, "(") || !strings.HasSuffix(rest, "')") {
		return "", "", false
	}
	return name + ")", strings.ReplaceAll(strings.TrimSuffix(rest, "')"), "''", "'"), true
}

// root is the path that all operations share.
func rootSegments() []string { return []string{"v1.0", "solutions", "backuprestore"} }

// splitPath cuts an escaped path below the API's root into unescaped segments,
// with the key form x('id') taken apart. It reports false when the path is not
// below the root or cannot be read.
func splitPath(escaped string) ([]string, bool) {
	segments, ok := pathSegments(escaped)
	root := rootSegments()
	if !ok || len(segments) < len(root) {
		return nil, false
	}
	for i, want := range root {
		if !strings.EqualFold(segments[i], want) {
			return nil, false
		}
	}
	return segments[len(root):], true
}

// pathSegments is splitPath for the whole path.
func pathSegments(escaped string) ([]string, bool) {
	escaped = strings.TrimPrefix(escaped, "/")
	escaped = strings.TrimSuffix(escaped, "/")
	var segments []string
	for raw := range strings.SplitSeq(escaped, "/") {
		s, err := url.PathUnescape(raw)
		if err != nil || s == "" {
			return nil, false
		}
		if name, parameter, ok := cutFunction(s); ok {
			segments = append(segments, name, parameter)
			continue
		}
		if name, key, ok := cutKey(s); ok {
			segments = append(segments, name, key)
			continue
		}
		// Graph's own SDKs shorten the namespace of a cast: graph.mailboxProtectionUnit.
		if name, short := cutPrefixFold(s, "graph."); short {
			s = "microsoft.graph." + name
		}
		segments = append(segments, s)
	}
	return segments, true
}

func cutPrefixFold(s, prefix string) (rest string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// cutKey reads x('id'); a quote within the id is doubled.
func cutKey(s string) (name, key string, ok bool) {
	name, rest, found := strings.Cut(s, "('")
	if !found || name == "" || !strings.HasSuffix(rest, "')") {
		return "", "", false
	}
	return name, strings.ReplaceAll(strings.TrimSuffix(rest, "')"), "''", "'"), true
}

// find returns the route and the values of its placeholders. Without a route for
// the method, allowed lists the methods that the path has; it is empty for a
// path that does not exist. A literal segment wins over a placeholder.
func (r *router) find(method string, segments []string) (rt *route, params []string, allowed []string) {
	best := -1
	for _, candidate := range r.byLength[len(segments)] {
		values, literals, ok := candidate.match(segments)
		if !ok || literals < best || candidate.outside {
			continue
		}
		if literals > best {
			best, rt, params, allowed = literals, nil, nil, nil
		}
		if candidate.method == method {
			rt, params = candidate, values
		}
		if !slices.Contains(allowed, candidate.method) {
			allowed = append(allowed, candidate.method)
		}
	}
	return rt, params, allowed
}

func (rt *route) match(segments []string) (params []string, literals int, ok bool) {
	for i, want := range rt.segments {
		switch {
		case isPlaceholder(want):
			params = append(params, segments[i])
		case strings.EqualFold(want, segments[i]):
			literals++
		default:
			return nil, 0, false
		}
	}
	return params, literals, true
}

func isPlaceholder(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// named returns the route that a fault rule names, whatever its placeholders are called; nil without one.
func (r *router) named(method string, template []string) *route {
	for _, rt := range r.routes {
		if rt.method == method && sameTemplate(rt.segments, template) {
			return rt
		}
	}
	return nil
}

// sameTemplate compares templates whatever their placeholders are called.
func sameTemplate(a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool {
		return x == y || isPlaceholder(x) && isPlaceholder(y)
	})
}
