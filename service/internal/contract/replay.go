package contract

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// linkReplay finds the operation that reads what a replay returns, and checks that it fits.
func (c *Contract) linkReplay(op *Operation) error {
	replay, name := op.Spec.GetReplay(), op.Spec.GetReadWith()
	stored := replay == pb.GraphCall_READ_CREATED || replay == pb.GraphCall_STORED_OUTCOME
	if stored != (name != "") {
		return fmt.Errorf("read_with is %q, with replay %s", name, replay)
	}
	if (replay == pb.GraphCall_READ_CREATED) != (op.Created != nil && op.Key != nil) {
		return fmt.Errorf("replay %s does not fit creates", replay)
	}
	switch {
	case op.Key == nil:
		return nil
	case op.Key.Kind() != protoreflect.StringKind || op.Key.IsList() || !op.Key.HasPresence():
		return errors.New("idempotency_key is no optional string")
	case stored:
		op.ReadWith = c.byName[name]
	default:
		op.ReadWith = op.VerifyWith
	}
	if op.ReadWith == nil || !op.ReadWith.Safe {
		return fmt.Errorf("read_with %q is no operation without side effects", name)
	}
	if resourceOf(op.ReadWith.response) == nil || op.ReadWith.NextPageToken != nil {
		return fmt.Errorf("read_with %q returns no single resource", op.ReadWith.Name)
	}
	missing := 0
	for _, s := range op.ReadWith.Path {
		if s.Field != nil && op.Request.Fields().ByName(s.Field.Name()) == nil {
			missing++
		}
	}
	// The id of what was created is in no request that creates.
	if created := op.Created != nil; missing != map[bool]int{true: 1, false: 0}[created] {
		return fmt.Errorf("the request lacks %d ids of read_with %q", missing, op.ReadWith.Name)
	}
	return nil
}

// NewRequest makes an empty request message of the operation.
func (op *Operation) NewRequest() proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(op.Request.FullName())
	if err != nil {
		// The generated package has registered it, as it has the operation.
		panic(err)
	}
	return kind.New().Interface()
}

// ReplayRequest makes the request message of ReadWith for a request message of the operation. created is the id of what
// was created, empty for an operation that creates nothing.
func (op *Operation) ReplayRequest(message protoreflect.Message, created string) protoreflect.Message {
	request := op.ReadWith.NewRequest().ProtoReflect()
	for _, s := range op.ReadWith.Path {
		if s.Field == nil {
			continue
		}
		if same := op.Request.Fields().ByName(s.Field.Name()); same != nil {
			request.Set(s.Field, message.Get(same))
		} else {
			request.Set(s.Field, protoreflect.ValueOfString(created))
		}
	}
	return request
}

// FillReplay puts the resource of a response of ReadWith into a response of the operation.
func (op *Operation) FillReplay(result, read protoreflect.Message) {
	into, from := resourceOf(op.response), resourceOf(op.ReadWith.response)
	resource := read.Get(from).Message()
	if into.Message() == from.Message() {
		result.Set(into, protoreflect.ValueOfMessage(resource))
		return
	}
	// What the operation returns is a part of what is read.
	fields := from.Message().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() == into.Message() && !f.IsList() && resource.Has(f) {
			result.Set(into, resource.Get(f))
		}
	}
}

// ID returns the id of what was created.
func (c *Created) ID(response protoreflect.Message) string {
	return response.Get(c.resource).Message().Get(c.id).String()
}

// Change is the fields of an item in the response of an update.
type Change struct {
	// List is the response field, Resource the field of its elements with the resource, and ID that resource's id.
	List, Resource, ID, ContentID, Removed, Error protoreflect.FieldDescriptor
}

// Changes are the lists of items in the response of an update.
func (op *Operation) Changes() (all []Change) {
	fields := op.response.Fields()
	for i := range fields.Len() {
		list := fields.Get(i)
		if !list.IsList() || list.Message() == nil {
			continue
		}
		of := list.Message().Fields()
		c := Change{List: list, Resource: resourceOf(list.Message()), ContentID: of.ByName("content_id"), Removed: of.ByName("removed"), Error: of.ByName("error")}
		if c.Resource == nil || c.ContentID == nil || c.Removed == nil || c.Error == nil {
			continue
		}
		c.ID = c.Resource.Message().Fields().ByName("id")
		all = append(all, c)
	}
	return all
}
