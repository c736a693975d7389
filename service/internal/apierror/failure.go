package apierror

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/m365backup/backupstorage/service/internal/contract"
)

// Failure is a failed call, or an error embedded in a resource, as it is told. It is immutable.
type Failure struct {
	reason     *contract.Reason
	code       codes.Code
	message    string
	metadata   map[string]string
	retryDelay time.Duration
	// noSideEffects is set when the call is sure to have changed nothing, idempotent when it may be repeated.
	noSideEffects, idempotent bool
	violations                violations
	// detail is the typed detail of the reason, nil for none; that of BAD_REQUEST is in violations.
	detail proto.Message
	// requestID is Graph's id of the request, else the server's.
	requestID string
	// docs is Microsoft's page for the operation, empty for none.
	docs string
	// unknownCode is set when Graph's response had a code that the contract does not know.
	unknownCode bool
	// host is "graph" or "authority" when the connection to it failed. tokenRequestID is the id of the call whose token
	// request failed. Both are for the log only.
	host, tokenRequestID string
}

// violations are the field violations of a BadRequest.
type violations struct {
	list []*errdetails.BadRequest_FieldViolation
	// leftOut is how many there are besides. noRoom is set when they were left out because a Status has no room for all.
	leftOut int
	noRoom  bool
	// unknown is how many separate errors have a code that the contract does not know.
	unknown int
}

// Code is the gRPC code.
func (f *Failure) Code() codes.Code { return f.code }

// Reason is ErrorInfo.reason.
func (f *Failure) Reason() string { return f.reason.Name }

// Fault says who has to act before such a call can succeed: `caller`, `tenant`, `graph` or `server`.
func (f *Failure) Fault() string { return f.reason.Fault() }

// Metadata returns a value of ErrorInfo.metadata, empty when there is none.
func (f *Failure) Metadata(key string) string { return f.metadata[key] }

// Host is `graph` or `authority` when the connection to it failed, else empty.
func (f *Failure) Host() string { return f.host }

// TokenRequestID is the id of the call whose token request failed, which may be an earlier one; empty when none failed.
func (f *Failure) TokenRequestID() string { return f.tokenRequestID }

// RetryDelay is the delay of RetryInfo, 0 when the Status has none.
func (f *Failure) RetryDelay() time.Duration { return f.retryDelay }

// Repeatable reports whether a runtime can repeat the call and change nothing twice.
func (f *Failure) Repeatable() bool { return f.noSideEffects || f.idempotent }
