// Command print-contract writes files from the descriptors of the contract. Into the folder of the protos: the page
// of all operations, the reference of all error reasons as Markdown and as JSON, and two gRPC service configs for
// clients. Into that of the pages: the page for those who come from Microsoft Graph. Nobody edits them by hand.
//
// Usage: go run ./cmd/print-contract PROTOS PAGES
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: print-contract PROTOS PAGES")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "print-contract:", err)
		os.Exit(1)
	}
}

func run(protos, pages string) error {
	c, err := readContract()
	if err != nil {
		return err
	}
	catalogue, err := c.errorsJSON()
	if err != nil {
		return err
	}
	config, err := c.serviceConfig("")
	if err != nil {
		return err
	}
	balancing, err := c.serviceConfig(balanced)
	if err != nil {
		return err
	}
	for name, page := range map[string][]byte{
		filepath.Join(protos, "OPERATIONS.md"): c.operationsPage(), filepath.Join(protos, "ERRORS.md"): c.errorsPage(),
		filepath.Join(protos, "errors.json"): catalogue, filepath.Join(protos, "service_config.json"): config,
		filepath.Join(protos, "service_config_replicas.json"): balancing,
		filepath.Join(pages, "migrating.md"):                  c.migratingPage(),
	} {
		if err := os.WriteFile(name, page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// contract has everything that the pages show.
type contract struct {
	// rpcs are those of documented operations, derived those that stream, wait or watch by means of one of them.
	rpcs, derived []rpc
	// introduction is the comment of ErrorReason, by paragraphs.
	introduction []string
	reasons      []reason
}

type rpc struct {
	service, name string
	input         protoreflect.MessageDescriptor
	call          *pb.GraphCall
	level         descriptorpb.MethodOptions_IdempotencyLevel
	streams       bool
}

type reason struct {
	name   string
	number protoreflect.EnumNumber
	spec   *pb.ErrorSpec
	// prose is the comment without the example of an ErrorInfo.
	prose string
	// operations are the rpcs for which Microsoft documents the reason, in the form of metadata operation.
	operations []string
}

// readContract reads an image that buf builds, because the descriptors in a Go program have no comments.
func readContract() (*contract, error) {
	command := exec.Command("go", "tool", "buf", "build", "proto", "-o", "-")
	command.Stderr = os.Stderr
	image, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w", err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(image, set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	c := new(contract)
	files.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		c.addServices(file)
		return true
	})
	for _, rpcs := range [][]rpc{c.rpcs, c.derived} {
		sort.SliceStable(rpcs, func(i, j int) bool { return rpcs[i].service < rpcs[j].service })
	}
	return c, c.addReasons(files)
}

func (c *contract) addServices(file protoreflect.FileDescriptor) {
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		for j := range service.Methods().Len() {
			method := service.Methods().Get(j)
			options, _ := method.Options().(*descriptorpb.MethodOptions)
			call, _ := proto.GetExtension(options, pb.E_GraphCall).(*pb.GraphCall)
			r := rpc{
				service: string(service.Name()), name: string(method.Name()), input: method.Input(), call: call, level: options.GetIdempotencyLevel(),
				streams: method.IsStreamingServer(),
			}
			if call.GetOf() != "" {
				c.derived = append(c.derived, r)
				continue
			}
			c.rpcs = append(c.rpcs, r)
		}
	}
}

func (c *contract) addReasons(files *protoregistry.Files) error {
	found, err := files.FindDescriptorByName("m365.backupstorage.v1.ErrorReason")
	if err != nil {
		return err
	}
	enum, ok := found.(protoreflect.EnumDescriptor)
	if !ok {
		return errors.New("ErrorReason is not an enum")
	}
	locations := enum.ParentFile().SourceLocations()
	for paragraph := range strings.SplitSeq(locations.ByDescriptor(enum).LeadingComments, "\n\n") {
		c.introduction = append(c.introduction, prose(paragraph))
	}
	for i := 1; i < enum.Values().Len(); i++ {
		value := enum.Values().Get(i)
		spec, _ := proto.GetExtension(value.Options(), pb.E_ErrorSpec).(*pb.ErrorSpec)
		r := reason{
			name: string(value.Name()), number: value.Number(), spec: spec,
			prose: prose(locations.ByDescriptor(value).LeadingComments),
		}
		for _, operation := range c.rpcs {
			for _, documented := range operation.call.GetErrors() {
				if protoreflect.EnumNumber(documented) == r.number {
					r.operations = append(r.operations, operation.service+"/"+operation.name)
				}
			}
		}
		c.reasons = append(c.reasons, r)
	}
	return nil
}
