package servicetest

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// rpcs is the number of rpcs with an operation of their own.
const rpcs = 96

// RPCs returns the rpcs of documented operations, sorted by name. Streams, waits and watches are not among them.
func RPCs(tb testing.TB) []protoreflect.MethodDescriptor {
	tb.Helper()
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				method := file.Services().Get(i).Methods().Get(j)
				if call, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall); call.GetOf() == "" {
					all = append(all, method)
				}
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	if len(all) != rpcs {
		tb.Fatalf("%d rpcs, want %d", len(all), rpcs)
	}
	return all
}

// NewMessage makes an empty message of the generated type.
func NewMessage(tb testing.TB, descriptor protoreflect.MessageDescriptor) proto.Message {
	tb.Helper()
	generated, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		tb.Fatal(err)
	}
	return generated.New().Interface()
}
