package graph

import (
	"net/url"
	"strings"
)

// maxNextLink is the longest nextLink that is followed, in bytes.
const maxNextLink = 16 << 10

// NextTarget makes the target of a call from the nextLink of an answer, whose own target is given. The link may be
// absolute, with just this endpoint's scheme, host and port, or relative, with or without the version; its path lies
// under Root in any case of letters; its query is kept byte for byte. ok is false for anything else, and for a link
// that leads back to where it came from. Callers never see a link, and no text of theirs becomes one.
func (c *Client) NextTarget(link, from string) (target string, ok bool) {
	if link == "" || len(link) > maxNextLink {
		return "", false
	}
	for i := range len(link) {
		if link[i] <= ' ' || link[i] >= 0x7f || link[i] == '\\' {
			return "", false
		}
	}
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return "", false
	}
	if u.Scheme != "" || u.Host != "" {
		if !strings.EqualFold(u.Scheme, c.endpoint.Scheme) || !sameHost(u, c.endpoint) {
			return "", false
		}
	}
	path := u.EscapedPath()
	if u.Host == "" && !strings.HasPrefix(path, "/") {
		// Relative to the service, as OData has it.
		path = "/" + path
	}
	version := c.endpoint.EscapedPath()
	if hasPrefixFold(path, version+"/") {
		path = path[len(version):]
	} else if u.Host != "" {
		return "", false
	}
	if !hasPrefixFold(path, Root+"/") || !plainSegments(path) {
		return "", false
	}
	target = path
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	// Escaping can make a path longer than it was.
	return target, target != from && len(target) <= maxNextLink
}

func sameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// plainSegments tells whether no segment of an escaped path is empty or leads elsewhere, however it is written, nor
// would if somebody unescaped it twice.
func plainSegments(path string) bool {
	for segment := range strings.SplitSeq(path[1:], "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, `/\%`) {
			return false
		}
	}
	return true
}
