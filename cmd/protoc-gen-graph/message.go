package main

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// message is a message that is read or written.
type message struct {
	*protogen.Message
	fields []*field
	// graphType is the first of the types in graph_message, empty without that option.
	graphType string
	// read means that a response contains the message, write that a request body does.
	read, write bool
	// wire means that a list contains the message: the wire path appends its encoding.
	wire bool
}

func (m *message) field(name protoreflect.Name) *field {
	for _, f := range m.fields {
		if f.Desc.Name() == name {
			return f
		}
	}
	return nil
}

// wrapped returns the list of a message that Graph's JSON writes as a bare list, nil for other messages.
func (m *message) wrapped() *field {
	if len(m.fields) == 1 && m.fields[0].inlineList {
		return m.fields[0]
	}
	return nil
}

// keys returns all names of all properties of the message, including those of inlined messages.
func (m *message) keys() []string {
	var keys []string
	for _, f := range m.fields {
		keys = append(keys, f.names()...)
		if f.kind == kindInline {
			keys = append(keys, f.message.keys()...)
		}
	}
	if m.workload() != nil {
		keys = append(keys, odataType)
	}
	return keys
}

const (
	// odataType is the property that names the type of an object.
	odataType = "@odata.type"
	// listProperty is the property of a response that holds its list, nextLink the link to the next page.
	listProperty, nextLink = "value", "@odata.nextLink"
)

// isList reports whether the message is a list in Graph's JSON.
func (m *message) isList() bool { return m.list() != nil }

// list returns the field that holds the elements of a list, nil when the message is none.
func (m *message) list() *field {
	return m.find(func(f *field) bool { return f.kind == kindMessages && f.name == listProperty })
}

// nextLink returns the field for the link to the next page, nil when there is none.
func (m *message) nextLink() *field {
	return m.find(func(f *field) bool { return f.name == nextLink })
}

// find returns the first field of a kind, nil when there is none.
func (m *message) find(is func(*field) bool) *field {
	if i := slices.IndexFunc(m.fields, is); i >= 0 {
		return m.fields[i]
	}
	return nil
}

// workload returns the field for the workload, nil when there is none.
func (m *message) workload() *field {
	for _, f := range m.fields {
		if f.kind == kindEnum && f.enum.isWorkload() {
			return f
		}
	}
	return nil
}

// finishes reports whether the message has a finish method, which runs after its last property.
func (m *message) finishes() bool {
	if m.workload() != nil {
		return true
	}
	for _, f := range m.fields {
		if f.kind == kindInline && !f.variant() && f.message.finishes() {
			return true
		}
	}
	return false
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

// check refuses a message in which two fields have the same property.
func (m *model) check(msg *message) error {
	owner := make(map[string]*field)
	for _, f := range msg.fields {
		keys := f.names()
		for _, key := range keys {
			if other := owner[key]; other != nil && !sharesProperty(f, other) {
				return fmt.Errorf("%s: both %[3]s and %[4]s have the property %[2]q", msg.Desc.FullName(), key, other.Desc.Name(), f.Desc.Name())
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
				return fmt.Errorf("%s: both %[3]s and %[4]s have the property %[2]q", msg.Desc.FullName(), key, other.Desc.Name(), f.Desc.Name())
			} else if other == nil {
				owner[key] = f
			}
		}
	}
	return nil
}

// sharesProperty reports whether two fields may have the same property: the additions and removals of a delta, or an
// error and its details.
func sharesProperty(a, b *field) bool {
	return a.kind == kindRemovedIDs || b.kind == kindRemovedIDs || a.kind == kindDetails || b.kind == kindDetails
}
