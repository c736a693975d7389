package contract

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Kind says how an rpc uses its request to Graph.
type Kind int

// The kinds.
const (
	// Single rpcs send it once.
	Single Kind = iota
	// Pages is a stream of all pages of a list.
	Pages
	// Wait is a call that ends when a resource has changed.
	Wait
	// Watch is a stream of the states of a resource.
	Watch
)

// Lasting reports whether a call lasts as long as its client likes, within limits of its own.
func (k Kind) Lasting() bool { return k != Single }

// Streams reports whether the server streams.
func (k Kind) Streams() bool { return k == Pages || k == Watch }

// Watched is what a wait or a watch waits for: a resource, and what its states mean.
type Watched struct {
	// List is the list with the resource in it, nil when there is none that is not much longer than what is waited for.
	List *Operation
	// ID is the request field with the id of the resource, nil for the one of its tenant.
	ID protoreflect.FieldDescriptor

	resource, itemError protoreflect.FieldDescriptor
	// status leads from the resource to its state.
	status []protoreflect.FieldDescriptor
}

// NewResponse makes an empty response message of the operation.
func (op *Operation) NewResponse() proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(op.response.FullName())
	if err != nil {
		// The generated package has registered it, as it has the operation.
		panic(err)
	}
	return kind.New().Interface()
}

// State is what a state of a resource means for those who wait.
type State struct {
	// Number is the enum value.
	Number protoreflect.EnumNumber
	// Terminal says that the resource stays as it is until somebody acts on it.
	Terminal bool
	// Short says that Graph leaves the state within seconds.
	Short bool
}

// Resource returns the resource in the response of a read.
func (w *Watched) Resource(response protoreflect.Message) protoreflect.Message {
	return response.Get(w.resource).Message()
}

// State returns the state of a resource. A resource without a state that has an error does not exist: to wait for it
// has no use either.
func (w *Watched) State(resource protoreflect.Message) State {
	at := resource
	for _, field := range w.status[:len(w.status)-1] {
		at = at.Get(field).Message()
	}
	field := w.status[len(w.status)-1]
	number := at.Get(field).Enum()
	s := State{Number: number}
	if value := field.Enum().Values().ByNumber(number); value != nil {
		stay := stayOf(value)
		s.Terminal, s.Short = stay == pb.GraphValue_TERMINAL, stay == pb.GraphValue_SHORT
	}
	if number == 0 && w.itemError != nil && resource.Has(w.itemError) {
		s.Terminal = true
	}
	return s
}

func stayOf(value protoreflect.EnumValueDescriptor) pb.GraphValue_Stay {
	option, _ := proto.GetExtension(value.Options(), pb.E_GraphValue).(*pb.GraphValue)
	return option.GetStay()
}

// addDerived adds an rpc that reads with another operation.
func (c *Contract) addDerived(method protoreflect.MethodDescriptor) error {
	name := specOf(method).GetOf()
	read := c.byName[name]
	if read == nil || !read.Safe {
		return fmt.Errorf("of is %q, which is no operation without side effects", name)
	}
	op, err := newOperation(method, read.Spec, c.Reasons)
	if err != nil {
		return err
	}
	op.Of = read
	switch {
	case read.NextPageToken != nil:
		op.Kind = Pages
		if op.Request != read.Request || op.response != read.response {
			return errors.New("a stream of pages has the messages of its list")
		}
	case method.IsStreamingServer():
		op.Kind = Watch
	default:
		op.Kind = Wait
	}
	if op.Kind.Streams() != method.IsStreamingServer() {
		return errors.New("a list is streamed")
	}
	if op.Kind != Pages {
		if op.Watched, err = c.watched(op, read); err != nil {
			return err
		}
		c.byRequest[op.Request.FullName()] = op
	}
	c.byMethod[op.FullMethod], c.byName[op.Name] = op, op
	return nil
}

func (c *Contract) watched(op, read *Operation) (*Watched, error) {
	w := &Watched{resource: resourceOf(read.response)}
	if w.resource == nil {
		return nil, errors.New("the read returns no resource")
	}
	w.itemError = w.resource.Message().Fields().ByName("error")
	if w.status = statusPath(w.resource.Message()); w.status == nil {
		return nil, errors.New("no state of the resource has a stay")
	}
	for _, s := range op.Path {
		if s.Field != nil {
			w.ID = s.Field
		}
	}
	if w.ID == nil {
		return w, nil
	}
	path := read.Spec.GetPath()
	for _, other := range c.byName {
		if other.Of == nil && other.Safe && other.NextPageToken != nil && other.Spec.GetPath() == path[:strings.LastIndexByte(path, '/')] {
			w.List = other
		}
	}
	return w, nil
}

// statusPath leads to the field whose values say how long a resource stays, in the message or in one inside it.
func statusPath(message protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Enum() == nil || field.IsList() {
			continue
		}
		for k := range field.Enum().Values().Len() {
			if stayOf(field.Enum().Values().Get(k)) != pb.GraphValue_STAY_UNSPECIFIED {
				return []protoreflect.FieldDescriptor{field}
			}
		}
	}
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || field.IsList() || field.IsMap() || field.Message().FullName() == message.FullName() {
			continue
		}
		if inner := field.Message().Fields().ByName("status"); inner != nil && inner.Enum() != nil {
			if path := statusPath(field.Message()); path != nil {
				return append([]protoreflect.FieldDescriptor{field}, path...)
			}
		}
	}
	return nil
}
