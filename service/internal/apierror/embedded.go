package apierror

import (
	"encoding/json"
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// Embedded translates an error that stands inside a resource of a response that is itself OK, and the separate errors
// of the resources that a bulk job names.
func (t *Translator) Embedded(op *contract.Operation, item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
	e := graph.ErrorBody(item.JSON)
	if t.hasUnknownCode(e) {
		t.unknown.resource.Add(1)
	}
	failure := t.embedded(op, e, item, e.Details)
	failed := make([]*pb.FailedResource, 0, len(e.Details))
	for _, d := range e.Details {
		// Which operation it was, and its page, stand in the Status around.
		one := t.embedded(nil, &graph.Error{Codes: []string{d.Code}, Message: d.Message, Target: d.Target}, pb.GraphItemError{ID: d.Target}, nil)
		failed = append(failed, &pb.FailedResource{Target: d.Target, Error: one.Status()})
	}
	return failure.Status(), failed
}

// embedded translates one embedded error. It has no HTTP status to fall back to: an unknown code is an unknown error.
func (t *Translator) embedded(op *contract.Operation, e *graph.Error, item pb.GraphItemError, separate []graph.Detail) *Failure {
	r := t.byCode(e, true)
	for i := 0; r == nil && i < len(e.Details); i++ {
		// Errors of jobs have been seen that have no code of their own: only their details say what was wrong.
		r = t.reasons.OfCode(e.Details[i].Code)
	}
	if r == nil {
		r = t.reasons.Of(pb.ErrorReason_UNKNOWN_ERROR)
	}
	if r.Value == pb.ErrorReason_INVALID_ITEM && op != nil && op.MissingItem != nil && item.Property != "error" && isRemoval(item.JSON) {
		// The item is not in the collection that it was to be removed from.
		r = op.MissingItem
	}
	c := t.of(r.Value)
	c.response, c.decidedByCode = e, true
	s := subject{op: op, id: item.ID, separate: separate}
	if !isServiceFault(c.code) {
		s.text = scrub(e.Message)
	}
	return t.describeSubject(&s, c)
}

// isRemoval reports whether the exception of an item in an update is that of an item to remove.
func isRemoval(exception []byte) bool {
	var e struct {
		FailedOperation string `json:"failedOperation"`
	}
	return json.Unmarshal(exception, &e) == nil && strings.EqualFold(e.FailedOperation, "remove")
}
