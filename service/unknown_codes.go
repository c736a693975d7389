package service

import (
	"strings"
	"sync/atomic"

	"github.com/m365backup/backupstorage/graph"
)

// unknownCodes counts errors with a code that the contract does not know, by the place where they stood: Graph has
// begun to send something new, and the contract wants another value. The codes themselves are no labels, since whoever
// answers in Graph's place chooses them.
type unknownCodes struct {
	call, resource, detail atomic.Uint64
}

// UnknownCodes returns how many errors had a code that the contract does not know since the server was made, by where
// they stood: `call` for failed calls, `resource` for errors inside a resource, `detail` for the separate errors in
// either. It always has all three.
func (s *Server) UnknownCodes() map[string]uint64 {
	c := &s.core.translator.unknown
	return map[string]uint64{"call": c.call.Load(), "resource": c.resource.Load(), "detail": c.detail.Load()}
}

// hasUnknownCode tells whether one of the codes of an error is in neither the contract nor the list of generic ones.
func (all *reasons) hasUnknownCode(e *graph.Error) bool {
	for _, code := range e.Codes {
		if all.isUnknown(code) {
			return true
		}
	}
	return false
}

func (all *reasons) isUnknown(code string) bool {
	code = strings.ToLower(code)
	return code != "" && all.byCode[code] == nil && !generic[code]
}

// tellable returns a code unless it has what would put an address, a URL or a token into the metadata, if that is what
// Graph says in the place of a code. Otherwise Graph's spelling is kept, however odd.
func tellable(code string) string {
	if strings.ContainsAny(code, "@/\\") || scrub(code) != code {
		return ""
	}
	return code
}
