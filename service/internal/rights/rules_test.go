package rights

import (
	"maps"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// field is a field of a message for the test. A type is the full name of a message, empty for a string.
func field(name string, number int32, effect pb.GraphCall_Effect, label descriptorpb.FieldDescriptorProto_Label, message string) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{
		Name: &name, Number: &number, Label: &label, Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
	}
	if message != "" {
		f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), &message
	}
	if effect != pb.GraphCall_EFFECT_UNSPECIFIED {
		f.Options = &descriptorpb.FieldOptions{}
		proto.SetExtension(f.Options, pb.E_GraphField, &pb.GraphField{Effect: effect})
	}
	return f
}

// A field adds its effect however deep it is: in a message, a list, a map, or a message that contains itself.
func TestFieldsAtAnyDepth(t *testing.T) {
	const one, many = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	const none = pb.GraphCall_EFFECT_UNSPECIFIED
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("test.proto"), Package: new("test"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: new("Request"), Field: []*descriptorpb.FieldDescriptorProto{
				field("name", 1, none, one, ""),
				field("remove_ids", 2, pb.GraphCall_REMOVE, many, ""),
				field("outer", 3, none, one, ".test.Outer"),
				field("outers", 4, none, many, ".test.Outer"),
				field("by_name", 5, none, many, ".test.Request.ByNameEntry"),
				field("plain", 6, none, one, ".test.Plain"),
			}, NestedType: []*descriptorpb.DescriptorProto{{
				Name: new("ByNameEntry"), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
				Field: []*descriptorpb.FieldDescriptorProto{field("key", 1, none, one, ""), field("value", 2, none, one, ".test.Outer")},
			}}},
			// Outer is within Inner, and Inner within Outer. The effect stands behind the way back.
			{Name: new("Outer"), Field: []*descriptorpb.FieldDescriptorProto{
				field("inner", 1, none, one, ".test.Inner"), field("restore", 2, pb.GraphCall_RESTORE, one, ""),
			}},
			{Name: new("Inner"), Field: []*descriptorpb.FieldDescriptorProto{field("outer", 1, none, one, ".test.Outer")}},
			{Name: new("Plain"), Field: []*descriptorpb.FieldDescriptorProto{field("name", 1, none, one, "")}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	request, outer, inner := file.Messages().ByName("Request"), file.Messages().ByName("Outer"), file.Messages().ByName("Inner")
	rule := &Rule{Effect: pb.GraphCall_CHANGE, fields: plan(request, make(map[protoreflect.FullName]*raising))}
	set := func(m protoreflect.Message, name string) {
		m.Set(m.Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOfString("a"))
	}
	deep := func() *dynamicpb.Message {
		last := dynamicpb.NewMessage(outer)
		set(last, "restore")
		middle := dynamicpb.NewMessage(inner)
		middle.Set(inner.Fields().ByName("outer"), protoreflect.ValueOfMessage(last))
		top := dynamicpb.NewMessage(outer)
		top.Set(outer.Fields().ByName("inner"), protoreflect.ValueOfMessage(middle))
		return top
	}
	for name, test := range map[string]struct {
		fill func(m *dynamicpb.Message)
		want Effects
	}{
		"nothing": {func(*dynamicpb.Message) {}, EffectsOf(pb.GraphCall_CHANGE)},
		"other":   {func(m *dynamicpb.Message) { set(m, "name") }, EffectsOf(pb.GraphCall_CHANGE)},
		"an item": {func(m *dynamicpb.Message) {
			m.Mutable(request.Fields().ByName("remove_ids")).List().Append(protoreflect.ValueOfString(""))
		}, EffectsOf(pb.GraphCall_CHANGE, pb.GraphCall_REMOVE)},
		"an empty": {func(m *dynamicpb.Message) { m.Mutable(request.Fields().ByName("outer")) }, EffectsOf(pb.GraphCall_CHANGE)},
		"a message": {func(m *dynamicpb.Message) {
			m.Set(request.Fields().ByName("outer"), protoreflect.ValueOfMessage(deep()))
		}, EffectsOf(pb.GraphCall_CHANGE, pb.GraphCall_RESTORE)},
		"a list": {func(m *dynamicpb.Message) {
			m.Mutable(request.Fields().ByName("outers")).List().Append(protoreflect.ValueOfMessage(deep()))
		}, EffectsOf(pb.GraphCall_CHANGE, pb.GraphCall_RESTORE)},
		"a map": {func(m *dynamicpb.Message) {
			m.Mutable(request.Fields().ByName("by_name")).Map().Set(protoreflect.ValueOfString("").MapKey(), protoreflect.ValueOfMessage(deep()))
		}, EffectsOf(pb.GraphCall_CHANGE, pb.GraphCall_RESTORE)},
		"everything": {func(m *dynamicpb.Message) {
			set(m, "name")
			m.Set(request.Fields().ByName("outer"), protoreflect.ValueOfMessage(deep()))
			m.Mutable(request.Fields().ByName("remove_ids")).List().Append(protoreflect.ValueOfString(""))
		}, EffectsOf(pb.GraphCall_CHANGE, pb.GraphCall_RESTORE, pb.GraphCall_REMOVE)},
	} {
		m := dynamicpb.NewMessage(request)
		test.fill(m)
		if got := rule.Effects(m); got != test.want {
			t.Errorf("%s: the effects are %s, want %s", name, got, test.want)
		}
	}
	if got := rule.Effects(nil); got != EffectsOf(pb.GraphCall_CHANGE) {
		t.Errorf("without a request the effects are %s", got)
	}
	want := map[string]Effects{
		"remove_ids": EffectsOf(pb.GraphCall_REMOVE), "outer.restore": EffectsOf(pb.GraphCall_RESTORE),
		"outers.restore": EffectsOf(pb.GraphCall_RESTORE), "by_name.restore": EffectsOf(pb.GraphCall_RESTORE),
	}
	if got := rule.RaisingFields(); !maps.Equal(got, want) {
		t.Errorf("the fields are %v, want %v", got, want)
	}
}

// An rpc is found by each of its names.
func TestNamesOfRPCs(t *testing.T) {
	for _, op := range theContract().Operations() {
		for _, name := range []string{op.Name, op.FullMethod, op.FullMethod[1:]} {
			if rule := theRules().named(name); rule == nil || rule.RPC != op.Name {
				t.Errorf("%s finds %v, want %s", name, rule, op.Name)
			}
		}
	}
	if rule := theRules().named("ServiceAppService/Nothing"); rule != nil {
		t.Errorf("a name of nothing finds %v", rule)
	}
}
