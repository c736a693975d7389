package graphjson

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// AppendText appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendText(dst []byte, s string) []byte {
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

// AppendInstant appends a date and time as RFC 3339 in UTC.
func AppendInstant(dst []byte, t *timestamppb.Timestamp) []byte {
	dst = append(dst, '"')
	dst = t.AsTime().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// AppendName appends the name of a property and its colon. A comma goes before it, unless it is the first property of
// its object. name needs no escapes.
func AppendName(dst []byte, name string) []byte {
	dst = AppendComma(dst)
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// AppendComma appends a comma, unless dst ends in the start of an object or array.
func AppendComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}

// AppendRemoved appends the items of a delta that remove the things with these ids from a collection.
func AppendRemoved(dst []byte, ids []string) []byte {
	for _, id := range ids {
		dst = AppendComma(dst)
		dst = append(dst, `{"@removed":{"reason":"changed"},"id":`...)
		dst = AppendText(dst, id)
		dst = append(dst, '}')
	}
	return dst
}
