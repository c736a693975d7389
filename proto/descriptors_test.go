package proto_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	contract "github.com/m365backup/backupstorage/proto"
)

// The file with all descriptors and the generated Go code are two readings of the same protos.
func TestDescriptorsAreThoseOfTheGeneratedCode(t *testing.T) {
	set, err := contract.Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(generated protoreflect.FileDescriptor) bool {
		count++
		file, err := files.FindFileByPath(generated.Path())
		if err != nil {
			t.Errorf("%s: %v", generated.Path(), err)
			return true
		}
		got := protodesc.ToFileDescriptorProto(file)
		got.SourceCodeInfo = nil
		if want := protodesc.ToFileDescriptorProto(generated); !proto.Equal(got, want) {
			t.Errorf("%s differs: run go generate ./proto", generated.Path())
		}
		return true
	})
	if count < 20 {
		t.Errorf("only %d files of the contract", count)
	}
	// A tool needs no other file to read any message, and the details of any error.
	for _, path := range []string{"google/rpc/status.proto", "google/rpc/error_details.proto", "google/rpc/code.proto", "google/protobuf/any.proto"} {
		if _, err := files.FindFileByPath(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The linter of buf asks for a comment on everything in the contract; here they must have arrived.
func TestDescriptorsHaveComments(t *testing.T) {
	set, err := contract.Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	check := func(d protoreflect.Descriptor) {
		count++
		if strings.TrimSpace(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments) == "" {
			t.Errorf("%s has no comment", d.FullName())
		}
	}
	files.RangeFilesByPackage(pkg, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			check(service)
			for j := range service.Methods().Len() {
				check(service.Methods().Get(j))
			}
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			check(message)
			for j := range message.Fields().Len() {
				check(message.Fields().Get(j))
			}
		}
		for i := range file.Enums().Len() {
			enum := file.Enums().Get(i)
			check(enum)
			for j := range enum.Values().Len() {
				check(enum.Values().Get(j))
			}
		}
		return true
	})
	if count < 1000 {
		t.Errorf("only %d comments were looked for", count)
	}
}

// Whoever reads about a service must see at once which metadata each of its calls needs.
func TestServicesNameTheirMetadata(t *testing.T) {
	set, err := contract.Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	files.RangeFilesByPackage(pkg, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			count++
			comment := file.SourceLocations().ByDescriptor(service).LeadingComments
			for _, key := range []string{"`x-tenant-id`", "`x-user-assertion`"} {
				if !strings.Contains(comment, key) {
					t.Errorf("the comment of %s does not name %s", service.Name(), key)
				}
			}
		}
		return true
	})
	if count != 14 {
		t.Errorf("%d services", count)
	}
}
