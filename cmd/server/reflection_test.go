package main

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

const contractPackage = "m365.backupstorage.v1."

// asks is one request to reflection, which returns the files of the response.
type asks func(*testing.T, *reflectionpb.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto

// reflects returns both versions of reflection, each by its name. They have the same messages on the wire, so that
// those of v1 serve both.
func reflects(r *running) map[string]asks {
	ask := func(version string) asks {
		return func(t *testing.T, request *reflectionpb.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			t.Helper()
			both := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
			stream, err := r.conn.NewStream(t.Context(), both, "/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(request); err != nil {
				t.Fatal(err)
			}
			response := new(reflectionpb.ServerReflectionResponse)
			if err := stream.RecvMsg(response); err != nil || response.GetErrorResponse() != nil {
				t.Fatalf("%v: %v %v", request, response, err)
			}
			var files []*descriptorpb.FileDescriptorProto
			for _, raw := range response.GetFileDescriptorResponse().GetFileDescriptorProto() {
				file := new(descriptorpb.FileDescriptorProto)
				if err := proto.Unmarshal(raw, file); err != nil {
					t.Fatal(err)
				}
				files = append(files, file)
			}
			return files
		}
	}
	return map[string]asks{"v1": ask("v1"), "v1alpha": ask("v1alpha")}
}

func symbol(name string) *reflectionpb.ServerReflectionRequest {
	return &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}}
}

func fileName(name string) *reflectionpb.ServerReflectionRequest {
	return &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: name}}
}

// comment returns the leading comment of a symbol in what reflection returned.
func comment(t *testing.T, files []*descriptorpb.FileDescriptorProto, name string) string {
	t.Helper()
	resolved, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: files})
	if err != nil {
		t.Fatal(err)
	}
	found, err := resolved.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		t.Fatal(err)
	}
	return found.ParentFile().SourceLocations().ByDescriptor(found).LeadingComments
}

func TestReflectionServesComments(t *testing.T) {
	for version, ask := range reflects(start(t)) {
		t.Run(version, func(t *testing.T) {
			for name, begins := range map[string]string{
				contractPackage + "ProtectionPolicyService":                         " ProtectionPolicyService creates, changes and deletes",
				contractPackage + "ProtectionPolicyService.GetProtectionPolicy":     " GetProtectionPolicy returns one policy",
				contractPackage + "GetProtectionPolicyRequest.protection_policy_id": " Required. Id of the policy.",
				contractPackage + "POLICY_NOT_FOUND":                                " ",
				contractPackage + "ProtectionPolicyStatus":                          " ",
				contractPackage + "graph_call":                                      " ",
				"google.protobuf.Timestamp.seconds":                                 " Represents seconds of UTC time",
			} {
				if got := comment(t, ask(t, symbol(name)), name); !strings.HasPrefix(got, begins) {
					t.Errorf("%s has the comment %q, want one that begins with %q", name, got, begins)
				}
			}
			// The files of an extension are asked for by the extended message and the number.
			extension := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingExtension{
				FileContainingExtension: &reflectionpb.ExtensionRequest{ContainingType: "google.protobuf.EnumValueOptions", ExtensionNumber: 52651},
			}}
			if got := comment(t, ask(t, extension), contractPackage+"error_spec"); got == "" {
				t.Error("error_spec, asked for as an extension, has no comment")
			}
		})
	}
}

// What the server serves beside the contract is resolved too, and so are the types of the details of errors.
func TestReflectionResolvesOtherFiles(t *testing.T) {
	for version, ask := range reflects(start(t)) {
		t.Run(version, func(t *testing.T) {
			for _, name := range []string{
				"google/rpc/code.proto", "google/rpc/error_details.proto", "google/rpc/status.proto",
				"google/protobuf/any.proto", "google/protobuf/descriptor.proto", "google/protobuf/duration.proto", "google/protobuf/timestamp.proto",
				"grpc/health/v1/health.proto",
			} {
				if files := ask(t, fileName(name)); files[0].GetName() != name {
					t.Errorf("%s: the first file is %s", name, files[0].GetName())
				}
			}
			for _, name := range []string{"google.rpc.ErrorInfo", "google.rpc.BadRequest", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} {
				ask(t, symbol(name))
			}
		})
	}
}

// A program that saves what reflection says of one symbol can decode the details of its errors: grpcurl -protoset-out
// and code generators save the file of the symbol, and what it imports.
func TestReflectedFilesHaveTheDetailsOfErrors(t *testing.T) {
	for version, ask := range reflects(start(t)) {
		t.Run(version, func(t *testing.T) {
			for _, name := range []string{"ProtectionPolicyService", "RestoreSessionService.ListRestoreSessions", "ProtectionUnit", "FailedResource"} {
				files := ask(t, symbol(contractPackage+name))
				details := slices.ContainsFunc(files, func(f *descriptorpb.FileDescriptorProto) bool {
					return f.GetName() == "google/rpc/error_details.proto"
				})
				if !details {
					t.Errorf("the files of %s have no google/rpc/error_details.proto", name)
				}
			}
		})
	}
}
