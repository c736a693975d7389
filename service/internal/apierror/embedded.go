package apierror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// Embedded translates an error that stands inside a resource of a response that is itself OK, and the separate errors
// of the resources that a bulk job names. unknown gets the error's codes that the contract does
// not know; the caller counts them once the client gets the error.
func (t *Translator) Embedded(op *contract.Operation, item pb.GraphItemError, unknown *UnknownEmbedded) (*statuspb.Status, []*pb.FailedResource) {
	e := graph.ErrorBody(item.JSON)
	failure := t.embedded(op, e, item, e.Details)
	if t.hasUnknownCode(e) {
		unknown.resources++
	}
	unknown.details += failure.violations.unknown
	failed := make([]*pb.FailedResource, 0, len(e.Details))
	for _, d := range e.Details {
		// Which operation it was, and its page, stand in the Status around.
		one := t.embedded(nil, &graph.Error{Codes: []string{d.Code}, Message: d.Message, Target: d.Target}, pb.GraphItemError{ID: visible(d.Target)}, nil)
		failed = append(failed, &pb.FailedResource{Target: d.Target, Error: one.Status()})
	}
	return failure.Status(), failed
}

// UnknownEmbedded are the embedded errors of a response, and the separate errors in them, with a code that the contract
// does not know.
type UnknownEmbedded struct{ resources, details int }

// CountEmbedded counts the codes of a response in UnknownCodes.
func (t *Translator) CountEmbedded(unknown UnknownEmbedded) {
	t.unknown.resource.Add(uint64(unknown.resources))
	t.unknown.detail.Add(uint64(unknown.details))
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
	var change itemChange
	if item.Property != "error" {
		change = readItemChange(item.JSON)
	}
	if r.Value == pb.ErrorReason_INVALID_ITEM && op != nil && op.MissingItem != nil && strings.EqualFold(change.operation, "remove") {
		// The item is not in the collection that it was to be removed from.
		r = op.MissingItem
	}
	c := t.of(r.Value)
	c.response, c.decidedByCode = e, true
	s := subject{op: op, id: item.ID, separate: separate}
	if !isServiceFault(c.code) {
		s.text = scrub(e.Message)
	}
	f := t.describeSubject(&s, c)
	for key, value := range map[string]string{"failedOperation": change.operation, "responseCode": change.responseCode} {
		if value != "" {
			f.metadata[key] = value
		}
	}
	return f
}

// itemChange is what the exception of an item in an update says besides its error; each is empty when it does not.
type itemChange struct {
	// operation is what failed, such as `add` or `remove`. responseCode is the HTTP status that a request for this item
	// alone would have got.
	operation, responseCode string
}

// readItemChange reads the exception of an item. A value of another form says nothing.
func readItemChange(exception []byte) itemChange {
	var e struct {
		FailedOperation any `json:"failedOperation"`
		ResponseCode    any `json:"responseCode"`
	}
	decoder := json.NewDecoder(bytes.NewReader(exception))
	decoder.UseNumber()
	if decoder.Decode(&e) != nil {
		return itemChange{}
	}
	var change itemChange
	if operation, ok := e.FailedOperation.(string); ok && operationName.MatchString(operation) {
		change.operation = operation
	}
	if code := fmt.Sprint(e.ResponseCode); httpStatus.MatchString(code) {
		change.responseCode = code
	}
	return change
}

// operationName and httpStatus are the forms of what the metadata shows: no address and no name of the tenant fits.
var (
	operationName = regexp.MustCompile(`^[A-Za-z]{1,32}$`)
	httpStatus    = regexp.MustCompile(`^[1-5][0-9]{2}$`)
)
