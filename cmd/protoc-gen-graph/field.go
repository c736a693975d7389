package main

import (
	"fmt"

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
	kindInline                 // message whose properties are among those of the message around it
	kindPresence               // bool, true when the property is there
	kindRemovedIDs             // ids to remove, after the items of a delta
)

// field is a field of a message, and its form in Graph's JSON.
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
	// path is the Go path from the message to the wrapper of the field, such as `Mailboxes.`, empty without a wrapper.
	path string
}

// names returns all names under which the field is read.
func (f *field) names() []string {
	switch {
	case f.kind == kindInline:
		return f.aliases
	case f.enum != nil && f.enum.isWorkload():
		return nil
	}
	return append([]string{f.name}, f.aliases...)
}

// variant reports whether the field is a case of a oneof. The oneof of an optional field does not count.
func (f *field) variant() bool { return f.Oneof != nil && !f.Oneof.Desc.IsSynthetic() }

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

// target sets the kind of a field by its type.
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
