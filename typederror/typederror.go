// Package typederror reads the errors of this server in clients: why a call failed, whether and when it can be
// repeated, which field is wrong, and whether a write may have been done.
//
//	_, err := policies.CreateExchangeProtectionPolicy(ctx, request)
//	switch e := typederror.Of(err); {
//	case e.Reason == pb.ErrorReason_INVALID_DISPLAY_NAME.String():
//		fmt.Println("correct", e.Fields)
//	case e.OutcomeUnknown:
//		fmt.Println("look with", e.Metadata["verifyWith"])
//	case e.CanRepeat:
//		time.Sleep(e.RetryDelay)
//	}
//
// It follows the contract: what a release has of it, later releases of the same major version have too.
package typederror

import (
	"time"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is the content of a Status: of a call that failed, or of a field in a response.
type Error struct {
	// Code is the gRPC code, such as [codes.NotFound].
	Code codes.Code
	// Message is for people. Programs do not read it.
	Message string
	// Reason is the name of an ErrorReason, such as "POLICY_NOT_FOUND". It is empty for an error that the gRPC runtime of
	// the client made. A reason that this version does not know is treated by its Code.
	Reason string
	// Domain is that of the reason: "graph.microsoft.com", or "m365.backupstorage" for reasons of the server's own.
	Domain string
	// Metadata is that of the ErrorInfo; proto/ERRORS.md lists the keys.
	Metadata map[string]string
	// CanRepeat reports whether the same request can be sent again, after RetryDelay.
	CanRepeat bool
	// RetryDelay is the time to wait. It is 0 without CanRepeat.
	RetryDelay time.Duration
	// Fields are the fields of the request that are wrong, as paths such as "display_name".
	Fields []string
	// ResourceType and ResourceName say which resource the error is about. They are empty for most errors.
	ResourceType, ResourceName string
	// OutcomeUnknown reports that the call may have been done, if it was a write. Look before you repeat it: the metadata
	// verifyWith names the rpc. It is set without a Reason too: no server says then what was done.
	OutcomeUnknown bool
}

// Of reads the error of a call. An error that is not of gRPC has [codes.Unknown], and nil has [codes.OK].
func Of(err error) Error { return read(status.Convert(err)) }

// OfStatus reads a Status in a field of a response, such as the error of a protection unit. nil is [codes.OK].
func OfStatus(embedded *rpcstatus.Status) Error { return read(status.FromProto(embedded)) }

func read(s *status.Status) Error {
	e := Error{Code: s.Code(), Message: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Domain, e.Metadata = d.GetReason(), d.GetDomain(), d.GetMetadata()
		case *errdetails.RetryInfo:
			e.CanRepeat, e.RetryDelay = true, d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range d.GetFieldViolations() {
				e.Fields = append(e.Fields, violation.GetField())
			}
		case *errdetails.ResourceInfo:
			e.ResourceType, e.ResourceName = d.GetResourceType(), d.GetResourceName()
		}
	}
	e.OutcomeUnknown = e.Metadata["outcome"] == "unknown" || e.Reason == "" && e.Code != codes.OK
	return e
}
