package apierror

import (
	"cmp"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// violation is the one field violation of a call: the field that the server refused, else the one that Graph names,
// else the one that is likely to be at fault. It is nil for a reason that can be about anything when Graph names none.
func (s *subject) violation(c classification) *errdetails.BadRequest_FieldViolation {
	v := &errdetails.BadRequest_FieldViolation{Reason: c.reason.Name}
	if c.refusal != nil && c.refusal.Field != "" {
		v.Field, v.Description = c.refusal.Field, c.refusal.Wanted
		return v
	}
	spec := c.reason.GetFieldViolation()
	v.Field, v.Description = s.named(spec), c.reason.GetSummary()
	switch {
	case v.Field != "":
	case spec.GetIfNamed():
		return nil
	default:
		v.Field = cmp.Or(s.unset(spec), s.likely(spec))
	}
	return v
}

// unset returns the first field that the request does not set, of a reason that refuses it for what it lacks; empty
// when all are set.
func (s *subject) unset(spec *pb.ErrorSpec_FieldViolation) string {
	if !spec.GetUnsetFirst() || s.op == nil || s.request == nil {
		return ""
	}
	for _, name := range spec.GetFields() {
		if field := s.op.Request.Fields().ByName(protoreflect.Name(name)); field != nil && !s.request.Has(field) {
			return name
		}
	}
	return ""
}

// likely returns the first field that the request sets, unless that is a GUID, which no id is refused for; else the
// first that it has.
func (s *subject) likely(spec *pb.ErrorSpec_FieldViolation) string {
	if s.op == nil {
		return ""
	}
	for _, name := range spec.GetFields() {
		field := s.op.Request.Fields().ByName(protoreflect.Name(name))
		if field != nil && s.request != nil && s.request.Has(field) && !graph.IsGUID(s.op.Text(s.request, name)) {
			return name
		}
	}
	return s.op.Field(spec.GetFields())
}

// maxSeparate is how many separate errors of a call are looked at; a Status has room for fewer.
const maxSeparate = 50

// separateViolations makes field violations of the separate errors of a call.
func (t *Translator) separateViolations(s *subject, reason *contract.Reason) violations {
	var v violations
	var positions positions
	shown := 0
	if reason.GetDetail() == pb.ErrorSpec_BAD_REQUEST && s.op != nil {
		positions = positionsIn(s.request)
		shown = min(len(s.separate), maxSeparate)
		if t.minSize(s, reason, s.separate[:shown]) > maxStatus && shown > minViolations {
			// A Status has no room for all, so those that will be left out need not be made.
			v.noRoom, shown = true, minViolations
		}
		v.leftOut = len(s.separate) - shown
		v.list = make([]*errdetails.BadRequest_FieldViolation, 0, shown)
	}
	// Most separate errors have the code of the one before.
	var code string
	var known *contract.Reason
	var unknown bool
	made := make([]errdetails.BadRequest_FieldViolation, shown)
	for i, d := range s.separate {
		if i == 0 || d.Code != code {
			code, known = d.Code, t.reasons.OfCode(d.Code)
			unknown = known == nil && t.reasons.IsUnknown(d.Code)
		}
		if unknown {
			v.unknown++
		}
		if i < shown {
			s.separateViolation(&made[i], reason, known, d, positions)
			v.list = append(v.list, &made[i])
		}
	}
	return v
}

// minSize is what the violations of separate errors take of a Status at least, in bytes.
func (t *Translator) minSize(s *subject, reason *contract.Reason, separate []graph.Detail) (size int) {
	// Each of the three texts of a violation has a tag and a length, and so has the violation itself.
	const tags = 4 * 2
	field := min(len(s.op.Field(reason.GetFieldViolation().GetFields())), minPosition)
	var code string
	name := reason.Name
	for i, d := range separate {
		if i == 0 || d.Code != code {
			code, name = d.Code, reason.Name
			if known := t.reasons.OfCode(d.Code); known != nil {
				name = known.Name
			}
		}
		// Whether its target stands there too is not looked for: that takes longer than all the rest.
		size += tags + len(name) + field + min(len(d.Code)+len(d.Message), maxText)
	}
	return size
}

// minPosition is the length of the shortest position: `drives[0]`. Fields that are no lists have longer names.
const minPosition = 9

// separateViolation describes one separate error in the given violation. known is the reason of its code, nil when
// there is none. The position of its target in the request says which of several things it is about, else the target
// itself does.
func (s *subject) separateViolation(into *errdetails.BadRequest_FieldViolation, reason, known *contract.Reason, d graph.Detail, positions positions) {
	r, field := reason, ""
	if known != nil {
		// It can be about another field than the one that the call is refused for.
		r, field = known, s.op.Field(known.GetFieldViolation().GetFields())
	}
	if field == "" {
		field = s.op.Field(reason.GetFieldViolation().GetFields())
	}
	var target string
	if path := positions.path(d.Target); path != "" {
		field = path
	} else if target = visible(d.Target); strings.Contains(d.Message, target) {
		target = ""
	}
	var text string
	switch {
	case target == "" && d.Code == "":
		text = d.Message
	case target == "":
		text = d.Code + ": " + d.Message
	case d.Code == "":
		text = target + ": " + d.Message
	default:
		text = target + ": " + d.Code + ": " + d.Message
	}
	into.Field, into.Description, into.Reason = field, scrub(text), r.Name
}
