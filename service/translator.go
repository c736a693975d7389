package service

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// translator makes failures of errors. It is the only place that maps anything to a gRPC code.
type translator struct {
	reasons *reasons
	// jitter returns a number from 0 up to 1.
	jitter func() float64
	// incident makes the id under which the log has a fault of the server.
	incident func() string
	unknown  unknownCodes
}

func newTranslator(reasons *reasons) *translator {
	return &translator{reasons: reasons, jitter: rand.Float64, incident: uuid.NewString}
}

// minRetryDelay is the shortest wait that RetryInfo asks for.
const minRetryDelay = 500 * time.Millisecond

// call translates the failure of a call. op and request are nil when the call is of no rpc of this contract, or was
// not read; ownID is the server's id of it.
func (t *translator) call(op *operation, request protoreflect.Message, ownID string, err error) *failure {
	f := t.kind(op, err)
	f.op, f.request = op, request
	f.separate(t, op)
	if f.requestID == "" {
		f.requestID = ownID
	}
	if f.metadata == nil {
		f.metadata = make(map[string]string, 4)
	}
	return f
}

func (t *translator) kind(op *operation, err error) *failure {
	var refused *refusal
	var call *failedCall
	var failed *graph.Error
	switch {
	case errors.As(err, &refused):
		return t.refused(refused)
	case errors.As(err, &call):
		return t.graph(op, call)
	case errors.As(err, &failed):
		return t.graph(op, &failedCall{graph: failed})
	case errors.Is(err, context.DeadlineExceeded):
		return t.own(pb.ErrorReason_DEADLINE_EXCEEDED)
	case errors.Is(err, context.Canceled):
		return t.own(pb.ErrorReason_CANCELLED)
	case status.Code(err) == codes.Unimplemented:
		f := t.own(pb.ErrorReason_UNKNOWN_METHOD)
		f.nothingDone = true
		return f
	}
	f := t.own(pb.ErrorReason_INTERNAL)
	f.set("incident", t.incident())
	return f
}

// own makes the failure of a reason with what the contract says of it.
func (t *translator) own(value pb.ErrorReason) *failure {
	r := t.reasons.byValue[value]
	f := &failure{reason: r, code: codes.Code(r.GetCode()), nothingDone: r.GetWork() == pb.ErrorSpec_NONE}
	if r.GetRetry() == pb.ErrorSpec_AFTER_DELAY {
		f.retryDelay = t.wait(r.delay())
	}
	return f
}

func (t *translator) refused(r *refusal) *failure {
	f := t.own(r.reason)
	f.nothingDone = true
	if r.field != "" {
		f.violations = []*errdetails.BadRequest_FieldViolation{{Field: r.field, Description: r.wanted, Reason: f.name}}
	}
	return f
}

// wait adds jitter to a delay, so that callers who were refused together do not come back together.
func (t *translator) wait(delay time.Duration) time.Duration {
	delay = max(delay, minRetryDelay)
	return (delay + time.Duration(t.jitter()*float64(delay)/5)).Round(time.Millisecond)
}

// graph translates what went wrong between the server and Graph.
func (t *translator) graph(op *operation, call *failedCall) *failure {
	e, write := call.graph, op != nil && !op.safe
	switch e.Kind {
	case graph.KindResponse:
		return t.answer(op, call)
	case graph.KindInvalidResponse:
		return t.invalid(op, call, e.Cause)
	case graph.KindUnreachable:
		if write && e.ResponseLost() {
			return t.unknownOutcome(op, call)
		}
		f := t.own(pb.ErrorReason_GRAPH_UNREACHABLE)
		f.nothingDone = true
		return f
	case graph.KindThrottled:
		f := t.own(pb.ErrorReason_TOO_MANY_REQUESTS)
		f.retryDelay = t.wait(e.RetryAfter)
		f.set("throttledBy", "server")
		return f
	case graph.KindToken:
		return t.token(e)
	case graph.KindDeadline, graph.KindCancelled:
		value := pb.ErrorReason_DEADLINE_EXCEEDED
		if e.Kind == graph.KindCancelled {
			value = pb.ErrorReason_CANCELLED
		}
		f := t.own(value)
		// The head of the answer may have come in time.
		f.meta(e)
		if write && e.Sent {
			f.unknown(op)
		}
		return f
	}
	f := t.own(pb.ErrorReason_INTERNAL)
	f.set("incident", t.incident())
	return f
}

// invalid translates an answer that cannot be used; cause says why.
func (t *translator) invalid(op *operation, call *failedCall, cause graph.Cause) *failure {
	f := t.own(pb.ErrorReason_GRAPH_RESPONSE_INVALID)
	if op != nil && !op.safe {
		f = t.unknownOutcome(op, call)
	}
	f.set("cause", string(cause))
	if cause == graph.CauseTooLarge {
		// It will be as large again.
		f.retryDelay = 0
	}
	f.meta(call.graph)
	return f
}

