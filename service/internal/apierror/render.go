package apierror

import (
	"maps"
	"slices"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Status renders the failure: ErrorInfo first, then each detail at most once, within the size that every runtime reads.
func (f *Failure) Status() *statuspb.Status {
	d := &details{
		info:    &errdetails.ErrorInfo{Reason: f.reason.Name, Domain: f.reason.GetDomain(), Metadata: f.metadata},
		message: f.message,
		leftOut: f.violations.leftOut, noRoom: f.violations.noRoom,
		other: f.detail,
	}
	if f.retryDelay > 0 {
		d.retry = &errdetails.RetryInfo{RetryDelay: durationpb.New(f.retryDelay)}
	}
	if len(f.violations.list) > 0 && f.detail == nil {
		d.bad = &errdetails.BadRequest{FieldViolations: f.violations.list}
	}
	if f.requestID != "" {
		d.id = &errdetails.RequestInfo{RequestId: f.requestID}
	}
	if f.docs != "" {
		d.help = &errdetails.Help{Links: []*errdetails.Help_Link{{Description: "Microsoft's page on the operation", Url: f.docs}}}
	}
	return d.status(f.code)
}

const (
	// maxStatus is the size of a Status in bytes. At 5.8 kB clients with a header limit of 8 KiB see INTERNAL instead
	// of the error.
	maxStatus = 4096
	// maxText is the size in bytes of its message and of the description of a field violation, maxValue that of a metadata
	// value.
	maxText  = 512
	maxValue = 256
	// minViolations is how many field violations stay when a Status has no room for all.
	minViolations = 3
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
	// ownMetadata is set once the metadata is a copy: the Failure's own is never changed.
	ownMetadata bool
}

// status packs the details, and takes away what is needed least until they fit: Help, field violations beyond the first
// few, metadata that no program decides by, text. Reason, RetryInfo and RequestInfo always stay.
func (d *details) status(code codes.Code) *statuspb.Status {
	d.message = cut(d.message, maxText)
	for key, value := range d.info.Metadata {
		if short := cut(value, maxValue); short != value {
			d.metadata()[key] = short
		}
	}
	d.cutViolations(maxText)
	d.countLeftOut()
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
	if more := len(d.bad.FieldViolations) - minViolations; more > 0 {
		d.leftOut += more
		d.bad = &errdetails.BadRequest{FieldViolations: d.bad.FieldViolations[:minViolations]}
	}
	d.cutViolations(maxValue)
	d.countLeftOut()
}

// cutViolations cuts the descriptions of the violations. A violation that is cut is a copy.
func (d *details) cutViolations(limit int) {
	var list []*errdetails.BadRequest_FieldViolation
	for i, v := range d.bad.GetFieldViolations() {
		short := cut(v.GetDescription(), limit)
		if short == v.GetDescription() {
			continue
		}
		if list == nil {
			list = slices.Clone(d.bad.FieldViolations)
		}
		list[i] = &errdetails.BadRequest_FieldViolation{
			Field: v.GetField(), Description: short, Reason: v.GetReason(), LocalizedMessage: v.GetLocalizedMessage(),
		}
	}
	if list != nil {
		d.bad = &errdetails.BadRequest{FieldViolations: list}
	}
}

func (d *details) countLeftOut() {
	if d.leftOut > 0 {
		d.metadata()["violationsLeftOut"] = strconv.Itoa(d.leftOut)
	}
}

// metadata is the metadata as a copy that can be changed.
func (d *details) metadata() map[string]string {
	if !d.ownMetadata {
		d.info.Metadata, d.ownMetadata = maps.Clone(d.info.Metadata), true
	}
	return d.info.Metadata
}

func (d *details) trimMetadata() {
	for key := range d.metadata() {
		switch key {
		case "graphCode", "httpStatus", "operation", "outcome", "violationsLeftOut":
		default:
			delete(d.info.Metadata, key)
		}
	}
}

// rest returns the details behind ErrorInfo in their order, nil for a missing one.
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

// size is the size of the Status in bytes, known without packing it.
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

// pack makes the Status of a known size. Equal failures make equal bytes, whatever the order of the metadata.
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
		// The sizes are known since size. It fails for text that is not UTF-8 alone, which cut has ruled out.
		if more, err := (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(values, m); err == nil {
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
