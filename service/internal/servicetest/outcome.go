package servicetest

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Outcome is what a client saw of a call.
type Outcome struct {
	// Status is nil when the call was OK.
	Status  *statuspb.Status
	Header  metadata.MD
	Trailer metadata.MD
}

// Code is the code of the Status.
func (o *Outcome) Code() codes.Code { return codes.Code(o.Status.GetCode()) }

// Reason is the reason of the Status; see ReasonOf.
func (o *Outcome) Reason() string { return ReasonOf(o.Status) }

// Info is the ErrorInfo of the Status, nil when there is none.
func (o *Outcome) Info() *errdetails.ErrorInfo { return InfoOf(o.Status) }

// FieldViolations are those of the BadRequest of the Status.
func (o *Outcome) FieldViolations() []*errdetails.BadRequest_FieldViolation {
	return FieldViolationsOf(o.Status)
}

// Pushback is the trailer that tells a gRPC runtime when to retry: milliseconds, or -1 for never.
func (o *Outcome) Pushback() []string { return o.Trailer.Get("grpc-retry-pushback-ms") }

// ReasonOf is the reason of a Status. It is that of the ErrorInfo, which has to be the first detail; empty when there
// is none.
func ReasonOf(s *statuspb.Status) string {
	if len(s.GetDetails()) == 0 {
		return ""
	}
	info := new(errdetails.ErrorInfo)
	if s.GetDetails()[0].UnmarshalTo(info) != nil {
		return ""
	}
	return info.GetReason()
}

// InfoOf is the ErrorInfo of a Status, nil when there is none.
func InfoOf(s *statuspb.Status) *errdetails.ErrorInfo { return Detail[*errdetails.ErrorInfo](s) }

// FieldViolationsOf are those of the BadRequest of a Status.
func FieldViolationsOf(s *statuspb.Status) []*errdetails.BadRequest_FieldViolation {
	return Detail[*errdetails.BadRequest](s).GetFieldViolations()
}

// Detail returns the last detail of a type, nil when there is none.
func Detail[T proto.Message](s *statuspb.Status) (found T) {
	for _, d := range s.GetDetails() {
		if d.MessageIs(found) {
			message, err := d.UnmarshalNew()
			if err == nil {
				found, _ = message.(T)
			}
		}
	}
	return found
}
