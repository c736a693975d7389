package service

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// failure is all that is known of a failed call or of an error inside a resource, before it becomes a Status.
type failure struct {
	*reason
	code codes.Code
	// graphText is Graph's message, for failures that the caller caused.
	graphText string
	metadata  map[string]string
	// retryDelay is that of RetryInfo; 0 for none.
	retryDelay time.Duration
	// nothingDone says that the call is sure to have changed nothing.
	nothingDone bool
	// target is what Graph says the error is about.
	target string
	// several are Graph's separate errors of a call about several things.
	several []graph.Detail
	// violations are those of BadRequest; when empty, the reason's own field is named.
	violations []*errdetails.BadRequest_FieldViolation
	// leftOut is how many violations there are besides. noRoom says that they were left out since a Status has no room
	// for all.
	leftOut int
	noRoom  bool
	// requestID is Graph's id of the request, else the server's own.
	requestID string
	// op and request are what was called; request is nil before it was read.
	op      *operation
	request protoreflect.Message
	// id is the id of the resource that the error stands in; empty for calls.
	id string
}

// set puts a value into the metadata unless it is empty.
func (f *failure) set(key, value string) {
	if value == "" {
		return
	}
	if f.metadata == nil {
		f.metadata = make(map[string]string, 8)
	}
	f.metadata[key] = value
}

// status makes the Status: ErrorInfo first, then each detail at most once, within the size that every runtime reads.
func (f *failure) status() *statuspb.Status {
	if limit := f.GetDocumentedLimit(); limit != 0 {
		f.set("documentedLimit", strconv.Itoa(int(limit)))
	}
	if f.op != nil {
		f.set("operation", f.op.name)
	}
	d := &details{
		info:    &errdetails.ErrorInfo{Reason: f.name, Domain: f.GetDomain(), Metadata: f.metadata},
		message: f.text(),
	}
	if f.retryDelay > 0 {
		d.retry = &errdetails.RetryInfo{RetryDelay: durationpb.New(f.retryDelay)}
	}
	switch f.GetDetail() {
	case pb.ErrorSpec_BAD_REQUEST:
		d.bad = &errdetails.BadRequest{FieldViolations: f.fieldViolations()}
		d.leftOut, d.noRoom = f.leftOut, f.noRoom
	case pb.ErrorSpec_PRECONDITION_FAILURE:
		d.other = &errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{{
			Type: about(f.reason, 0), Subject: f.subject(), Description: f.GetText(),
		}}}
	case pb.ErrorSpec_QUOTA_FAILURE:
		d.other = &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: about(f.reason, 0), Description: f.GetText(),
		}}}
	case pb.ErrorSpec_RESOURCE_INFO:
		kind, id := f.resource(f.candidate(f.GetAbout()))
		d.other = &errdetails.ResourceInfo{ResourceType: kind, ResourceName: id, Description: f.GetText()}
	}
	if f.requestID != "" {
		d.id = &errdetails.RequestInfo{RequestId: f.requestID}
	}
	if f.op != nil {
		d.help = &errdetails.Help{Links: []*errdetails.Help_Link{{
			Description: "Microsoft's page on the operation", Url: f.op.call.GetDocs(),
		}}}
	}
	return d.status(f.code)
}

// text is the message: our line, and Graph's own text behind it when it speaks of what the caller did.
func (f *failure) text() string {
	if f.graphText == "" {
		return f.GetText() + "."
	}
	return f.GetText() + ": " + f.graphText
}

func about(r *reason, i int) string {
	if a := r.GetAbout(); i < len(a) {
		return a[i]
	}
	return ""
}

// resource splits `graphType:request_field` and finds the id: that of the resource the error stands in, else that of
// the request's path.
func (f *failure) resource(spec string) (kind, id string) {
	kind, field, _ := strings.Cut(spec, ":")
	id = f.id
	if id == "" && f.op != nil && f.request != nil && field != "" {
		id = f.op.id(f.request, field)
	}
	return kind, id
}