// token translates the want of a token. Nothing was sent.
func (t *translator) token(e *graph.Error) *failure {
	var f *failure
	var why *graph.TokenError
	switch e.Token {
	case graph.TokenAssertionRefused:
		f = t.own(pb.ErrorReason_DELEGATED_TOKEN_REJECTED)
	case graph.TokenClaimsRefused:
		f = t.own(pb.ErrorReason_INSUFFICIENT_CLAIMS)
	case graph.TokenCloud:
		f = t.own(pb.ErrorReason_CLOUD_NOT_SUPPORTED)
	case graph.TokenUnavailable:
		f = t.own(pb.ErrorReason_GRAPH_CREDENTIALS_UNAVAILABLE)
		f.code = codes.Code(f.GetCodeWithRetryInfo())
		delay := f.delay()
		if errors.As(e.Err, &why) && why.RetryAfter > 0 {
			delay = why.RetryAfter
		}
		f.retryDelay = t.wait(delay)
		f.set("cause", string(graph.CauseAuthorityUnavailable))
	case graph.TokenNotDelegable:
		f = t.own(pb.ErrorReason_GRAPH_CREDENTIALS_UNAVAILABLE)
		f.set("cause", string(graph.CauseDelegationUnsupported))
	default:
		f = t.own(pb.ErrorReason_GRAPH_CREDENTIALS_UNAVAILABLE)
		cause := graph.CauseOther
		if errors.As(e.Err, &why) && why.Cause != "" {
			cause = why.Cause
		}
		f.set("cause", string(cause))
	}
	f.nothingDone = true
	return f
}

// unknownOutcome is the failure of a write whose answer is lost. It is never UNAVAILABLE, which invites a second one.
func (t *translator) unknownOutcome(op *operation, call *failedCall) *failure {
	f := t.own(pb.ErrorReason_OUTCOME_UNKNOWN)
	f.unknown(op)
	f.set("observedStatus", call.found)
	return f
}

// unknown says that the write may have been carried out, and which read shows it.
func (f *failure) unknown(op *operation) {
	f.set("outcome", "unknown")
	f.set("verifyWith", op.verifyWith)
}

// answer translates an answer of Graph's that tells an error.
func (t *translator) answer(op *operation, call *failedCall) *failure {
	e, write := call.graph, op != nil && !op.safe
	if t.reasons.hasUnknownCode(e) {
		t.unknown.call.Add(1)
	}
	r := t.byCode(e, false)
	if r == nil || statusRules(e.Status) {
		if f := t.beforeTheCall(op, call); f != nil {
			f.codes(e, nil)
			return f
		}
		r = t.byStatus(call)
	}
	if e.Status == 403 && r.value == pb.ErrorReason_FORBIDDEN && e.InsufficientClaims {
		r = t.reasons.byValue[pb.ErrorReason_INSUFFICIENT_CLAIMS]
	}
	f := t.own(r.value)
	f.meta(e)
	f.codes(e, r)
	f.retryDelay = t.retryDelay(r, e)
	if e.Status == 503 && e.HasRetryAfter {
		f.nothingDone = true
	}
	if write && (e.Lost || e.ResponseLost() || e.Status >= 500 && !f.nothingDone && f.servicesTrouble()) {
		// A code that tells a refusal does not count for one behind a gateway that lost the answer.
		f.nothingDone = false
		f.unknown(op)
	}
	if f.code == codes.PermissionDenied && op != nil {
		f.set("permission", op.call.GetPermission())
	}
	if e.Status >= 400 && e.Status < 500 {
		f.tell(e)
		f.target, f.several = e.Target, e.Details
	}
	return f
}

// beforeTheCall translates an answer without a known code whose status does not speak of the call itself, but of what
// came before it: the way to Graph, or the page that the call follows. For others it is nil.
func (t *translator) beforeTheCall(op *operation, call *failedCall) *failure {
	e := call.graph
	switch {
	case e.Status > 599:
		// No status of a final answer: whoever sent it was not Graph.
		return t.invalid(op, call, graph.CauseStatus)
	case e.Status < 300:
		return t.invalid(op, call, graph.CauseEmbeddedError)
	case op != nil && !op.safe && e.ResponseLost():
		f := t.unknownOutcome(op, call)
		f.meta(e)
		return f
	case e.Status == 410 && call.nextPage:
		f := t.own(pb.ErrorReason_INVALID_PAGE_TOKEN)
		f.meta(e)
		return f
	}
	return nil
}

// byStatus returns the reason of an answer without a known code.
func (t *translator) byStatus(call *failedCall) *reason {
	if call.graph.Status == 401 && call.delegated {
		return t.reasons.byValue[pb.ErrorReason_DELEGATED_TOKEN_REJECTED]
	}
	return t.reasons.ofStatus(call.graph.Status)
}

