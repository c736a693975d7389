package proto

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// descriptors is a FileDescriptorSet in gzip, written by buf. Compressed, it is a third of the size.
//
//go:embed descriptors.binpb.gz
var descriptors []byte

// Descriptors returns the files of the contract with their comments, and all that they import. google/rpc has the types
// of the details of errors too. The descriptors in the generated Go code have no comments.
//
// Each call decompresses about half a megabyte and returns a copy, which the caller may change.
func Descriptors() (*descriptorpb.FileDescriptorSet, error) {
	reader, err := gzip.NewReader(bytes.NewReader(descriptors))
	if err != nil {
		return nil, fmt.Errorf("descriptors of the contract: %w", err)
	}
	raw, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("descriptors of the contract: %w", err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(raw, set); err != nil {
		return nil, fmt.Errorf("descriptors of the contract: %w", err)
	}
	return set, nil
}
