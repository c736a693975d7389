package graphjson

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// appendText writes a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		switch {
		case b >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < 0x20 || b == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
		i++
	}
	return append(dst, '"')
}

// appendInstant writes a date and time as RFC 3339 in UTC.
func appendInstant(dst []byte, t *timestamppb.Timestamp) []byte {
	dst = append(dst, '"')
	dst = t.AsTime().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// appendName writes the name of a property and its colon, behind a comma unless it is the first of its object.
func appendName(dst []byte, name string) []byte {
	dst = appendComma(dst)
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// appendComma writes a comma unless an object or array has just begun.
func appendComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}

// appendRemoved writes ids as the items of a delta that take them out of the collection.
func appendRemoved(dst []byte, ids []string) []byte {
	for _, id := range ids {
		dst = appendComma(dst)
		dst = append(dst, `{"@removed":{"reason":"changed"},"id":`...)
		dst = appendText(dst, id)
		dst = append(dst, '}')
	}
	return dst
}
