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
	"math/rand/v2"

	"github.com/google/uuid"
	"google.golang.org/protobuf/reflect/protoreflect"

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
	f := t.describe(op, request, t.classify(op, err))
	if f.requestID == "" {
		f.requestID = requestID
	}
	return f
}
