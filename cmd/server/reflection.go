package main

import (
	"slices"
	"sync"

	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	contract "github.com/m365backup/backupstorage/proto"
)

const (
	statusFile  = "google/rpc/status.proto"
	detailsFile = "google/rpc/error_details.proto"
)

// registerReflection serves both versions of gRPC reflection. The descriptors have the comments of the contract, so
// that `grpcurl describe` explains it.
func registerReflection(server reflection.GRPCServer) {
	files := commented{load: sync.OnceValues(commentedFiles)}
	options := reflection.ServerOptions{
		Services: server, DescriptorResolver: files, ExtensionResolver: commentedExtensions{protoregistry.GlobalTypes, files},
	}
	reflectionpb.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	// The function without a version in its name makes the server of v1alpha.
	reflectionalphapb.RegisterServerReflectionServer(server, reflection.NewServer(options))
}

// commentedFiles reads the descriptors of the contract.
//
// No message of the contract has a field for the details of a Status, so that no file imports their types. A tool that
// saves a symbol saves the file of the symbol and what it imports, and then cannot decode an error. For that reason
// each file whose calls or messages have a Status imports the types here.
func commentedFiles() (*protoregistry.Files, error) {
	set, err := contract.Descriptors()
	if err != nil {
		return nil, err
	}
	for _, file := range set.GetFile() {
		if hasStatus(file) {
			file.Dependency = append(file.Dependency, detailsFile)
		}
	}
	return protodesc.NewFiles(set)
}

func hasStatus(file *descriptorpb.FileDescriptorProto) bool {
	imports := file.GetDependency()
	return (len(file.GetService()) > 0 || slices.Contains(imports, statusFile)) && !slices.Contains(imports, detailsFile)
}

// commented finds descriptors with comments. What the contract does not have, such as the health service, comes from
// the generated code, without comments. The first search reads the descriptors: a server that nobody asks does not
// hold them.
type commented struct {
	load func() (*protoregistry.Files, error)
}

// FindFileByPath implements protodesc.Resolver.
func (c commented) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	return find(c, path, (*protoregistry.Files).FindFileByPath)
}

// FindDescriptorByName implements protodesc.Resolver.
func (c commented) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return find(c, name, (*protoregistry.Files).FindDescriptorByName)
}

func find[N ~string, D protoreflect.Descriptor](c commented, name N, by func(*protoregistry.Files, N) (D, error)) (D, error) {
	files, err := c.load()
	if err != nil {
		var none D
		return none, err
	}
	if found, err := by(files, name); err == nil {
		return found, nil
	}
	return by(protoregistry.GlobalFiles, name)
}

// commentedExtensions finds the options of the contract with their comments.
type commentedExtensions struct {
	*protoregistry.Types

	files commented
}

// FindExtensionByNumber implements protoregistry.ExtensionTypeResolver.
func (e commentedExtensions) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	generated, err := e.Types.FindExtensionByNumber(message, number)
	if err != nil {
		return nil, err
	}
	found, err := e.files.FindDescriptorByName(generated.TypeDescriptor().FullName())
	if err != nil {
		return nil, err
	}
	if extension, ok := found.(protoreflect.ExtensionDescriptor); ok {
		return dynamicpb.NewExtensionType(extension), nil
	}
	return generated, nil
}
