package contract

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
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

// FieldNames puts the names of request fields into a text of Graph's: `page_size` for the OData option `$top`, and
// `display_name` for the property `displayName`. Words stand by themselves: `displayNames` stays as it is.
func (op *Operation) FieldNames(text string) string {
	isPart := func(c byte) bool {
		return c == '$' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || c == '_' || 'a' <= c && c <= 'z'
	}
	var b strings.Builder
	copied := 0
	for i := 0; i < len(text); {
		if !isPart(text[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && isPart(text[end]) {
			end++
		}
		if name, ok := op.fieldNames[text[i:end]]; ok {
			b.WriteString(text[copied:i])
			b.WriteString(name)
			copied = end
		}
		i = end
	}
	if copied == 0 {
		return text
	}
	b.WriteString(text[copied:])
	return b.String()
}

// fieldNames are the names of a request's fields, at any depth, by the names under which Graph knows them.
func fieldNames(request protoreflect.MessageDescriptor) map[string]string {
	names := make(map[string]string)
	addFieldNames(names, make(map[protoreflect.FullName]bool), request)
	return names
}

func addFieldNames(names map[string]string, seen map[protoreflect.FullName]bool, message protoreflect.MessageDescriptor) {
	if seen[message.FullName()] {
		return
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		option, graphName := graphName(field)
		if _, taken := names[graphName]; !taken && graphName != string(field.Name()) {
			names[graphName] = string(field.Name())
		}
		// Graph's text does not name the parts of a query option.
		if option.GetQuery() == "" && field.Message() != nil && field.Message().ParentFile().Package() == message.ParentFile().Package() {
			addFieldNames(names, seen, field.Message())
		}
	}
}

// graphName is the name under which Graph knows a field of a request: that of an OData option or of a property.
func graphName(field protoreflect.FieldDescriptor) (option *pb.GraphField, name string) {
	option, _ = proto.GetExtension(field.Options(), pb.E_GraphField).(*pb.GraphField)
	switch {
	case option.GetQuery() != "":
		return option, option.GetQuery()
	case field.Name() == "page_size":
		return option, "$top"
	case option.GetName() != "":
		return option, option.GetName()
	}
	return option, field.JSONName()
}

// FieldPaths returns the paths of the request fields that Graph knows by a name, such as `page_size` for `$top` and
// `filter.site_ids` for `siteId`, in the order of the contract.
func (op *Operation) FieldPaths(graphName string) []string { return op.fieldPaths[graphName] }

// addFieldPaths adds the fields of a message, except those in lists: there the name alone leads to no element. The
// parts of a filter are known by the property that they are compared with.
func addFieldPaths(paths map[string][]string, seen map[protoreflect.FullName]bool, message protoreflect.MessageDescriptor, prefix string) {
	if seen[message.FullName()] {
		return
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		path := prefix + string(field.Name())
		_, name := graphName(field)
		paths[name] = append(paths[name], path)
		if own := field.JSONName(); own != name {
			paths[own] = append(paths[own], path)
		}
		if field.Message() != nil && !field.IsList() && field.Message().ParentFile().Package() == message.ParentFile().Package() {
			addFieldPaths(paths, seen, field.Message(), path+".")
		}
	}
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
