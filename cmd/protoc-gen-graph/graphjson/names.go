package graphjson

import "bytes"

// foldIndex finds a name in a table without regard to case; -1 when it is not there. It is the way for spellings that
// no switch matched.
func foldIndex(name []byte, table []string) int {
	for i, entry := range table {
		if len(entry) == len(name) && bytes.EqualFold(name, []byte(entry)) {
			return i
		}
	}
	return -1
}

// flag cuts the first name off a comma-separated list of names.
func flag(list []byte) (name, rest []byte) {
	name, rest, _ = bytes.Cut(list, []byte{','})
	return bytes.TrimSpace(name), rest
}

// graphType returns the name of a type without namespace and `#`: `mailboxProtectionUnit`.
func graphType(odataType string) string {
	for i := len(odataType) - 1; i >= 0; i-- {
		if c := odataType[i]; c == '.' || c == '#' || c == '/' {
			return odataType[i+1:]
		}
	}
	return odataType
}

// hasPrefixFold tells whether name begins with prefix without regard to case.
func hasPrefixFold(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if name[i]|0x20 != prefix[i]|0x20 {
			return false
		}
	}
	return true
}
