package main_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

type reader interface {
	proto.Message
	UnmarshalGraphJSON(body []byte, options pb.GraphReadOptions) error
}

type writer interface {
	proto.Message
	AppendGraphJSON(dst []byte) []byte
}

// rounds is how often each message is filled. With 12, each enum value, each case of a oneof and both values of a bool
// occur.
const rounds = 12

// filler fills messages with values that all differ from each other.
type filler struct {
	round, count int
}

// fill sets every field of a message. only, when not nil, selects the fields of this message, not those of nested ones.
func (f *filler) fill(m protoreflect.Message, only func(protoreflect.FieldDescriptor) bool) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if only != nil && !only(field) {
			continue
		}
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() &&
			oneof.Fields().Get(f.round%oneof.Fields().Len()) != field {
			continue
		}
		if !field.IsList() {
			m.Set(field, f.value(field, func() protoreflect.Value { return m.NewField(field) }))
			continue
		}
		list := m.Mutable(field).List()
		for range 1 + f.round%3 {
			list.Append(f.value(field, list.NewElement))
		}
	}
}

func (f *filler) value(field protoreflect.FieldDescriptor, empty func() protoreflect.Value) protoreflect.Value {
	f.count++
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d \"Zoë\" \\ \n 🗄 <&>", field.Name(), f.count))
	case protoreflect.BoolKind:
		// For a bool without presence, false means "not set".
		return protoreflect.ValueOfBool(!field.HasPresence() || f.round%2 == 0)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(f.count * (1 - f.round%3)))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(f.count) * (1 - int64(f.round%3)) << 40)
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(1 + (f.round+f.count)%(values.Len()-1)).Number())
	}
	value := empty()
	switch m := value.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		m.Seconds, m.Nanos = int64(f.count)*86413-1<<30, int32(f.round*100)
	case *statuspb.Status:
		m.Message = fmt.Sprintf("status %d", f.count)
	default:
		f.fill(value.Message(), nil)
	}
	return value
}

// itemStatus makes the Statuses again from the errors that the encoder writes.
func itemStatus(t *testing.T) func(pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
	return func(item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
		var body struct {
			Message string
			Details []struct{ Target, Message string }
		}
		if err := json.Unmarshal(item.JSON, &body); err != nil {
			t.Errorf("%s of %s: %v", item.Property, item.Type, err)
		}
		var failed []*pb.FailedResource
		for _, one := range body.Details {
			failed = append(failed, &pb.FailedResource{Target: one.Target, Error: &statuspb.Status{Message: one.Message}})
		}
		return &statuspb.Status{Message: body.Message}, failed
	}
}

// TestReadersFollowTheContract fills every response and writes it by the options of the contract. The generated reader
// has to read the same message.
func TestReadersFollowTheContract(t *testing.T) {
	for _, op := range operations(t) {
		if op.method.Output().Fields().Len() == 0 {
			continue
		}
		t.Run(string(op.method.Name()), func(t *testing.T) {
			for round := range rounds {
				want := op.new(op.method.Output())
				(&filler{round: round}).fill(want.ProtoReflect(), nil)
				for _, e := range []encoder{{}, {wrap: true}, {aliases: true}} {
					text, err := json.Marshal(e.object(want.ProtoReflect()))
					if err != nil {
						t.Fatal(err)
					}
					got, ok := op.new(op.method.Output()).(reader)
					if !ok {
						t.Fatal("the response has no reader")
					}
					body := append([]byte(nil), text...)
					if err := got.UnmarshalGraphJSON(body, pb.GraphReadOptions{Error: itemStatus(t)}); err != nil {
						t.Fatalf("%s: %v", text, err)
					}
					if !proto.Equal(got, want) {
						t.Fatalf("round %d: %s\nwas read as %v\nwant %v", round, text, got, want)
					}
				}
			}
		})
	}
}

// inBody reports whether a field of the request is in its body.
func (o operation) inBody(field protoreflect.FieldDescriptor) bool {
	name := string(field.Name())
	return name != "page_size" && name != "page_token" && name != "idempotency_key" && !strings.Contains(o.call.GetPath(), "{"+name+"}")
}

// hasBody reports whether the request has a body.
func (o operation) hasBody() bool {
	if o.call.GetMethod() != "POST" && o.call.GetMethod() != "PATCH" {
		return false
	}
	fields := o.method.Input().Fields()
	for i := range fields.Len() {
		if o.inBody(fields.Get(i)) {
			return true
		}
	}
	return o.call.GetEmptyBody()
}

// TestWritersFollowTheContract fills every request: with all fields, with each field alone, and with none. The
// generated writer has to write what the options of the contract say.
func TestWritersFollowTheContract(t *testing.T) {
	bodies := 0
	for _, op := range operations(t) {
		t.Run(string(op.method.Name()), func(t *testing.T) {
			if _, ok := op.new(op.method.Input()).(writer); ok != op.hasBody() {
				t.Fatalf("%s %s: has a writer: %v", op.call.GetMethod(), op.call.GetPath(), ok)
			} else if !ok {
				return
			}
			bodies++
			fields := op.method.Input().Fields()
			choices := []func(protoreflect.FieldDescriptor) bool{nil, func(protoreflect.FieldDescriptor) bool { return false }}
			for i := range fields.Len() {
				choices = append(choices, func(field protoreflect.FieldDescriptor) bool { return field == fields.Get(i) })
			}
			for round := range rounds {
				for _, only := range choices {
					request := op.new(op.method.Input()).(writer)
					(&filler{round: round}).fill(request.ProtoReflect(), only)
					compareBody(t, op, request)
				}
			}
		})
	}
	if bodies < 20 {
		t.Errorf("only %d requests have a body", bodies)
	}
}

func compareBody(t *testing.T, op operation, request writer) {
	t.Helper()
	const before = `{"before":`
	text := request.AppendGraphJSON([]byte(before))
	if !strings.HasPrefix(string(text), before) {
		t.Fatalf("the body does not follow what was in dst: %s", text)
	}
	text = text[len(before):]
	e := encoder{skip: func(field protoreflect.FieldDescriptor) bool {
		return field.ContainingMessage() == op.method.Input() && !op.inBody(field)
	}}
	expected, err := json.Marshal(e.object(request.ProtoReflect()))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal(expected, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%v was written as %s, want %s", request, text, expected)
	}
}
