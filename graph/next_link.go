package graph

import (
	"net/url"
	"strings"
)

// maxNextLink bounds the nextLink that is followed, in bytes.
const maxNextLink = 16 << 10

// NextTarget makes the target of a request from the nextLink of a response to the target from. The link is absolute,
// with the scheme, host and port of this endpoint, or relative, with or without the version. Its path is under Root, in
// upper or lower case. Its query stays as it is, byte for byte. ok is false for any other link, and for one that leads
// back to from. Callers never see a link, and no text of theirs becomes one.
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
		// OData's relative links are relative to the service.
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
	// Escaping can make a path longer.
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

// plainSegments reports whether every segment of an escaped path is a plain name: not empty, not `.` or `..`, and
// without a character that would make it one of these, or two segments, when it is unescaped twice.
func plainSegments(path string) bool {
	for segment := range strings.SplitSeq(path[1:], "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, `/\%`) {
			return false
		}
	}
	return true
}
