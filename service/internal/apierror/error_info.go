package apierror

import (
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protowire"
)

// ErrorInfo is encoded here: for a map proto takes longer than for all the rest of a Status.

// The field numbers of ErrorInfo, and those of a map's entries.
const (
	infoReason, infoDomain, infoMetadata protowire.Number = 1, 2, 3
	entryKey, entryValue                 protowire.Number = 1, 2
)

// fieldSize is the size of a field of bytes with a number up to 15, which has a tag of one byte. What is empty is left
// out.
func fieldSize(size int) int {
	if size == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(size)
}

// entrySize is the size of an entry of metadata, where also what is empty has a field.
func entrySize(key, value string) int {
	return 1 + protowire.SizeBytes(len(key)) + 1 + protowire.SizeBytes(len(value))
}

func infoSize(info *errdetails.ErrorInfo) int {
	size := fieldSize(len(info.Reason)) + fieldSize(len(info.Domain))
	for key, value := range info.Metadata {
		size += 1 + protowire.SizeBytes(entrySize(key, value))
	}
	return size
}

// appendInfo appends the encoded ErrorInfo, its metadata in the order of the keys. All of it is UTF-8.
func appendInfo(dst []byte, info *errdetails.ErrorInfo) []byte {
	text := func(number protowire.Number, text string) {
		dst = protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), text)
	}
	if info.Reason != "" {
		text(infoReason, info.Reason)
	}
	if info.Domain != "" {
		text(infoDomain, info.Domain)
	}
	keys := make([]string, 0, 16)
	for key := range info.Metadata {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		value := info.Metadata[key]
		dst = protowire.AppendTag(dst, infoMetadata, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(entrySize(key, value)))
		text(entryKey, key)
		text(entryValue, value)
	}
	return dst
}
