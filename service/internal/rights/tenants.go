package rights

import (
	"bytes"
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
	at := 0
	for n := range id {
		switch at {
		case 8, 13, 18, 23:
			at++
		}
		high, low := digits[text[at]], digits[text[at+1]]
		if high|low > 0xf {
			return guid{}, false
		}
		id[n] = high<<4 | low
		at += 2
	}
	return id, true
}

// digits are the values of hexadecimal digits, 0xff for any other byte.
var digits = func() (all [256]byte) {
	for c := range all {
		all[c] = 0xff
	}
	for value, c := range []byte("0123456789abcdef") {
		all[c] = byte(value)
	}
	for value, c := range []byte("ABCDEF") {
		all[c] = byte(10 + value)
	}
	return all
}()

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
