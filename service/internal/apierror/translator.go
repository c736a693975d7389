// Package apierror turns every error of a call into a typed google.rpc.Status. It is the only place that maps anything
// to a gRPC code.
//
// The way goes in one direction, with immutable values between the steps:
//
//	error     what a handler returned: a Refusal, a GraphError, the end of a context, or a fault
//	classify  decides: reason, gRPC code, delay, what was changed        -> classification
//	describe  says what it is about: metadata, message, typed details    -> Failure
//	render    packs the details, within the size that every runtime reads -> Status
//
// An error that stands inside a resource of a response that is OK goes the same way; see Translator.Embedded.
package apierror

import (
	"errors"
	"math/rand/v2"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// Translator translates errors. It is safe for concurrent use.
type Translator struct {
	reasons *contract.Reasons
	chance  Chance
	unknown unknownCodes
}

// Chance is what differs between two translations of one error. Tests take the chance out.
type Chance struct {
	// Jitter returns a number from 0 up to 1.
	Jitter func() float64
	// Incident makes the id under which the log has a fault of the server.
	Incident func() string
}

// New returns a translator that picks jitter and incident ids at random.
func New(reasons *contract.Reasons) *Translator {
	return NewWithChance(reasons, Chance{Jitter: rand.Float64, Incident: uuid.NewString})
}

// NewWithChance returns a translator with a chance of the caller's.
func NewWithChance(reasons *contract.Reasons, chance Chance) *Translator {
	return &Translator{reasons: reasons, chance: chance}
}

// Translate translates the error of a call. op and request are nil when the call is of no rpc of this contract, or was
// not read. requestID is the server's id of the call: RequestInfo has it when Graph gave no other.
func (t *Translator) Translate(op *contract.Operation, request protoreflect.Message, requestID string, err error) *Failure {
	if e, ok := errors.AsType[*graph.Error](err); ok && e.Kind == graph.KindResponse && t.hasUnknownCode(e) {
		t.unknown.call.Add(1)
	}
	f := t.describe(op, request, t.classify(op, err))
	if f.requestID == "" {
		f.requestID = requestID
	}
	return f
}

// ChangedNothing reports whether a write that failed was refused before any work was done.
func (t *Translator) ChangedNothing(op *contract.Operation, failed *GraphError) bool {
	c := t.classify(op, failed)
	return !c.outcomeUnknown && c.reason.GetSideEffects() != pb.ErrorSpec_POSSIBLE
}

// Stored is the Status of an error of an item of which only the reason was kept.
func (t *Translator) Stored(op *contract.Operation, reason, id string) *statuspb.Status {
	value, ok := pb.ErrorReason_value[reason]
	if !ok || t.reasons.Of(pb.ErrorReason(value)) == nil {
		value = int32(pb.ErrorReason_UNKNOWN_ERROR)
	}
	return t.describeSubject(&subject{op: op, id: id}, t.of(pb.ErrorReason(value))).Status()
}

// ReasonOf returns the reason of a Status of this package, empty when it has none.
func ReasonOf(s *statuspb.Status) string {
	for _, detail := range s.GetDetails() {
		info := new(errdetails.ErrorInfo)
		if detail.MessageIs(info) && detail.UnmarshalTo(info) == nil {
			return info.GetReason()
		}
	}
	return ""
}
