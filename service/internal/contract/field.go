package contract

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Field returns the first of several request fields that the operation has, empty when it has none.
func (op *Operation) Field(names []string) string {
	for _, name := range names {
		if op.Request.Fields().ByName(protoreflect.Name(name)) != nil {
			return name
		}
	}
	return ""
}

// Text returns the value of a text field of a request, empty when the request has no such field.
func (op *Operation) Text(request protoreflect.Message, field string) string {
	descriptor := op.Request.Fields().ByName(protoreflect.Name(field))
	if request == nil || descriptor == nil || descriptor.Kind() != protoreflect.StringKind || descriptor.IsList() {
		return ""
	}
	return request.Get(descriptor).String()
}

// resourceOf returns the field of a response that holds its one resource, nil when there is none.
func resourceOf(response protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	for i := range response.Fields().Len() {
		if field := response.Fields().Get(i); field.Message() != nil && !field.IsList() && !field.IsMap() {
			return field
		}
	}
	return nil
}

// embedsError reports whether what a response holds is one resource that can have an error of its own.
func embedsError(response protoreflect.MessageDescriptor) bool {
	for i := range response.Fields().Len() {
		field := response.Fields().Get(i)
		if field.Message() == nil || field.IsList() || field.IsMap() {
			continue
		}
		if e := field.Message().Fields().ByName("error"); e != nil && e.Message() != nil && e.Message().FullName() == "google.rpc.Status" {
			return true
		}
	}
	return false
}

// removes reports whether a request has a list of ids to remove from a collection.
func removes(request protoreflect.MessageDescriptor) bool {
	for i := range request.Fields().Len() {
		field := request.Fields().Get(i)
		if field.IsList() && field.Kind() == protoreflect.StringKind && strings.HasPrefix(string(field.Name()), "remove_") {
			return true
		}
	}
	return false
}
