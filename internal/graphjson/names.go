package graphjson

import "bytes"

// FoldIndex returns the index of name in table without regard to case, -1 when it is not there. Readers use it for
// spellings that match no case of their switch.
func FoldIndex(name []byte, table []string) int {
	for i, entry := range table {
		if len(entry) == len(name) && bytes.EqualFold(name, []byte(entry)) {
			return i
		}
	}
	return -1
}

// CutName cuts the first name off a comma-separated list of names.
func CutName(list []byte) (name, rest []byte) {
	name, rest, _ = bytes.Cut(list, []byte{','})
	return bytes.TrimSpace(name), rest
}

// typeName returns the name of a type without its namespace: `mailboxProtectionUnit` for
// `#microsoft.graph.mailboxProtectionUnit`.
func typeName(odataType string) string {
	for i := len(odataType) - 1; i >= 0; i-- {
		if c := odataType[i]; c == '.' || c == '#' || c == '/' {
			return odataType[i+1:]
		}
	}
	return odataType
}

// HasPrefixFold reports whether name begins with prefix, without regard to case.
func HasPrefixFold(name, prefix string) bool {
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
