package main_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// operation is an rpc and its request to Graph.
type operation struct {
	method protoreflect.MethodDescriptor
	call   *pb.GraphCall
}

func (o operation) new(m protoreflect.MessageDescriptor) proto.Message {
	found, err := protoregistry.GlobalTypes.FindMessageByName(m.FullName())
	if err != nil {
		panic(err)
	}
	return found.New().Interface()
}

// operations lists all rpcs of the contract.
func operations(t *testing.T) []operation {
	t.Helper()
	var all []operation
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				method := methods.Get(j)
				call := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
				if call.GetOf() == "" { // The others read with the codecs of these.
					all = append(all, operation{method, call})
				}
			}
		}
		return true
	})
	if len(all) < 90 {
		t.Fatalf("the contract has only %d rpcs", len(all))
	}
	return all
}

// encoder writes messages as Graph JSON by reflection over the options of the contract. It shares no code with the
// plugin, so that a mistake in one of them is a difference.
type encoder struct {
	// wrap writes an inlined message that has an alias into the property with that name.
	wrap bool
	// aliases writes every other field that has an alias under its first alias.
	aliases bool
	// skip reports whether a field is left out.
	skip func(protoreflect.FieldDescriptor) bool
}

func fieldOption(field protoreflect.FieldDescriptor) *pb.GraphField {
	return proto.GetExtension(field.Options(), pb.E_GraphField).(*pb.GraphField)
}

func (e encoder) object(m protoreflect.Message) map[string]any {
	object := make(map[string]any)
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); m.Has(field) && (e.skip == nil || !e.skip(field)) {
			e.property(object, m, field)
		}
	}
	return object
}

func (e encoder) property(object map[string]any, m protoreflect.Message, field protoreflect.FieldDescriptor) {
	option, value := fieldOption(field), m.Get(field)
	name := option.GetName()
	if name == "" {
		name = lowerCamel(string(field.Name()))
	}
	if aliases := option.GetAliases(); e.aliases && len(aliases) > 0 && option.GetPlace() != pb.GraphField_INLINE {
		name = aliases[0]
	}
	switch {
	case option.GetPlace() == pb.GraphField_INLINE && e.wrap && len(option.GetAliases()) > 0:
		object[option.GetAliases()[0]] = e.object(value.Message())
	case option.GetPlace() == pb.GraphField_INLINE:
		maps.Copy(object, e.object(value.Message()))
	case option.GetPlace() == pb.GraphField_PRESENCE:
		object[name] = map[string]any{"reason": "changed"}
	case option.GetPlace() == pb.GraphField_ERROR_DETAILS:
		failed := []any{}
		for i := range value.List().Len() {
			one := value.List().Get(i).Message().Interface().(*pb.FailedResource)
			failed = append(failed, map[string]any{"target": one.Target, "message": one.Error.GetMessage()})
		}
		object[name].(map[string]any)["details"] = failed
	case option.GetPlace() == pb.GraphField_REMOVED_IDS:
		items, _ := object[name].([]any)
		for i := range value.List().Len() {
			items = append(items, map[string]any{
				"@removed": map[string]any{"reason": "changed"}, "id": value.List().Get(i).String(),
			})
		}
		object[name] = items
	case field.Kind() == protoreflect.EnumKind && field.Enum().Name() == "Workload":
		prefixes := valueOption(field.Enum().Values().ByNumber(value.Enum())).GetTypePrefixes()
		object["@odata.type"] = "#microsoft.graph." + prefixes[len(prefixes)-1] + "Thing"
	case field.Kind() == protoreflect.EnumKind && field.IsList():
		var members []string
		for i := range value.List().Len() {
			members = append(members, member(field.Enum(), value.List().Get(i).Enum()))
		}
		object[name] = strings.Join(members, ",")
	case field.IsList():
		items := []any{}
		for i := range value.List().Len() {
			items = append(items, e.value(field, value.List().Get(i)))
		}
		object[name] = items
	default:
		object[name] = e.value(field, value)
	}
}

func (e encoder) value(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	switch field.Kind() {
	case protoreflect.StringKind, protoreflect.BoolKind, protoreflect.Int32Kind:
		return value.Interface()
	case protoreflect.Int64Kind:
		return fmt.Sprint(value.Int())
	case protoreflect.EnumKind:
		return member(field.Enum(), value.Enum())
	case protoreflect.MessageKind:
	default:
		panic(string(field.FullName()) + ": the contract has no fields of this kind")
	}
	switch m := value.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		return m.AsTime().Format(time.RFC3339Nano)
	case *statuspb.Status:
		return map[string]any{"code": "x", "message": m.Message}
	}
	inner := value.Message()
	if only := inner.Descriptor().Fields(); only.Len() == 1 && only.Get(0).IsList() &&
		fieldOption(only.Get(0)).GetPlace() == pb.GraphField_INLINE {
		items, list := []any{}, inner.Get(only.Get(0)).List()
		for i := range list.Len() {
			items = append(items, e.value(only.Get(0), list.Get(i)))
		}
		return items
	}
	return e.object(inner)
}

func valueOption(value protoreflect.EnumValueDescriptor) *pb.GraphValue {
	return proto.GetExtension(value.Options(), pb.E_GraphValue).(*pb.GraphValue)
}

// member returns Graph's name of an enum value.
func member(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	value := enum.Values().ByNumber(number)
	if name := valueOption(value).GetName(); name != "" {
		return name
	}
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return lowerCamel(strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix)))
}

func lowerCamel(name string) string {
	var b strings.Builder
	for i, word := range strings.Split(name, "_") {
		if i > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}
