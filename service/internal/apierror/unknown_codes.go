package apierror

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/m365backup/backupstorage/graph"
)

// unknownCodes counts errors with a code that the contract does not know, by where they stood: Graph has begun to send
// something new, and the contract lacks a value. The codes themselves are no labels, because whoever responds in
// Graph's place chooses them.
type unknownCodes struct {
	call, resource, detail atomic.Uint64
}

// UnknownCodes returns how many errors had a code that the contract does not know since the translator was made, by
// where they stood: `call` for failed calls, `resource` for errors inside a resource, `detail` for the separate errors
// in either. It always has all three.
func (t *Translator) UnknownCodes() map[string]uint64 {
	c := &t.unknown
	return map[string]uint64{"call": c.call.Load(), "resource": c.resource.Load(), "detail": c.detail.Load()}
}

// hasUnknownCode reports whether one of the codes of an error is neither a reason's nor a generic one.
func (t *Translator) hasUnknownCode(e *graph.Error) bool {
	return slices.ContainsFunc(e.Codes, t.reasons.IsUnknown)
}

// HasUnknownCode reports whether Graph's response to a failed call had a code that the contract does not know.
func (f *Failure) HasUnknownCode() bool { return f.unknownCode }

// showable returns a code in Graph's spelling, however odd, unless it has what an address, a URL or a token has: then
// it returns nothing.
func showable(code string) string {
	if strings.ContainsAny(code, "@/\\") || scrub(code) != code {
		return ""
	}
	return code
}
