package service

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// operation is an rpc and the request to Graph that it stands for.
type operation struct {
	// name is `Service/Method`, as it stands in metadata and logs; fullMethod is gRPC's name.
	name, fullMethod string
	call             *pb.GraphCall
	request          protoreflect.MessageDescriptor
	// segments are the path's: constants, and the fields that fill the others.
	segments []segment
	// safe has no side effects, idempotent may be repeated.
	safe, idempotent bool
	workload         pb.Workload
	// Fields of lists, nil for other operations.
	pageSize, pageToken, nextPageToken protoreflect.FieldDescriptor
	// errorInside says that what is returned is one resource that can have an error of its own.
	errorInside bool
	// verifyWith is the rpc that tells whether a write happened; empty for reads.
	verifyWith string
}

// segment is a constant, or the field of an id.
type segment struct {
	constant string
	field    protoreflect.FieldDescriptor
	// invalid is the reason when the id cannot stand in a path.
	invalid pb.ErrorReason
}

// operations are all rpcs of the contract, by request message and by gRPC method.
type operations struct {
	byRequest map[protoreflect.FullName]*operation
	byMethod  map[string]*operation
	services  []string
}

// newOperations reads the contract. It fails when the contract contradicts itself, which its tests rule out.
func newOperations(reasons *reasons) (*operations, error) {
	all := &operations{byRequest: make(map[protoreflect.FullName]*operation), byMethod: make(map[string]*operation)}
	var problem error
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			problem = errors.Join(problem, all.addService(file.Services().Get(i), reasons))
		}
		return true
	})
	if problem != nil {
		return nil, problem
	}
	for _, op := range all.byMethod {
		op.verifyWith = all.verifyWith(op)
	}
	return all, nil
}

func (all *operations) addService(service protoreflect.ServiceDescriptor, reasons *reasons) error {
	all.services = append(all.services, string(service.FullName()))
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		op, err := newOperation(method, reasons)
		if err != nil {
			return fmt.Errorf("%s: %w", method.FullName(), err)
		}
		all.byRequest[op.request.FullName()] = op
		all.byMethod[op.fullMethod] = op
	}
	return nil
}

func newOperation(method protoreflect.MethodDescriptor, reasons *reasons) (*operation, error) {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	call, _ := proto.GetExtension(options, pb.E_GraphCall).(*pb.GraphCall)
	if call == nil {
		return nil, fmt.Errorf("no graph_call")
	}
	service := method.Parent()
	fields := method.Input().Fields()
	op := &operation{
		name:          fmt.Sprintf("%s/%s", service.Name(), method.Name()),
		fullMethod:    fmt.Sprintf("/%s/%s", service.FullName(), method.Name()),
		call:          call,
		request:       method.Input(),
		safe:          options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS,
		idempotent:    options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN,
		workload:      pb.GraphPathWorkload(call.GetPath()),
		pageSize:      fields.ByName("page_size"),
		pageToken:     fields.ByName("page_token"),
		nextPageToken: method.Output().Fields().ByName("next_page_token"),
		errorInside:   holdsError(method.Output()),
	}
	for text := range strings.SplitSeq(strings.Trim(call.GetPath(), "/"), "/") {
		name, variable := strings.CutPrefix(text, "{")
		if !variable {
			op.segments = append(op.segments, segment{constant: text})
			continue
		}
		field := fields.ByName(protoreflect.Name(strings.TrimSuffix(name, "}")))
		if field == nil {
			return nil, fmt.Errorf("path names %s, which the request does not have", text)
		}
		op.segments = append(op.segments, segment{field: field, invalid: reasons.ofInvalidID(string(field.Name()), call.GetErrors())})
	}
	return op, nil
}

// target is the path under the endpoint, with the ids of a request. An id that cannot stand in a path is refused.
func (op *operation) target(request protoreflect.Message) (string, error) {
	path := make([]byte, 0, 256)
	path = append(path, graph.Root...)
	for _, s := range op.segments {
		switch {
		case s.field != nil:
			id := request.Get(s.field).String()
			if !graph.ValidID(id) {
				return "", refuse(s.invalid, string(s.field.Name()), "1 to 256 letters, digits or _.=,+~- and neither . nor ..")
			}
			path = graph.AppendSegment(path, id)
		case s.constant != "":
			path = append(path, '/')
			path = append(path, s.constant...)
		}
	}
	return string(path), nil
}

// pageSizeQuery asks for pages of the request's size; empty leaves it to Graph.
func (op *operation) pageSizeQuery(request protoreflect.Message) (string, error) {
	if op.pageSize == nil {
		return "", nil
	}
	switch size := request.Get(op.pageSize).Int(); {
	case size < 0:
		return "", refuse(pb.ErrorReason_INVALID_PAGE_SIZE, "page_size", "0 or more")
	case size > 0:
		return "$top=" + strconv.FormatInt(size, 10), nil
	}
	return "", nil
}

// fieldOf returns the first of several fields that the request has, empty when it has none.
func (op *operation) fieldOf(names []string) string {
	for _, name := range names {
		if op.request.Fields().ByName(protoreflect.Name(name)) != nil {
			return name
		}
	}
	return ""
}

// id returns the value of a path field of a request, empty when it has none of that name.
func (op *operation) id(request protoreflect.Message, field string) string {
	descriptor := op.request.Fields().ByName(protoreflect.Name(field))
	if request == nil || descriptor == nil || descriptor.Kind() != protoreflect.StringKind || descriptor.IsList() {
		return ""
	}
	return request.Get(descriptor).String()
}

// verifyWith finds the read that shows whether a write happened: for an update the list of what it adds and removes, for
// others the read on the same path, else on the collection of all workloads, else on the path without the action.
func (all *operations) verifyWith(write *operation) string {
	if write.safe {
		return ""
	}
	path := write.call.GetPath()
	parent := path[:max(strings.LastIndexByte(path, '/'), 1)]
	general := path
	for _, kind := range []string{"ProtectionPolicies", "RestoreSessions"} {
		first, rest, _ := strings.Cut(path[1:], "/")
		if strings.HasSuffix(first, kind) {
			general = strings.TrimSuffix("/"+strings.ToLower(kind[:1])+kind[1:]+"/"+rest, "/")
		}
	}
	candidates := []string{path, general, parent}
	if write.call.GetMethod() == http.MethodPatch {
		for _, list := range []string{"ProtectionUnits", "RestoreArtifacts"} {
			for _, things := range []string{"mailbox", "drive", "site"} {
				candidates = append([]string{path + "/" + things + list}, candidates...)
			}
		}
	}
	for _, candidate := range candidates {
		for _, op := range all.byMethod {
			if op.safe && op.call.GetMethod() == http.MethodGet && op.call.GetPath() == candidate {
				return op.name
			}
		}
	}
	return ""
}
