package graphjson

import (
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The functions here append the encoding of Protobuf. Generated code calls them with what a reader has just read, so
// that a page goes from JSON to bytes without a message for each of its elements.

// small is the first number whose varint takes two bytes, medium the first that takes three.
const small, medium = 1 << 7, 1 << 14

// AppendVarint appends a number.
func AppendVarint(dst []byte, v uint64) []byte {
	for v >= small {
		dst = append(dst, byte(v)|small)
		v >>= 7
	}
	return append(dst, byte(v))
}

// AppendBool appends a bool.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendString appends the length of a string and the string.
func AppendString(dst []byte, s string) []byte {
	if len(s) < small {
		return append(append(dst, byte(len(s))), s...)
	}
	return protowire.AppendString(dst, s)
}

// AppendTimestamp appends the length of a Timestamp and the Timestamp.
func AppendTimestamp(dst []byte, t *timestamppb.Timestamp) []byte {
	// Two fields of at most 10 bytes and their tags.
	dst = append(dst, 0)
	start := len(dst)
	if t.Seconds != 0 {
		dst = AppendVarint(append(dst, 1<<3), uint64(t.Seconds))
	}
	if t.Nanos != 0 {
		dst = AppendVarint(append(dst, 2<<3), uint64(int64(t.Nanos)))
	}
	dst[start-1] = byte(len(dst) - start)
	return dst
}

// AppendStatus appends the length of a Status and the Status. It refuses the body when that cannot be marshalled.
func (c *Cursor) AppendStatus(dst []byte, s *statuspb.Status) []byte {
	dst = protowire.AppendVarint(dst, uint64(proto.Size(s)))
	dst, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, s)
	if err != nil {
		c.fail(c.pos, "embedded error in UTF-8 expected")
	}
	return dst
}

// CloseShort writes the length of a message that begins at start into the byte before it. A longer length makes room
// for itself.
func CloseShort(dst []byte, start int) []byte {
	if n := len(dst) - start; n < small {
		dst[start-1] = byte(n)
		return dst
	}
	return closeOther(dst, start, 1)
}

// CloseLong is CloseShort for a message with two bytes before it.
func CloseLong(dst []byte, start int) []byte {
	if n := len(dst) - start; n >= small && n < medium {
		dst[start-2], dst[start-1] = byte(n)|small, byte(n>>7)
		return dst
	}
	return closeOther(dst, start, 2)
}

// closeOther moves a message whose length does not fit the bytes before it.
func closeOther(dst []byte, start, room int) []byte {
	n := len(dst) - start
	var length [protowireMax]byte
	size := len(protowire.AppendVarint(length[:0], uint64(n)))
	dst = append(dst, length[:]...)[:start-room+size+n]
	copy(dst[start-room+size:], dst[start:start+n])
	copy(dst[start-room:], length[:size])
	return dst
}

// protowireMax is the length of the longest varint.
const protowireMax = 10