// subject is what a precondition is about.
func (f *failure) subject() string {
	kind, id := f.resource(f.candidate(f.GetAbout()[min(1, len(f.GetAbout())):]))
	if id == "" {
		return kind
	}
	return kind + "/" + id
}

// candidate returns of several `graphType:request_field` the first whose field the request has, else the last.
func (f *failure) candidate(candidates []string) string {
	chosen := ""
	for _, candidate := range candidates {
		chosen = candidate
		if _, field, _ := strings.Cut(candidate, ":"); f.op != nil && f.op.fieldOf([]string{field}) != "" {
			break
		}
	}
	return chosen
}

const (
	// maxStatus is the size of a Status in bytes. At 5.8 kB clients with a header limit of 8 KiB see INTERNAL instead
	// of the error.
	maxStatus = 4096
	// maxText is the size of its message and of the description of a field violation, maxValue of a metadata value.
	maxText  = 512
	maxValue = 256
	// keptViolations is how many field violations stay when there is no room for all.
	keptViolations = 3
)

// details are the parts of a Status in the order in which they stand.
type details struct {
	message string
	info    *errdetails.ErrorInfo
	retry   *errdetails.RetryInfo
	bad     *errdetails.BadRequest
	// leftOut is how many violations there are besides; with noRoom they would make the Status too large.
	leftOut int
	noRoom  bool
	other   proto.Message
	id      *errdetails.RequestInfo
	help    *errdetails.Help
}

// status packs the details, and takes away what is least needed until they fit: help, field violations beyond the
// first few, metadata that only tells more, text. Reason, RetryInfo and RequestInfo always stay.
func (d *details) status(code codes.Code) *statuspb.Status {
	d.message = cut(d.message, maxText)
	for key, value := range d.info.Metadata {
		if short := cut(value, maxValue); short != value {
			d.info.Metadata[key] = short
		}
	}
	for _, v := range d.bad.GetFieldViolations() {
		v.Description = cut(v.Description, maxText)
	}
	d.tellLeftOut()
	size := d.size(code)
	for _, trim := range []func(){
		func() { d.help = nil },
		d.trimViolations,
		d.trimMetadata,
		func() { d.message = cut(d.message, 128) },
		func() { d.bad, d.other = nil, nil },
	} {
		if !d.noRoom && size <= maxStatus {
			break
		}
		trim()
		size = d.size(code)
	}
	return d.pack(code, size)
}

func (d *details) trimViolations() {
	d.noRoom = false
	if d.bad == nil {
		return
	}
	if more := len(d.bad.FieldViolations) - keptViolations; more > 0 {
		d.leftOut += more
		d.bad.FieldViolations = d.bad.FieldViolations[:keptViolations]
	}
	for _, v := range d.bad.FieldViolations {
		v.Description = cut(v.Description, maxValue)
	}
	d.tellLeftOut()
}

func (d *details) tellLeftOut() {
	if d.leftOut > 0 {
		d.info.Metadata["violationsLeftOut"] = strconv.Itoa(d.leftOut)
	}
}

func (d *details) trimMetadata() {
	for key := range d.info.Metadata {
		switch key {
		case "graphCode", "httpStatus", "operation", "outcome", "violationsLeftOut":
		default:
			delete(d.info.Metadata, key)
		}
	}
}

// rest returns the details behind ErrorInfo in their order, nil for those that are not there.
func (d *details) rest() (rest [5]proto.Message) {
	if d.retry != nil {
		rest[0] = d.retry
	}
	if d.bad != nil {
		rest[1] = d.bad
	}
	rest[2] = d.other
	if d.id != nil {
		rest[3] = d.id
	}
	if d.help != nil {
		rest[4] = d.help
	}
	return rest
}

// size is that of the Status in bytes, without packing it.
func (d *details) size(code codes.Code) int {
	size := fieldSize(len(d.message))
	if code != codes.OK {
		size += 1 + protowire.SizeVarint(uint64(code))
	}
	detail := func(url string, value int) { size += 1 + protowire.SizeBytes(fieldSize(len(url))+fieldSize(value)) }
	detail(infoURL, infoSize(d.info))
	for _, m := range d.rest() {
		if m != nil {
			detail(typeURL(m), proto.Size(m))
		}
	}
	return size
}

