package contract

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Outcome says which states of a resource prove that a lost write was carried out.
//
// A state that Graph may show before it got round to the request proves nothing, such as a draft session. Nor does one
// that another caller can bring about meanwhile, such as a policy that is updating.
type Outcome struct {
	needsChange bool

	resource, status, modified protoreflect.FieldDescriptor
	states                     map[protoreflect.EnumNumber]bool
}

// Observe returns the state of the resource in a response of the operation, and whether it proves that the write was
// carried out. sent is when the write was sent, by Graph's clock; the zero time proves nothing where a change is
// needed.
func (o *Outcome) Observe(response protoreflect.Message, sent time.Time) (state string, proven bool) {
	resource := response.Get(o.resource).Message()
	number := resource.Get(o.status).Enum()
	if value := o.status.Enum().Values().ByNumber(number); value != nil {
		state = string(value.Name())
	}
	switch {
	case !o.states[number]:
		return state, false
	case !o.needsChange:
		return state, true
	}
	modified, ok := resource.Get(o.modified).Message().Interface().(*timestamppb.Timestamp)
	return state, ok && !sent.IsZero() && !modified.AsTime().Before(sent)
}
