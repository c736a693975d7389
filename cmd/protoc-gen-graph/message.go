package main

import (
	"fmt"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// message is a message that is read or written.
type message struct {
	*protogen.Message
	fields []*field
	// graphType is the first type of graph_message.
	graphType string
	// read and write say whether a response or a request body has the message.
	read, write bool
}

func (m *message) field(name protoreflect.Name) *field {
	for _, f := range m.fields {
		if f.Desc.Name() == name {
			return f
		}
	}
	return nil
}

// wrapped is the list of a message that is written as its only field, nil for other messages.
func (m *message) wrapped() *field {
	if len(m.fields) == 1 && m.fields[0].inlineList {
		return m.fields[0]
	}
	return nil
}

// keys are all spellings of all properties of the message, those of inlined messages included.
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

// odataType is the property that names the type of an object.
const odataType = "@odata.type"

// workload is the field that tells the workload, nil when there is none.
func (m *message) workload() *field {
	for _, f := range m.fields {
		if f.kind == kindEnum && f.enum.isWorkload() {
			return f
		}
	}
	return nil
}

// finishes tells whether something is left to do when all properties of the message were read.
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
