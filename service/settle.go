package service

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// settlement is how a read tells of a write whose answer was lost whether it was carried out. Creates and updates have
// none: nothing tells whose a new thing is.
type settlement struct {
	// done tells by the response that the read was put into. began is when the call began, by Graph's clock.
	done func(response proto.Message, began time.Time) bool
	// found is the status that the read showed.
	found func(response proto.Message) string
}

// settlements are by rpc. Each reads the resource that the action is on.
//
//	write               the read shows                                 so it was
//	------------------  ---------------------------------------------  ---------
//	activate session    any status past draft                          done
//	activate policy     active, modified since the call                done
//	deactivate policy   inactive, modified since the call              done
//	any of them         anything else                                  unknown
//	any DELETE          404 of Graph's own                             done
//	any DELETE          anything else                                  unknown
//
// That a session is still a draft proves nothing: Graph may not have got round to the request yet. Nor does a policy
// that is updating: so it is also when somebody else turns it off, or changes its units. Nor does 404: a replica may not
// know yet what was just made, and what is gone now may have been there for the action. A 404 without an error code is
// not Graph's: a gateway that does not find its way says so too.
var settlements = map[string]settlement{
	"RestoreSessionService/ActivateRestoreSession": {
		done: func(response proto.Message, _ time.Time) bool {
			switch restoreSessionOf(response).GetStatus() {
			case pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_ACTIVATING,
				pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_ACTIVE,
				pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED,
				pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED_WITH_ERROR,
				pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_FAILED:
				return true
			}
			return false
		},
		found: func(response proto.Message) string { return restoreSessionOf(response).GetStatus().String() },
	},
	"ProtectionPolicyService/ActivateProtectionPolicy":   policySettlement(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE),
	"ProtectionPolicyService/DeactivateProtectionPolicy": policySettlement(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_INACTIVE),
}

func restoreSessionOf(response proto.Message) *pb.RestoreSession {
	activated, _ := response.(*pb.ActivateRestoreSessionResponse)
	return activated.GetRestoreSession()
}

func policyOf(response proto.Message) *pb.ProtectionPolicy {
	r, ok := response.(interface {
		GetProtectionPolicy() *pb.ProtectionPolicy
	})
	if !ok {
		return nil
	}
	return r.GetProtectionPolicy()
}

// policySettlement is that of an action which ends in the given status. A policy that was in it before the call shows by
// the time of its last change that it was not this call.
func policySettlement(end pb.ProtectionPolicyStatus) settlement {
	return settlement{
		done: func(response proto.Message, began time.Time) bool {
			policy := policyOf(response)
			return policy.GetStatus() == end && !began.IsZero() && !policy.GetLastModifiedDateTime().AsTime().Before(began)
		},
		found: func(response proto.Message) string { return policyOf(response).GetStatus().String() },
	}
}

// settle finds out by a read, within what is left of the deadline, whether a write whose answer was lost was carried
// out. It fills result, or returns the error of the call. began is when the call began.
//
// It reads once and at once. Another look would have to come minutes later to find a policy that is no longer updating,
// and it is when Graph is in trouble that answers get lost: the more calls wait then, the fewer of the others get in. The
// error names the rpc to look with, and the caller can look for as long as it likes.
func (c *core) settle(ctx context.Context, op *operation, call *graph.Request, result proto.Message, began time.Time, failed *failedCall) error {
	if op.safe || !failed.graph.ResponseLost() {
		return failed
	}
	how, known := settlements[op.name]
	target := call.Target
	switch {
	case known:
		// The resource is the path without the action.
		target = target[:strings.LastIndexByte(target, '/')]
	case call.Method != http.MethodDelete:
		return failed
	}
	read := &graph.Request{
		Method: http.MethodGet, Target: target, Tenant: call.Tenant, UserAssertion: call.UserAssertion,
		RequestID: call.RequestID, Safe: true,
	}
	received, err := c.graph.Do(ctx, read)
	var gone *graph.Error
	switch {
	case !known && errors.As(err, &gone) && gone.Gone():
		return nil
	case err != nil || !known:
		return failed
	}
	proto.Reset(result)
	if c.decode(op, received, result) != nil {
		return failed
	}
	if how.done(result, byGraphsClock(began, received.Date)) {
		return nil
	}
	failed.found = how.found(result)
	return failed
}

// byGraphsClock is a moment of the past as Graph's clock had it, going by the date of an answer that has just come;
// zero when the answer has none. Dates have whole seconds, so it may be a second early.
func byGraphsClock(then, date time.Time) time.Time {
	if date.IsZero() {
		return time.Time{}
	}
	return date.Add(-time.Since(then) - time.Second)
}