// servicesTrouble tells of a failure that it is the service's or the server's own trouble, not the caller's.
func (f *failure) servicesTrouble() bool {
	return f.code == codes.Unknown || f.code == codes.Unavailable || f.code == codes.Internal
}

// tell takes Graph's text into the message, unless the failure is not the caller's, which is told in our words.
func (f *failure) tell(e *graph.Error) {
	if !f.servicesTrouble() {
		f.graphText = scrub(e.Message)
	}
}

// item translates an error that stands inside a resource of an answer that is itself OK.
func (t *translator) item(op *operation, item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
	e := graph.ErrorBody(item.JSON)
	if t.reasons.hasUnknownCode(e) {
		t.unknown.resource.Add(1)
	}
	f := t.inside(op, e, item)
	f.several = e.Details
	f.separate(t, op)
	failed := make([]*pb.FailedResource, 0, len(e.Details))
	for _, d := range e.Details {
		detail := t.inside(op, &graph.Error{Codes: []string{d.Code}, Message: d.Message, Target: d.Target}, pb.GraphItemError{ID: d.Target})
		detail.op = nil
		failed = append(failed, &pb.FailedResource{Target: d.Target, Error: detail.status()})
	}
	return f.status(), failed
}

// inside translates one error inside a resource. There is no HTTP status to fall back to: an unknown code is an
// unknown error.
func (t *translator) inside(op *operation, e *graph.Error, item pb.GraphItemError) *failure {
	r := t.byCode(e, true)
	for i := 0; r == nil && i < len(e.Details); i++ {
		// Jobs have been seen whose error has no code of its own, and says in the details alone what was wrong.
		r = t.reasons.byCode[strings.ToLower(e.Details[i].Code)]
	}
	if r == nil {
		r = t.reasons.byValue[pb.ErrorReason_UNKNOWN_ERROR]
	}
	if r.value == pb.ErrorReason_INVALID_ITEM && item.Property != "error" && wasRemoval(item.JSON) {
		// The item is not in the collection that it was to be removed from.
		r = t.reasons.byValue[pb.ErrorReason_PROTECTION_UNIT_NOT_FOUND]
		if strings.Contains(op.call.GetPath(), "estoreSessions") {
			r = t.reasons.byValue[pb.ErrorReason_ARTIFACT_NOT_FOUND]
		}
	}
	f := t.own(r.value)
	f.op, f.id = op, item.ID
	f.meta(e)
	f.codes(e, r)
	f.tell(e)
	return f
}

// wasRemoval tells of the exception of an item in an update whether the item was to be removed.
func wasRemoval(exception []byte) bool {
	var e struct {
		FailedOperation string `json:"failedOperation"`
	}
	return json.Unmarshal(exception, &e) == nil && strings.EqualFold(e.FailedOperation, "remove")
}

// byCode returns the reason of the deepest code that the contract knows, nil when it knows none. As the code of a
// call, a generic one counts for nothing.
func (t *translator) byCode(e *graph.Error, inside bool) *reason {
	for i := len(e.Codes) - 1; i >= 0; i-- {
		code := strings.ToLower(e.Codes[i])
		if !inside && generic[code] {
			continue
		}
		if r := t.reasons.byCode[code]; r != nil {
			return r
		}
	}
	return nil
}

// retryDelay is what RetryInfo says of an answer: Graph's own delay, else the reason's default.
func (t *translator) retryDelay(r *reason, e *graph.Error) time.Duration {
	switch r.GetRetry() {
	case pb.ErrorSpec_AFTER_DELAY:
		if e.HasRetryAfter {
			return t.wait(e.RetryAfter)
		}
		return t.wait(r.delay())
	case pb.ErrorSpec_IF_TOLD:
		if e.HasRetryAfter {
			return t.wait(e.RetryAfter)
		}
	}
	return 0
}

// meta keeps what the head of Graph's answer says.
func (f *failure) meta(e *graph.Error) {
	if e.Status != 0 {
		f.set("httpStatus", strconv.Itoa(e.Status))
	}
	f.set("graphRequestId", e.RequestID)
	f.set("graphClientRequestId", e.ClientRequestID)
	if !e.Date.IsZero() {
		f.set("graphDate", e.Date.UTC().Format(time.RFC3339))
	}
	f.requestID = e.RequestID
}

// codes keeps Graph's spelling of its codes: the outer one, and the inner one that decided or is the deepest.
func (f *failure) codes(e *graph.Error, decided *reason) {
	if len(e.Codes) == 0 {
		return
	}
	f.set("graphCode", tellable(e.Codes[0]))
	inner := e.Codes[len(e.Codes)-1]
	if decided != nil {
		for _, code := range e.Codes[1:] {
			for _, known := range decided.GetGraphCode() {
				if strings.EqualFold(code, known) {
					inner = code
				}
			}
		}
	}
	if inner != e.Codes[0] {
		f.set("graphInnerCode", tellable(inner))
	}
}
