package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// enum is an enum that is read or written.
type enum struct {
	*protogen.Enum
	// members are Graph's names of the values from the second on: what stands for zero is not set, and what stands
	// for unknown is whatever else Graph sends.
	members map[*protogen.EnumValue]string
	unknown *protogen.EnumValue
}

// model is the part of the contract that has codecs.
type model struct {
	options  *options
	messages map[protoreflect.FullName]*message
	enums    map[protoreflect.FullName]*enum
	// prefixes are the type prefixes of each workload, longest first.
	prefixes []prefix
	// responses and bodies are the messages that have a codec of their own, in the order of the rpcs.
	responses, bodies []*message
}

type prefix struct {
	text string
	// value is the Go name of the workload.
	value protogen.GoIdent
}

func newModel(plugin *protogen.Plugin, files []*protogen.File) (*model, error) {
	options, err := newOptions(plugin)
	if err != nil {
		return nil, err
	}
	m := &model{
		options:  options,
		messages: make(map[protoreflect.FullName]*message),
		enums:    make(map[protoreflect.FullName]*enum),
	}
	if err := m.readPrefixes(files); err != nil {
		return nil, err
	}
	for _, file := range files {
		for _, service := range file.Services {
			for _, method := range service.Methods {
				if err := m.addMethod(method); err != nil {
					return nil, err
				}
			}
		}
	}
	return m, nil
}

func (m *model) readPrefixes(files []*protogen.File) error {
	for _, file := range files {
		for _, e := range file.Enums {
			if e.Desc.Name() != "Workload" {
				continue
			}
			for _, value := range e.Values {
				option, err := m.options.find(value.Desc, "graph_value")
				if err != nil {
					return err
				}
				for _, text := range texts(option, "type_prefixes") {
					m.prefixes = append(m.prefixes, prefix{text, value.GoIdent})
				}
			}
		}
	}
	slices.SortFunc(m.prefixes, func(a, b prefix) int { return len(b.text) - len(a.text) })
	return nil
}

// workloadOf returns the Go name of the workload whose prefix the name begins with.
func (m *model) workloadOf(name string) (string, error) {
	for _, p := range m.prefixes {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(p.text)) {
			return p.value.GoName, nil
		}
	}
	return "", fmt.Errorf("%q is no type prefix of a workload", name)
}

func (m *model) addMethod(method *protogen.Method) error {
	call, err := m.options.find(method.Desc, "graph_call")
	if err != nil {
		return err
	}
	if call == nil {
		return fmt.Errorf("%s: graph_call is missing", method.Desc.FullName())
	}
	if len(method.Output.Fields) > 0 {
		response, err := m.message(method.Output)
		if err != nil {
			return err
		}
		markRead(response)
		m.responses = append(m.responses, response)
	}
	verb := text(call, "method")
	if verb == "GET" || verb == "DELETE" {
		return nil
	}
	request, err := m.message(method.Input)
	if err != nil {
		return err
	}
	path := text(call, "path")
	request.fields = slices.DeleteFunc(request.fields, func(f *field) bool {
		name := string(f.Desc.Name())
		return name == "page_size" || name == "page_token" || strings.Contains(path, "{"+name+"}")
	})
	// A creation always has a body, if only `{}`; an action without fields has none.
	if len(request.fields) > 0 || strings.HasPrefix(string(method.Desc.Name()), "Create") {
		markWrite(request)
		m.bodies = append(m.bodies, request)
	}
	return nil
}

func markRead(m *message) {
	if m.read {
		return
	}
	m.read = true
	for _, f := range m.fields {
		if f.message != nil {
			markRead(f.message)
		}
	}
}

func markWrite(m *message) {
	if m.write {
		return
	}
	m.write = true
	for _, f := range m.fields {
		if f.message != nil {
			markWrite(f.message)
		}
	}
}

func (m *model) message(source *protogen.Message) (*message, error) {
	if known := m.messages[source.Desc.FullName()]; known != nil {
		return known, nil
	}
	result := &message{Message: source}
	m.messages[source.Desc.FullName()] = result
	option, err := m.options.find(source.Desc, "graph_message")
	if err != nil {
		return nil, err
	}
	if types := texts(option, "types"); len(types) > 0 {
		result.graphType = types[0]
	}
	for _, f := range source.Fields {
		built, err := m.field(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Desc.FullName(), err)
		}
		result.fields = append(result.fields, built)
	}
	return result, m.check(result)
}

