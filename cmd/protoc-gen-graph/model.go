package main

import (
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// kind is how a field is read and written.
type kind int

const (
	kindText       kind = iota // string
	kindBool                   // bool
	kindInt32                  // int32
	kindInt64                  // int64
	kindInstant                // google.protobuf.Timestamp
	kindStatus                 // google.rpc.Status, from an error object
	kindDetails                // list of failed resources, from the details of the same error object
	kindEnum                   // enum
	kindFlags                  // list of an enum, written as one string
	kindTexts                  // list of strings
	kindMessage                // message
	kindMessages               // list of messages
	kindWrapper                // message around one list, written as the list
	kindInline                 // message whose properties stand among those of the message around it
	kindPresence               // bool, true when the property is there
	kindRemovedIDs             // ids to remove, behind the items of a delta
)

// field is a field of a message and what it is in Graph's JSON.
type field struct {
	*protogen.Field
	kind    kind
	name    string
	aliases []string
	// implies is the Go name of the workload that the presence of the field proves.
	implies string
	message *message
	enum    *enum
	// inlineList marks the list of a wrapper.
	inlineList bool
	// path leads from the message to the wrapper that the field is in, with a dot at its end; mostly empty.
	path string
}

// names are all spellings under which the field is read.
func (f *field) names() []string {
	switch {
	case f.kind == kindInline:
		return f.aliases
	case f.enum != nil && f.enum.Desc.Name() == "Workload":
		return nil
	}
	return append([]string{f.name}, f.aliases...)
}

// variant tells whether the field is one of a oneof, other than that of an optional field.
func (f *field) variant() bool { return f.Oneof != nil && !f.Oneof.Desc.IsSynthetic() }

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
		if f.kind == kindEnum && f.enum.Desc.Name() == "Workload" {
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
