package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"google.golang.org/protobuf/compiler/protogen"
)

// options reads the contract's own options. A plugin gets them as unknown fields. It parses them again with the
// extensions that the files declare, and gets ordinary messages.
type options struct {
	types *protoregistry.Types
}

func newOptions(plugin *protogen.Plugin) (*options, error) {
	o := &options{types: new(protoregistry.Types)}
	for _, file := range plugin.Files {
		for _, extension := range file.Extensions {
			if err := o.types.RegisterExtension(dynamicpb.NewExtensionType(extension.Desc)); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

// find returns the option with the given short name, nil when it is not set.
func (o *options) find(descriptor protoreflect.Descriptor, name string) (protoreflect.Message, error) {
	raw, err := proto.Marshal(descriptor.Options())
	if err != nil {
		return nil, err
	}
	parsed := descriptor.Options().ProtoReflect().New()
	if err := (proto.UnmarshalOptions{Resolver: o.types}).Unmarshal(raw, parsed.Interface()); err != nil {
		return nil, fmt.Errorf("%s: options: %w", descriptor.FullName(), err)
	}
	var found protoreflect.Message
	parsed.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsExtension() && string(field.Name()) == name {
			found = value.Message()
		}
		return found == nil
	})
	return found, nil
}

func text(m protoreflect.Message, field protoreflect.Name) string {
	if m == nil {
		return ""
	}
	return m.Get(m.Descriptor().Fields().ByName(field)).String()
}

func texts(m protoreflect.Message, field protoreflect.Name) []string {
	if m == nil {
		return nil
	}
	list := m.Get(m.Descriptor().Fields().ByName(field)).List()
	values := make([]string, list.Len())
	for i := range values {
		values[i] = list.Get(i).String()
	}
	return values
}

func flag(m protoreflect.Message, field protoreflect.Name) bool {
	return m != nil && m.Get(m.Descriptor().Fields().ByName(field)).Bool()
}

// constant returns the name of an option's enum value, empty when it is not set.
func constant(m protoreflect.Message, field protoreflect.Name) string {
	if m == nil {
		return ""
	}
	descriptor := m.Descriptor().Fields().ByName(field)
	if !m.Has(descriptor) {
		return ""
	}
	value := descriptor.Enum().Values().ByNumber(m.Get(descriptor).Enum())
	if value == nil {
		return ""
	}
	return string(value.Name())
}

// camel turns lower_snake_case or UPPER_SNAKE_CASE into lowerCamelCase.
func camel(name string) string {
	words := strings.Split(strings.ToLower(name), "_")
	for i, word := range words {
		if i > 0 && word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
