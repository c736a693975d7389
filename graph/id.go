package graph

import (
	"net/url"

	"github.com/google/uuid"
)

// maxID bounds the id of a resource, in characters.
const maxID = 256

// ValidID reports whether an id can be one segment of a path: 1 to 256 letters, digits or any of `_.=,+~-`, and neither
// `.` nor `..`. Graph decides on any other requirement.
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

// IsGUID reports whether s is a GUID as Graph writes the ids of tenants, users and requests: 8-4-4-4-12 hexadecimal
// digits, in upper or lower case.
func IsGUID(s string) bool {
	// uuid accepts other forms as well, which have other lengths.
	return len(s) == 36 && uuid.Validate(s) == nil
}

// AppendSegment appends a slash and a valid id to a path.
func AppendSegment(path []byte, id string) []byte {
	path = append(path, '/')
	return append(path, url.PathEscape(id)...)
}
