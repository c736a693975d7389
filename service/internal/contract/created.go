package contract

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Created is how the response of an operation that creates something names what was created.
type Created struct {
	resource, id protoreflect.FieldDescriptor
	// types are the types that the resource can have, in lower case: the base types, and those of the operation's
	// workload.
	types map[string]bool
}

// newCreated reads it from the response message.
func newCreated(op *Operation) (*Created, bool) {
	resource := resourceOf(op.response)
	if resource == nil {
		return nil, false
	}
	c := &Created{resource: resource, id: resource.Message().Fields().ByName("id"), types: make(map[string]bool)}
	option, _ := proto.GetExtension(resource.Message().Options(), pb.E_GraphMessage).(*pb.GraphMessage)
	for _, name := range option.GetTypes() {
		if w := pb.GraphPathWorkload(name); w == op.Workload || w == pb.Workload_WORKLOAD_UNSPECIFIED {
			c.types[strings.ToLower(name)] = true
		}
	}
	return c, c.id != nil && len(c.types) > 0
}

// HasID reports whether the response says what was created.
func (c *Created) HasID(response protoreflect.Message) bool {
	return response.Has(c.resource) && response.Get(c.resource).Message().Get(c.id).String() != ""
}

// HasType reports whether the body is of a type that the operation creates: the `@odata.type` is absent, a base type,
// or the type of the operation's workload.
func (c *Created) HasType(body []byte) bool {
	var typed struct {
		Type *string `json:"@odata.type"`
	}
	if err := json.Unmarshal(body, &typed); err != nil || typed.Type == nil || *typed.Type == "" {
		// The reader of the response says what is wrong with it, if anything is.
		return true
	}
	name := *typed.Type
	return c.types[strings.ToLower(name[strings.LastIndexAny(name, ".#/")+1:])]
}