// check refuses what a reader could not tell apart.
func (m *model) check(msg *message) error {
	owner := make(map[string]*field)
	for _, f := range msg.fields {
		keys := f.names()
		for _, key := range keys {
			if other := owner[key]; other != nil && !sharesProperty(f, other) {
				return fmt.Errorf("%s: property %q is of both %s and %s", msg.Desc.FullName(), key, other.Desc.Name(), f.Desc.Name())
			}
			owner[key] = f
		}
	}
	for _, f := range msg.fields {
		if f.kind != kindInline {
			continue
		}
		for _, key := range f.message.keys() {
			if other := owner[key]; other != nil && other.kind == kindInline && other != f && key != odataType {
				return fmt.Errorf("%s: property %q is of both %s and %s", msg.Desc.FullName(), key, other.Desc.Name(), f.Desc.Name())
			} else if other == nil {
				owner[key] = f
			}
		}
	}
	return nil
}

// sharesProperty tells whether two fields may stand for one property: the two sides of a delta, and an error with its
// details.
func sharesProperty(a, b *field) bool {
	return a.kind == kindRemovedIDs || b.kind == kindRemovedIDs || a.kind == kindDetails || b.kind == kindDetails
}

func (m *model) field(source *protogen.Field) (*field, error) {
	option, err := m.options.find(source.Desc, "graph_field")
	if err != nil {
		return nil, err
	}
	f := &field{Field: source, name: text(option, "name"), aliases: texts(option, "aliases")}
	if f.name == "" {
		f.name = camel(string(source.Desc.Name()))
	}
	if implies := text(option, "implies"); implies != "" {
		if f.implies, err = m.workloadOf(implies); err != nil {
			return nil, err
		}
	}
	if err := m.target(f); err != nil {
		return nil, err
	}
	switch place := constant(option, "place"); place {
	case "":
	case "INLINE":
		if source.Desc.IsList() {
			f.inlineList = true
		} else if f.kind == kindMessage {
			f.kind = kindInline
		} else {
			return nil, fmt.Errorf("INLINE is for messages and lists")
		}
	case "REMOVED_IDS":
		f.kind = kindRemovedIDs
	case "ERROR_DETAILS":
		f.kind = kindDetails
	case "PRESENCE":
		f.kind = kindPresence
	default:
		return nil, fmt.Errorf("place %s is not known", place)
	}
	return f, nil
}

// target finds the kind of a field from its type.
func (m *model) target(f *field) error {
	list := f.Desc.IsList()
	switch f.Desc.Kind() {
	case protoreflect.StringKind:
		f.kind = kindText
		if list {
			f.kind = kindTexts
		}
		return nil
	case protoreflect.EnumKind:
		f.kind = kindEnum
		if list {
			f.kind = kindFlags
		}
		var err error
		f.enum, err = m.enum(f.Enum)
		return err
	case protoreflect.MessageKind:
		return m.messageTarget(f)
	}
	if list {
		return fmt.Errorf("lists of %s have no codec", f.Desc.Kind())
	}
	switch f.Desc.Kind() {
	case protoreflect.BoolKind:
		f.kind = kindBool
	case protoreflect.Int32Kind:
		f.kind = kindInt32
	case protoreflect.Int64Kind:
		f.kind = kindInt64
	default:
		return fmt.Errorf("%s has no codec", f.Desc.Kind())
	}
	return nil
}

func (m *model) messageTarget(f *field) error {
	switch f.Message.Desc.FullName() {
	case "google.protobuf.Timestamp":
		f.kind = kindInstant
		return nil
	case "google.rpc.Status":
		f.kind = kindStatus
		return nil
	}
	var err error
	if f.message, err = m.message(f.Message); err != nil {
		return err
	}
	switch {
	case f.Desc.IsList():
		f.kind = kindMessages
	case f.message.wrapped() != nil:
		f.kind = kindWrapper
	default:
		f.kind = kindMessage
	}
	return nil
}

func (m *model) enum(source *protogen.Enum) (*enum, error) {
	if known := m.enums[source.Desc.FullName()]; known != nil {
		return known, nil
	}
	e := &enum{Enum: source, members: make(map[*protogen.EnumValue]string)}
	m.enums[source.Desc.FullName()] = e
	// Values carry the enum's name in front: PROTECTION_POLICY_STATUS_ of ProtectionPolicyStatus.
	first := string(source.Values[0].Desc.Name())
	shared := strings.TrimSuffix(first, "UNSPECIFIED")
	for i, value := range source.Values[1:] {
		if int(value.Desc.Number()) != i+1 {
			return nil, fmt.Errorf("%s: values are numbered in their order", value.Desc.FullName())
		}
		option, err := m.options.find(value.Desc, "graph_value")
		if err != nil {
			return nil, err
		}
		name := text(option, "name")
		if name == "" {
			name = camel(strings.TrimPrefix(string(value.Desc.Name()), shared))
		}
		e.members[value] = name
		if name == "unknownFutureValue" {
			e.unknown = value
		}
	}
	return e, nil
}
