package apierror

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// positions finds a text in the lists of a request. Graph names what an error is about by its id, address or URL; the
// caller looks for a field and an index.
type positions map[string]position

// position is an element of a list, and the field in it when the elements are messages.
type position struct {
	list, field protoreflect.FieldDescriptor
	index       int
}

// positionsIn looks at all texts in the lists of a request, in the order of the contract. The first of equal texts
// counts. Letters of either case are equal.
func positionsIn(request protoreflect.Message) positions {
	all := make(positions)
	if request == nil {
		return all
	}
	note := func(value protoreflect.Value, at position) {
		key := strings.ToLower(value.String())
		if _, taken := all[key]; key != "" && !taken {
			all[key] = at
		}
	}
	fields := request.Descriptor().Fields()
	for n := range fields.Len() {
		list := fields.Get(n)
		if !list.IsList() {
			continue
		}
		texts := textFields(list.Message())
		values := request.Get(list).List()
		for i := range values.Len() {
			if list.Kind() == protoreflect.StringKind {
				note(values.Get(i), position{list: list, index: i})
			}
			for _, field := range texts {
				note(values.Get(i).Message().Get(field), position{list: list, index: i, field: field})
			}
		}
	}
	return all
}

// textFields are the text fields of a message; a nil message has none.
func textFields(message protoreflect.MessageDescriptor) (fields []protoreflect.FieldDescriptor) {
	if message == nil {
		return nil
	}
	for i := range message.Fields().Len() {
		if field := message.Fields().Get(i); field.Kind() == protoreflect.StringKind && !field.IsList() {
			fields = append(fields, field)
		}
	}
	return fields
}

// path returns the field path of a text, such as `mailbox_protection_units[3].directory_object_id`; empty when the
// request does not have it.
func (p positions) path(text string) string {
	at, ok := p[strings.ToLower(text)]
	switch {
	case !ok:
		return ""
	case at.field == nil:
		return fmt.Sprintf("%s[%d]", at.list.Name(), at.index)
	}
	return fmt.Sprintf("%s[%d].%s", at.list.Name(), at.index, at.field.Name())
}
