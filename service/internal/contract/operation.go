package contract

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Operation is an rpc and the request to Graph that it stands for.
type Operation struct {
	// Name is `Service/Method`, as it stands in metadata and logs.
	Name string
	// FullMethod is gRPC's name of the method.
	FullMethod string
	// Spec is the graph_call option.
	Spec *pb.GraphCall
	// Request is the request message.
	Request protoreflect.MessageDescriptor
	// Path is Spec's path: constants, and the fields that fill the other segments.
	Path []Segment
	// Safe operations have no side effects. Idempotent ones may be repeated; all safe ones are.
	Safe, Idempotent bool
	// Workload is what the path tells of the workload; unspecified for a path of all workloads.
	Workload pb.Workload
	// PageSize, PageToken and NextPageToken are the fields of a list, nil for other operations.
	PageSize, PageToken, NextPageToken protoreflect.FieldDescriptor
	// Removes are the fields with ids to remove from a policy.
	Removes []protoreflect.FieldDescriptor
	// EmbedsError reports whether the response is one resource that can have an error of its own.
	EmbedsError bool
	// VerifyWith is the operation that shows whether a lost write was carried out; nil for safe operations.
	VerifyWith *Operation
	// Outcome is how the response of VerifyWith proves that a lost write was carried out; nil when it cannot.
	Outcome *Outcome
	// Created is how the response names what was created; nil for an operation that creates nothing.
	Created *Created
	// Kind says how the rpc uses the request: once, or for a stream of pages, a wait or a watch.
	Kind Kind
	// Of is the operation with which a stream, a wait or a watch reads; nil for any other.
	Of *Operation
	// Watched is what a wait or a watch waits for; nil for any other operation.
	Watched *Watched
	// MissingItem is the reason for an item to remove that is not in the collection; nil where no item is removed.
	MissingItem *Reason
	// Key is the field idempotency_key; nil for an operation that takes no key.
	Key protoreflect.FieldDescriptor
	// ReadWith is the operation that reads the resource which a replay returns; nil for an operation that takes no key.
	ReadWith *Operation

	response protoreflect.MessageDescriptor
	// fieldNames are the names of the request's fields by the names under which Graph knows them.
	fieldNames map[string]string
	// fieldPaths are the paths of the request's fields by the names under which Graph knows them, and by their own.
	fieldPaths map[string][]string
}

// Service is the first half of Name.
func (op *Operation) Service() string {
	service, _, _ := strings.Cut(op.Name, "/")
	return service
}

// Segment is one segment of a path: a constant, or the request field whose id fills it.
type Segment struct {
	Constant string
	Field    protoreflect.FieldDescriptor
	// InvalidID is the reason for an id that does not fit into a path.
	InvalidID pb.ErrorReason
}

// Reads is the operation that sends the requests: Of, else the operation itself.
func (op *Operation) Reads() *Operation {
	if op.Of != nil {
		return op.Of
	}
	return op
}

// specOf returns the graph_call of a method, nil when it has none.
func specOf(method protoreflect.MethodDescriptor) *pb.GraphCall {
	spec, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
	return spec
}

// newOperation reads the operation of a method; spec is that of the request that it sends.
func newOperation(method protoreflect.MethodDescriptor, spec *pb.GraphCall, reasons *Reasons) (*Operation, error) {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	if spec == nil {
		return nil, errors.New("no graph_call")
	}
	service := method.Parent()
	fields := method.Input().Fields()
	op := &Operation{
		Name:          fmt.Sprintf("%s/%s", service.Name(), method.Name()),
		FullMethod:    fmt.Sprintf("/%s/%s", service.FullName(), method.Name()),
		Spec:          spec,
		Request:       method.Input(),
		response:      method.Output(),
		Safe:          options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS,
		Idempotent:    options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN,
		Workload:      pb.GraphPathWorkload(spec.GetPath()),
		PageSize:      fields.ByName("page_size"),
		PageToken:     fields.ByName("page_token"),
		NextPageToken: method.Output().Fields().ByName("next_page_token"),
		Key:           fields.ByName("idempotency_key"),
		EmbedsError:   embedsError(method.Output()),
	}
	if spec.GetNoQueryOptions() && op.PageSize == nil {
		return nil, errors.New("no_query_options needs a page_size, which would be sent otherwise")
	}
	op.fieldNames = fieldNames(method.Input())
	for i := range fields.Len() {
		if field := fields.Get(i); field.IsList() && field.Kind() == protoreflect.StringKind && effectOf(field) == pb.GraphCall_REMOVE {
			op.Removes = append(op.Removes, field)
		}
	}
	op.fieldPaths = make(map[string][]string)
	addFieldPaths(op.fieldPaths, make(map[protoreflect.FullName]bool), method.Input(), "")
	for text := range strings.SplitSeq(strings.Trim(spec.GetPath(), "/"), "/") {
		name, variable := strings.CutPrefix(text, "{")
		if !variable {
			op.Path = append(op.Path, Segment{Constant: text})
			continue
		}
		field := fields.ByName(protoreflect.Name(strings.TrimSuffix(name, "}")))
		if field == nil {
			return nil, fmt.Errorf("path has %s, which the request lacks", text)
		}
		reason := reasons.ofPathID(string(field.Name()), spec.GetErrors())
		if reason == nil {
			return nil, fmt.Errorf("no reason has %s in its path_ids", field.Name())
		}
		op.Path = append(op.Path, Segment{Field: field, InvalidID: reason.Value})
	}
	return op, nil
}

