package apierror

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// subject is what a failure is about.
type subject struct {
	// op and request are what was called. op is nil for no operation, request before it was read.
	op      *contract.Operation
	request protoreflect.Message
	// id is the id of the resource that an embedded error stands in; empty for a call.
	id string
	// target is what Graph names as the target of the error, text is Graph's message where it is told.
	target, text string
	// separate are Graph's separate errors of a call about several things.
	separate []graph.Detail
}

// describe says what the failure of a call is about.
func (t *Translator) describe(op *contract.Operation, request protoreflect.Message, c classification) *Failure {
	s := subject{op: op, request: request}
	if c.speaksToCaller {
		s.target, s.separate = c.response.Target, c.response.Details
		if !isServiceFault(c.code) {
			s.text = scrub(c.response.Message)
		}
	}
	f := t.describeSubject(&s, c)
	t.unknown.detail.Add(uint64(f.violations.unknown))
	f.unknownCode = c.response != nil && t.hasUnknownCode(c.response)
	if c.decidedByCode && c.code == codes.PermissionDenied && op != nil {
		f.metadata["permission"] = op.Spec.GetPermission()
	}
	return f
}

// describeSubject makes the Failure of a classification.
func (t *Translator) describeSubject(s *subject, c classification) *Failure {
	f := &Failure{
		reason: c.reason, code: c.code, retryDelay: c.delay, noSideEffects: c.noSideEffects,
		metadata: metadata(s.op, c), host: c.host, tokenRequestID: c.tokenRequest,
	}
	if c.response != nil {
		f.requestID = c.response.RequestID
	}
	if s.op != nil {
		f.idempotent, f.docs = s.op.Idempotent && !c.looked, s.op.Spec.GetDocs()
	}
	if len(s.separate) > 0 {
		f.violations = t.separateViolations(s, c.reason)
	}
	switch c.reason.GetTypedDetail().(type) {
	case *pb.ErrorSpec_FieldViolation_:
		if len(f.violations.list) == 0 {
			if v := s.violation(c); v != nil {
				f.violations.list = []*errdetails.BadRequest_FieldViolation{v}
			}
		}
	default:
		f.detail = s.detail(c.reason)
	}
	f.message = s.message(c, f.violations.list)
	return f
}

// sentenceWords is from how many words on Graph's text is a sentence that says all, and not a title.
const sentenceWords = 5

// message is the particular sentence, alone when it says all:
//
//	the failure                         the message
//	----------------------------------  ------------------------------------------------------------------
//	the server refused a field          what the field must be, and what it is
//	the server has no such method       the name of the method
//	Graph's text is a sentence          the text, behind the field when Graph named an element of a list
//	Graph's text is a few words         the text, and the summary of the reason
//	anything else                       the summary of the reason
func (s *subject) message(c classification, list []*errdetails.BadRequest_FieldViolation) string {
	summary := c.reason.GetSummary() + "."
	switch {
	case c.refusal != nil && c.refusal.Field != "":
		text := c.refusal.Field + " must be " + c.refusal.Wanted
		if c.refusal.Got != "" {
			text += "; it is " + c.refusal.Got
		}
		return text + "."
	case c.refusal != nil && c.refusal.Method != "":
		return "This server has no rpc " + c.refusal.Method + "."
	case s.text == "":
		return summary
	}
	text := s.text
	if s.op != nil {
		text = s.op.FieldNames(text)
	}
	if len(list) == 1 && strings.HasSuffix(list[0].GetField(), "]") || len(list) == 1 && strings.Contains(list[0].GetField(), "].") {
		text = list[0].GetField() + ": " + text
	}
	if len(strings.Fields(s.text)) < sentenceWords {
		return strings.TrimRight(text, ".") + ". " + summary
	}
	return text
}

