package rights

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// maxSetFile bounds a file of tenants, in bytes. It has room for 400,000.
const maxSetFile = 16 << 20

// guid is the GUID of a tenant. As 16 bytes, 10,000 of them take little room, and upper and lower case are the same.
type guid [16]byte

// parseGUID reads a GUID of 8-4-4-4-12 hexadecimal digits.
func parseGUID(text []byte) (id guid, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return guid{}, false
	}
	var digits [32]byte
	n := 0
	for _, part := range [...][]byte{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
		n += copy(digits[n:], part)
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// tenantSet is a set of tenants. All callers that name it share it. The values are line numbers.
type tenantSet struct {
	// name is how messages name the file, empty for a tenant that stands in the rights file itself.
	name string
	ids  map[guid]uint32
}

// parseTenants reads a file of tenants: one GUID a line. Blank lines and what follows `#` are comments. A message has
// no tenant in it.
func parseTenants(name string, data []byte) (*tenantSet, error) {
	if len(data) > maxSetFile {
		return nil, fmt.Errorf("has more than 16 MiB")
	}
	set := &tenantSet{name: name, ids: make(map[guid]uint32, len(data)/37+1)}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	number := uint32(0)
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		number++
		line, _, _ = bytes.Cut(line, []byte("#"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		id, ok := parseGUID(line)
		if !ok {
			return nil, fmt.Errorf("line %d is no GUID, written 8-4-4-4-12", number)
		}
		if _, twice := set.ids[id]; !twice {
			set.ids[id] = number
		}
	}
	// A file that is being written is empty for a moment. A set of no tenants has no other use.
	if len(set.ids) == 0 {
		return nil, fmt.Errorf("has no tenant")
	}
	return set, nil
}
