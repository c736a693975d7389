package typederror_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/m365backup/backupstorage/typederror"
)

func TestOfReadsAllDetails(t *testing.T) {
	metadata := map[string]string{"outcome": "unknown", "verifyWith": "ProtectionPolicyService/ListProtectionPolicies"}
	s, err := status.New(codes.Unavailable, "for people").WithDetails(
		&errdetails.ErrorInfo{Reason: "POLICY_SAVE_FAILED", Domain: "graph.microsoft.com", Metadata: metadata},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(2500 * time.Millisecond)},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "display_name"}, {Field: "units[1].id"}}},
		&errdetails.ResourceInfo{ResourceType: "protectionPolicyBase", ResourceName: "some-id"},
		&errdetails.Help{},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := typederror.Error{
		Code: codes.Unavailable, Message: "for people", Reason: "POLICY_SAVE_FAILED", Domain: "graph.microsoft.com",
		Metadata: metadata, CanRepeat: true, RetryDelay: 2500 * time.Millisecond,
		Fields: []string{"display_name", "units[1].id"}, ResourceType: "protectionPolicyBase", ResourceName: "some-id",
		OutcomeUnknown: true,
	}
	if got := typederror.Of(s.Err()); !reflect.DeepEqual(got, want) {
		t.Errorf("Of: %+v, want %+v", got, want)
	}
	if got := typederror.OfStatus(s.Proto()); !reflect.DeepEqual(got, want) {
		t.Errorf("OfStatus: %+v, want %+v", got, want)
	}
}

func TestOfErrorsWithoutDetails(t *testing.T) {
	for _, c := range []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{errors.New("not of gRPC"), codes.Unknown},
		{status.Error(codes.Unavailable, "nothing listens"), codes.Unavailable},
		{context.DeadlineExceeded, codes.Unknown},
		{status.New(codes.Internal, "").Err(), codes.Internal},
	} {
		e := typederror.Of(c.err)
		if e.Code != c.want || e.Reason != "" || e.CanRepeat || e.Fields != nil {
			t.Errorf("Of(%v) is %+v, want the code %v alone", c.err, e, c.want)
		}
		// No server says that nothing was done.
		if e.OutcomeUnknown != (c.err != nil) {
			t.Errorf("Of(%v): OutcomeUnknown is %v", c.err, e.OutcomeUnknown)
		}
	}
	if e := typederror.OfStatus(nil); e.Code != codes.OK {
		t.Errorf("OfStatus(nil) has %v, want OK", e.Code)
	}
	// A delay of zero is one: the request can be repeated at once.
	s, err := status.New(codes.Aborted, "").WithDetails(&errdetails.RetryInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if e := typederror.Of(s.Err()); !e.CanRepeat || e.RetryDelay != 0 {
		t.Errorf("a RetryInfo without a delay is %+v, want that it can be repeated at once", e)
	}
}