// link finds what an operation names: the operation to verify it with, the states that prove its outcome, its reasons.
func (c *Contract) link(op *Operation) error {
	spec := op.Spec
	if spec.GetEffect() == pb.GraphCall_EFFECT_UNSPECIFIED || op.Safe != (spec.GetEffect() == pb.GraphCall_READ) {
		return fmt.Errorf("effect %s does not fit the idempotency level", spec.GetEffect())
	}
	if value := spec.GetMissingItem(); value != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		op.MissingItem = c.Reasons.Of(value)
	}
	if removes(op.Request) != (op.MissingItem != nil) {
		return errors.New("missing_item and fields that remove items must go together")
	}
	if spec.GetCreates() {
		created, ok := newCreated(op)
		if !ok || op.Safe {
			return errors.New("creates needs side effects, and a response with one resource that has an id and a type")
		}
		op.Created = created
	}
	if (op.Key != nil) != (spec.GetReplay() != pb.GraphCall_REPLAY_UNSPECIFIED) {
		return fmt.Errorf("replay %s and the field idempotency_key must go together", spec.GetReplay())
	}
	if op.Safe {
		if op.Key != nil {
			return errors.New("an operation without side effects needs no key")
		}
		if spec.GetVerifyWith() != "" || len(spec.GetOutcomeStates()) > 0 {
			return errors.New("an operation without side effects has nothing to verify")
		}
		return nil
	}
	op.VerifyWith = c.byName[spec.GetVerifyWith()]
	if op.VerifyWith == nil || !op.VerifyWith.Safe {
		return fmt.Errorf("verify_with %q is no operation without side effects", spec.GetVerifyWith())
	}
	for _, s := range op.VerifyWith.Path {
		if s.Field != nil && op.Request.Fields().ByName(s.Field.Name()) == nil {
			return fmt.Errorf("the request lacks %s, which verify_with needs", s.Field.Name())
		}
	}
	if err := c.linkReplay(op); err != nil {
		return err
	}
	return op.linkOutcome()
}

// linkOutcome resolves the names of the states.
func (op *Operation) linkOutcome() error {
	names := op.Spec.GetOutcomeStates()
	if len(names) == 0 {
		if op.Spec.GetOutcomeNeedsChange() {
			return errors.New("outcome_needs_change needs outcome_states")
		}
		return nil
	}
	resource := resourceOf(op.response)
	if resource == nil {
		return errors.New("outcome_states needs a response with one resource")
	}
	fields := resource.Message().Fields()
	o := &Outcome{
		needsChange: op.Spec.GetOutcomeNeedsChange(), resource: resource, status: fields.ByName("status"),
		modified: fields.ByName("last_modified_date_time"), states: make(map[protoreflect.EnumNumber]bool),
	}
	if o.status == nil || o.status.Enum() == nil || o.needsChange && o.modified == nil {
		return errors.New("outcome_states needs a resource with a status, outcome_needs_change one with a time of change")
	}
	for _, name := range names {
		value := o.status.Enum().Values().ByName(protoreflect.Name(name))
		if value == nil {
			return fmt.Errorf("%s is no value of %s", name, o.status.Enum().Name())
		}
		o.states[value.Number()] = true
	}
	op.Outcome = o
	return nil
}