// metadata is that of ErrorInfo. It always has room for what is added later.
func metadata(op *contract.Operation, c classification) map[string]string {
	m := make(map[string]string, 8)
	set := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	if limit := c.reason.GetDocumentedLimit(); limit != 0 {
		set("documentedLimit", strconv.Itoa(int(limit)))
	}
	if op != nil {
		set("operation", op.Reads().Name)
	}
	if c.response != nil {
		setHead(set, c.response)
		setCodes(set, c)
	}
	set("cause", string(c.cause))
	if c.aadsts > 0 {
		set("aadsts", strconv.Itoa(c.aadsts))
	}
	if c.response != nil {
		setPosition(set, c.response)
	}
	set("observedStatus", c.observedStatus)
	set("candidateIds", c.candidates)
	set("incident", c.incident)
	if c.throttledHere {
		set("throttledBy", "server")
	}
	if c.outcomeUnknown {
		set("outcome", "unknown")
		set("verifyWith", op.VerifyWith.Name)
	}
	return m
}

// setHead keeps what the head of Graph's response says.
func setHead(set func(key, value string), e *graph.Error) {
	if e.Status != 0 {
		set("httpStatus", strconv.Itoa(e.Status))
	}
	set("graphRequestId", e.RequestID)
	set("graphClientRequestId", e.ClientRequestID)
	if !e.Date.IsZero() {
		set("graphDate", e.Date.UTC().Format(time.RFC3339))
	}
}

// setPosition keeps where the body of Graph's response is wrong.
func setPosition(set func(key, value string), e *graph.Error) {
	unread, ok := errors.AsType[*pb.GraphJSONError](e.Err)
	switch {
	case !ok:
	case e.Cause == graph.CauseSyntax:
		set("offset", strconv.Itoa(unread.Offset))
	default:
		set("property", unread.Property)
	}
}

// setCodes keeps Graph's spelling of its codes: the outer one, and the inner one that decided or is the deepest.
func setCodes(set func(key, value string), c classification) {
	all := c.response.Codes
	if len(all) == 0 {
		return
	}
	set("graphCode", showable(all[0]))
	inner := all[len(all)-1]
	if c.decidedByCode {
		for _, code := range all[1:] {
			for _, known := range c.reason.GetGraphCode() {
				if strings.EqualFold(code, known) {
					inner = code
				}
			}
		}
	}
	if inner != all[0] {
		set("graphInnerCode", showable(inner))
	}
}

// detail makes the typed detail of a reason, nil for a reason without one or with a BadRequest.
func (s *subject) detail(r *contract.Reason) proto.Message {
	switch typed := r.GetTypedDetail().(type) {
	case *pb.ErrorSpec_Precondition_:
		name, id := s.resource(typed.Precondition.GetSubjects())
		if id != "" {
			name += "/" + id
		}
		return &errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{{
			Type: typed.Precondition.GetType(), Subject: name, Description: r.GetSummary(),
		}}}
	case *pb.ErrorSpec_Quota_:
		return &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: typed.Quota.GetSubject(), Description: r.GetSummary(),
		}}}
	case *pb.ErrorSpec_Resource_:
		name, id := s.resource(typed.Resource.GetResources())
		return &errdetails.ResourceInfo{ResourceType: name, ResourceName: id, Description: r.GetSummary()}
	}
	return nil
}

// resource chooses of several resources the first whose id the request has a field for, else the last, and finds the
// id: that of the resource that the error is embedded in, else that of the request.
func (s *subject) resource(candidates []*pb.ErrorSpec_Resource) (typeName, id string) {
	var chosen *pb.ErrorSpec_Resource
	for _, candidate := range candidates {
		chosen = candidate
		if s.op != nil && s.op.Field([]string{candidate.GetIdField()}) != "" {
			break
		}
	}
	id = s.id
	if id == "" && s.op != nil && s.request != nil && chosen.GetIdField() != "" {
		id = s.op.Text(s.request, chosen.GetIdField())
	}
	return chosen.GetType(), id
}
