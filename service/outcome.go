package service

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// resolveOutcome finds out by one read whether a write whose response was lost was carried out. It fills result and
// returns nil when it was, else it returns the error of the call. began is when the call began.
//
//	the write                 the read shows                                     the write was
//	------------------------  -------------------------------------------------  -------------
//	has outcome_states        one of them (modified since, where that is needed)  carried out
//	has outcome_states        anything else                                      unknown
//	is a DELETE               404 of Graph's own                                 carried out
//	is a DELETE               anything else                                      unknown
//	is any other              (nothing is read)                                  unknown
//
// A 404 without an error code is not Graph's: a gateway that does not find its way sends one too. A 404 proves nothing
// of an action: a replica may not know yet what was just made, and what is gone now may have been there for the action.
//
// It reads once and at once, within what is left of the deadline. A later read would have to come minutes later to find
// a policy that is no longer updating, and responses get lost while Graph is in trouble: the more calls wait then, the
// fewer others get in. The error names the rpc to look with, and the caller can look for as long as it likes.
func (c *core) resolveOutcome(ctx context.Context, op *contract.Operation, message protoreflect.Message, write *graph.Request, result proto.Message, began time.Time, failed *apierror.GraphError) error {
	isDelete := write.Method == http.MethodDelete
	if op.Safe || !failed.Err.ResponseLost() || op.Outcome == nil && !isDelete {
		return failed
	}
	// The read has the ids of the write, which were checked when it was made.
	target, err := target(op.VerifyWith, verifyMessage{message})
	if err != nil {
		return failed
	}
	received, err := c.graph.Do(ctx, &graph.Request{
		Method: http.MethodGet, Target: target, Template: op.VerifyWith.Spec.GetPath(), Tenant: write.Tenant, UserAssertion: write.UserAssertion,
		RequestID: write.RequestID, Safe: true, Stats: write.Stats, Grow: write.Grow,
	})
	var gone *graph.Error
	switch {
	case isDelete && errors.As(err, &gone) && gone.Gone():
		return nil
	case err != nil || op.Outcome == nil:
		return failed
	}
	proto.Reset(result)
	if c.decode(ctx, op, received, into{message: result}) != nil {
		return failed
	}
	state, proven := op.Outcome.Observe(result.ProtoReflect(), byGraphsClock(began, received.Date))
	if proven {
		return nil
	}
	failed.ObservedStatus = state
	return failed
}

// verifyMessage is the request message of a write, read by the fields of the request that verifies it: both have the
// ids under the same names.
type verifyMessage struct{ protoreflect.Message }

// Get returns the field of the write that has the name of a field of the read.
func (m verifyMessage) Get(field protoreflect.FieldDescriptor) protoreflect.Value {
	return m.Message.Get(m.Descriptor().Fields().ByName(field.Name()))
}

// byGraphsClock is a past moment by Graph's clock, judged by the date of a response that has just come; zero when the
// response has none. Dates have whole seconds, so it may be a second early.
func byGraphsClock(then, date time.Time) time.Time {
	if date.IsZero() {
		return time.Time{}
	}
	return date.Add(-time.Since(then) - time.Second)
}
