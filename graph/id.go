package graph

import (
	"net/url"

	"github.com/google/uuid"
)

// maxID is the longest id of a resource, in characters.
const maxID = 256

// ValidID tells whether an id can stand in a path as one segment: 1 to 256 letters, digits or any of `_.=,+~-`, and
// not a relative segment. What else an id has to be is Graph's to judge.
func ValidID(id string) bool {
	if id == "" || len(id) > maxID || id == "." || id == ".." {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c == '_', c == '.', c == '=', c == ',', c == '+', c == '~', c == '-':
		default:
			return false
		}
	}
	return true
}

// IsGUID tells whether s is a GUID as Graph writes ids of tenants, users and requests: 8-4-4-4-12 hexadecimal digits, in
// letters of any case.
func IsGUID(s string) bool {
	// uuid takes other forms, too, which have other lengths.
	return len(s) == 36 && uuid.Validate(s) == nil
}

// AppendSegment appends an id that is valid to a path, behind a slash.
func AppendSegment(path []byte, id string) []byte {
	path = append(path, '/')
	return append(path, url.PathEscape(id)...)
}
