package service

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// places finds a value in the lists of a request: Graph names the thing that an error is about by its id, its address or
// its URL, whoever made the request looks for the field.
type places map[string]place

// place is an element of a list, and the field in it when the elements are messages.
type place struct {
	list, field protoreflect.FieldDescriptor
	index       int
}

// placesIn looks at all texts in the lists of a request, in the order of the contract. Of equal ones the first counts.
func placesIn(request protoreflect.Message) places {
	found := make(places)
	if request == nil {
		return found
	}
	note := func(value protoreflect.Value, at place) {
		key := strings.ToLower(value.String())
		if _, taken := found[key]; key != "" && !taken {
			found[key] = at
		}
	}
	fields := request.Descriptor().Fields()
	for n := range fields.Len() {
		list := fields.Get(n)
		if !list.IsList() {
			continue
		}
		texts := textsOf(list.Message())
		values := request.Get(list).List()
		for i := range values.Len() {
			if list.Kind() == protoreflect.StringKind {
				note(values.Get(i), place{list: list, index: i})
			}
			for _, field := range texts {
				note(values.Get(i).Message().Get(field), place{list: list, index: i, field: field})
			}
		}
	}
	return found
}

// textsOf are the texts among the fields of a message; nil has none.
func textsOf(message protoreflect.MessageDescriptor) (texts []protoreflect.FieldDescriptor) {
	if message == nil {
		return nil
	}
	for i := range message.Fields().Len() {
		if field := message.Fields().Get(i); field.Kind() == protoreflect.StringKind && !field.IsList() {
			texts = append(texts, field)
		}
	}
	return texts
}

// of returns the field path of a value, empty when it is not in the request: `mailbox_protection_units[3].directory_object_id`.
func (p places) of(value string) string {
	at, ok := p[strings.ToLower(value)]
	switch {
	case !ok:
		return ""
	case at.field == nil:
		return fmt.Sprintf("%s[%d]", at.list.Name(), at.index)
	}
	return fmt.Sprintf("%s[%d].%s", at.list.Name(), at.index, at.field.Name())
}