// pack makes the Status, whose size is known. Equal failures make equal bytes, whatever the order of the metadata.
func (d *details) pack(code codes.Code, size int) *statuspb.Status {
	rest := d.rest()
	// All details share one piece of memory, and so do their bytes.
	packed := make([]anypb.Any, 0, 1+len(rest))
	values := make([]byte, 0, size)
	status := &statuspb.Status{Code: int32(code), Message: d.message, Details: make([]*anypb.Any, 0, 1+len(rest))}
	add := func(url string, start int) {
		packed = packed[:len(packed)+1]
		detail := &packed[len(packed)-1]
		detail.TypeUrl, detail.Value = url, values[start:len(values):len(values)]
		status.Details = append(status.Details, detail)
	}
	values = appendInfo(values, d.info)
	add(infoURL, 0)
	for _, m := range rest {
		if m == nil {
			continue
		}
		start := len(values)
		// It fails for text that is not UTF-8 alone, which cut has ruled out.
		if more, err := (proto.MarshalOptions{}).MarshalAppend(values, m); err == nil {
			values = more
			add(typeURL(m), start)
		}
	}
	return status
}

// The names of types in an Any.
const (
	urlPrefix = "type.googleapis.com/"
	infoURL   = urlPrefix + "google.rpc.ErrorInfo"
)

// typeURL is how an Any names the type of a detail.
func typeURL(detail proto.Message) string {
	switch detail.(type) {
	case *errdetails.RetryInfo:
		return urlPrefix + "google.rpc.RetryInfo"
	case *errdetails.BadRequest:
		return urlPrefix + "google.rpc.BadRequest"
	case *errdetails.PreconditionFailure:
		return urlPrefix + "google.rpc.PreconditionFailure"
	case *errdetails.ResourceInfo:
		return urlPrefix + "google.rpc.ResourceInfo"
	case *errdetails.RequestInfo:
		return urlPrefix + "google.rpc.RequestInfo"
	case *errdetails.Help:
		return urlPrefix + "google.rpc.Help"
	}
	return urlPrefix + string(detail.ProtoReflect().Descriptor().FullName())
}

// ErrorInfo is encoded here: for a map proto takes longer than for all the rest of a Status.

// The field numbers of ErrorInfo, and those of a map's entries.
const (
	infoReason, infoDomain, infoMetadata protowire.Number = 1, 2, 3
	entryKey, entryValue                 protowire.Number = 1, 2
)

// fieldSize is the size of a field of bytes with a number up to 15, which has a tag of one byte. What is empty is left
// out.
func fieldSize(size int) int {
	if size == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(size)
}

// entrySize is the size of an entry of metadata, where also what is empty has a field.
func entrySize(key, value string) int {
	return 1 + protowire.SizeBytes(len(key)) + 1 + protowire.SizeBytes(len(value))
}

func infoSize(info *errdetails.ErrorInfo) int {
	size := fieldSize(len(info.Reason)) + fieldSize(len(info.Domain))
	for key, value := range info.Metadata {
		size += 1 + protowire.SizeBytes(entrySize(key, value))
	}
	return size
}

// appendInfo appends the encoded ErrorInfo, its metadata in the order of the keys. All of it is UTF-8.
func appendInfo(dst []byte, info *errdetails.ErrorInfo) []byte {
	text := func(number protowire.Number, text string) {
		dst = protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), text)
	}
	if info.Reason != "" {
		text(infoReason, info.Reason)
	}
	if info.Domain != "" {
		text(infoDomain, info.Domain)
	}
	keys := make([]string, 0, 16)
	for key := range info.Metadata {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		value := info.Metadata[key]
		dst = protowire.AppendTag(dst, infoMetadata, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(entrySize(key, value)))
		text(entryKey, key)
		text(entryValue, value)
	}
	return dst
}

// cut makes a text valid UTF-8 of at most limit bytes; a text that was longer ends in an ellipsis.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + ellipsis
}
