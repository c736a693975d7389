package service

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// reason is a value of ErrorReason and what the contract says of it.
type reason struct {
	*pb.ErrorSpec
	value pb.ErrorReason
	name  string
}

// delay is the default of RetryInfo, 0 when there is none.
func (r *reason) delay() time.Duration { return r.GetRetryDelay().AsDuration() }

// reasons finds the reason of what Graph said.
type reasons struct {
	byValue  map[pb.ErrorReason]*reason
	byCode   map[string]*reason
	byStatus map[int]*reason
	byField  map[string]pb.ErrorReason
}

const graphDomain = "graph.microsoft.com"

func newReasons() (*reasons, error) {
	all := &reasons{
		byValue:  make(map[pb.ErrorReason]*reason),
		byCode:   make(map[string]*reason),
		byStatus: make(map[int]*reason),
		byField:  make(map[string]pb.ErrorReason),
	}
	values := pb.ErrorReason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		value := values.Get(i)
		spec, _ := proto.GetExtension(value.Options(), pb.E_ErrorSpec).(*pb.ErrorSpec)
		if spec == nil {
			return nil, fmt.Errorf("reason %s has no error_spec", value.Name())
		}
		all.add(value, spec)
	}
	// OAuth's word for it, which Graph also uses as a code.
	all.byCode["insufficient_claims"] = all.byValue[pb.ErrorReason_INSUFFICIENT_CLAIMS]
	return all, nil
}

func (all *reasons) add(value protoreflect.EnumValueDescriptor, spec *pb.ErrorSpec) {
	r := &reason{ErrorSpec: spec, value: pb.ErrorReason(value.Number()), name: string(value.Name())}
	all.byValue[r.value] = r
	for _, code := range spec.GetGraphCode() {
		all.byCode[strings.ToLower(code)] = r
	}
	if status := int(spec.GetHttpStatus()); status != 0 {
		all.byStatus[status] = r
	}
	// An id that cannot stand in a path gets the reason with which Graph refuses ids of its kind.
	if r.isOfInvalidID() {
		field := spec.GetAbout()[0]
		if _, taken := all.byField[field]; !taken {
			all.byField[field] = r.value
		}
	}
}

// ofInvalidID returns the reason for an id of a request field that cannot stand in a path: the one that Graph documents
// for the operation, else that for ids of the kind.
func (all *reasons) ofInvalidID(field string, documented []pb.ErrorReason) pb.ErrorReason {
	for _, value := range documented {
		if r := all.byValue[value]; r.isOfInvalidID() && slices.Contains(r.GetAbout(), field) {
			return value
		}
	}
	if value, ok := all.byField[field]; ok {
		return value
	}
	return pb.ErrorReason_INVALID_RESOURCE_ID
}

// isOfInvalidID tells whether Graph refuses ids with the reason.
func (r *reason) isOfInvalidID() bool {
	return r.GetDomain() == graphDomain && strings.HasPrefix(r.name, "INVALID_") && strings.HasSuffix(r.name, "_ID") &&
		r.GetDetail() == pb.ErrorSpec_BAD_REQUEST && len(r.GetAbout()) > 0
}

// ofStatus returns the reason of an HTTP status that came without a known code.
func (all *reasons) ofStatus(status int) *reason {
	if r := all.byStatus[status]; r != nil {
		return r
	}
	if status >= 400 && status < 500 {
		return all.byValue[pb.ErrorReason_CLIENT_ERROR]
	}
	return all.byValue[pb.ErrorReason_SERVER_ERROR]
}

// generic codes say less than the HTTP status that they come with.
var generic = map[string]bool{
	"unknownerror": true, "generalexception": true, "accessdenied": true, "badrequest": true, "notfound": true,
	"itemnotfound": true, "invalidrequest": true, "internalservererror": true, "serviceunavailable": true,
	"toomanyrequests": true, "unauthenticated": true, "activitylimitreached": true, "servicenotavailable": true,
	"invalidauthenticationtoken": true, "resourcenotfound": true,
	// The code of an item of a delta.
	"invalid": true,
}

// statusRules tells the statuses that keep their meaning whatever code came with them.
func statusRules(status int) bool {
	switch status {
	case 401, 429, 503, 504, 509:
		return true
	}
	return false
}
