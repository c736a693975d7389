package service

import (
	"cmp"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// fieldViolations are those that were found, else one of the field that Graph names, else of the one that is likely to be
// at fault.
func (f *failure) fieldViolations() []*errdetails.BadRequest_FieldViolation {
	if len(f.violations) > 0 {
		return f.violations
	}
	return []*errdetails.BadRequest_FieldViolation{{
		Field: cmp.Or(f.named(), f.missing(), f.likely()), Description: f.GetText(), Reason: f.name,
	}}
}

// named returns the field that Graph itself names: by the target of the error, or of those that the reason speaks of by
// the property's name in the text.
func (f *failure) named() string {
	if f.op == nil || f.request == nil {
		return ""
	}
	if f.target != "" {
		if at := placesIn(f.request).of(f.target); at != "" {
			return at
		}
	}
	for _, name := range f.GetAbout() {
		if field := f.op.request.Fields().ByName(protoreflect.Name(name)); field != nil && hasWord(f.graphText, field.JSONName()) {
			return name
		}
	}
	return ""
}

// hasWord tells whether a word stands in a text by itself, not as a part of a longer one.
func hasWord(text, word string) bool {
	isPart := func(c byte) bool {
		return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	for {
		before, after, found := strings.Cut(text, word)
		if !found {
			return false
		}
		if (before == "" || !isPart(before[len(before)-1])) && (after == "" || !isPart(after[0])) {
			return true
		}
		text = after
	}
}

// missing returns, of a search, the first of the fields that the reason speaks of and the request does not set, empty when
// all are set: without a time or a unit it is refused for what it lacks and not for what it has.
func (f *failure) missing() string {
	if f.value != pb.ErrorReason_INVALID_SEARCH_REQUEST || f.op == nil || f.request == nil {
		return ""
	}
	for _, name := range f.GetAbout() {
		if field := f.op.request.Fields().ByName(protoreflect.Name(name)); field != nil && !f.request.Has(field) {
			return name
		}
	}
	return ""
}

// likely returns the first field that the reason speaks of and the request has set, unless that is a GUID, which no id is
// refused for, else the first that it has.
func (f *failure) likely() string {
	if f.op == nil {
		return ""
	}
	for _, name := range f.GetAbout() {
		field := f.op.request.Fields().ByName(protoreflect.Name(name))
		if field != nil && f.request != nil && f.request.Has(field) && !graph.IsGUID(f.op.id(f.request, name)) {
			return name
		}
	}
	return f.op.fieldOf(f.GetAbout())
}

// mostViolations is how many separate errors of a call are looked at; the Status has room for fewer.
const mostViolations = 50

// separate makes field violations of the separate errors of a call about several things, and counts their codes.
func (f *failure) separate(t *translator, op *operation) {
	if len(f.several) == 0 {
		return
	}
	told := 0
	if f.GetDetail() == pb.ErrorSpec_BAD_REQUEST && op != nil {
		told = min(len(f.several), mostViolations)
		size := 0
		for _, d := range f.several[:told] {
			size += min(len(d.Target)+len(d.Code)+len(d.Message), maxText)
		}
		if size > maxStatus && told > keptViolations {
			// There is no room for them all, so those that will be left out need not be made.
			f.noRoom, told = true, keptViolations
		}
		f.leftOut = len(f.several) - told
		f.violations = make([]*errdetails.BadRequest_FieldViolation, 0, told)
	}
	var places places
	// Most have the code of the one before.
	var code string
	var known *reason
	for i, d := range f.several {
		if i == 0 || d.Code != code {
			code, known = d.Code, t.reasons.byCode[strings.ToLower(d.Code)]
		}
		if known == nil && t.reasons.isUnknown(d.Code) {
			t.unknown.detail.Add(1)
		}
		if i < told {
			if d.Target != "" && places == nil {
				places = placesIn(f.request)
			}
			f.violations = append(f.violations, f.violation(op, known, d, places))
		}
	}
}

// violation tells one separate error; known is the reason of its code, nil when there is none. Which of several things it
// is about, its place in the request tells, else the target that Graph names.
func (f *failure) violation(op *operation, known *reason, d graph.Detail, places places) *errdetails.BadRequest_FieldViolation {
	r := f.reason
	field := ""
	if known != nil {
		// What it is about can be another field than what the call is refused for.
		r, field = known, op.fieldOf(known.GetAbout())
	}
	if field == "" {
		field = op.fieldOf(f.GetAbout())
	}
	text := strings.TrimPrefix(d.Code+": "+d.Message, ": ")
	if at := places.of(d.Target); at != "" {
		field = at
	} else if d.Target != "" && !strings.Contains(d.Message, d.Target) {
		text = d.Target + ": " + text
	}
	return &errdetails.BadRequest_FieldViolation{Field: field, Description: scrub(text), Reason: r.name}
}
