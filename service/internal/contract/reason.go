package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Reason is a value of ErrorReason with its error_spec.
type Reason struct {
	*pb.ErrorSpec
	// Value is the number, Name the text of ErrorInfo.
	Value pb.ErrorReason
	Name  string
}

// Delay is the default delay of RetryInfo, 0 when there is none.
func (r *Reason) Delay() time.Duration { return r.GetRetryDelay().AsDuration() }

// Fault says who has to act before such a request can succeed: `caller`, `tenant`, `graph` or `server`.
func (r *Reason) Fault() string { return faults[r.GetFault()] }

var faults = map[pb.ErrorSpec_Fault]string{
	pb.ErrorSpec_CALLER: "caller", pb.ErrorSpec_TENANT: "tenant", pb.ErrorSpec_GRAPH: "graph", pb.ErrorSpec_SERVER: "server",
}

// Reasons finds the reason of what Graph sent.
type Reasons struct {
	byValue  map[pb.ErrorReason]*Reason
	byCode   map[string]*Reason
	byStatus map[int]*Reason
	generic  map[string]bool
	// byPathID are the reasons for an id that does not fit into a path, by request field and in the order of their
	// numbers.
	byPathID map[string][]*Reason
}

func readReasons() (*Reasons, error) {
	all := &Reasons{
		byValue:  make(map[pb.ErrorReason]*Reason),
		byCode:   make(map[string]*Reason),
		byStatus: make(map[int]*Reason),
		generic:  make(map[string]bool),
		byPathID: make(map[string][]*Reason),
	}
	var problems error
	values := pb.ErrorReason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		if err := all.add(values.Get(i)); err != nil {
			problems = errors.Join(problems, fmt.Errorf("reason %s: %w", values.Get(i).Name(), err))
		}
	}
	return all, problems
}

func (all *Reasons) add(value protoreflect.EnumValueDescriptor) error {
	spec, _ := proto.GetExtension(value.Options(), pb.E_ErrorSpec).(*pb.ErrorSpec)
	if spec == nil {
		return errors.New("no error_spec")
	}
	return all.addSpec(value, spec)
}

func (all *Reasons) addSpec(value protoreflect.EnumValueDescriptor, spec *pb.ErrorSpec) error {
	r := &Reason{ErrorSpec: spec, Value: pb.ErrorReason(value.Number()), Name: string(value.Name())}
	if want := detailOf(spec); spec.GetDetail() != want {
		return fmt.Errorf("detail is %s, and the typed detail is one of %s", spec.GetDetail(), want)
	}
	if spec.GetFault() == pb.ErrorSpec_FAULT_UNSPECIFIED {
		return errors.New("no fault")
	}
	all.byValue[r.Value] = r
	for _, code := range spec.GetGraphCode() {
		all.byCode[strings.ToLower(code)] = r
	}
	for _, code := range spec.GetGeneric() {
		all.generic[strings.ToLower(code)] = true
	}
	if status := int(spec.GetHttpStatus()); status != 0 {
		all.byStatus[status] = r
	} else if spec.GetStatusDecides() {
		return errors.New("status_decides needs http_status")
	}
	for _, field := range spec.GetPathIds() {
		all.byPathID[field] = append(all.byPathID[field], r)
	}
	return nil
}

// detailOf returns the detail that a typed detail belongs to.
func detailOf(spec *pb.ErrorSpec) pb.ErrorSpec_Detail {
	switch spec.GetTypedDetail().(type) {
	case *pb.ErrorSpec_FieldViolation_:
		return pb.ErrorSpec_BAD_REQUEST
	case *pb.ErrorSpec_Precondition_:
		return pb.ErrorSpec_PRECONDITION_FAILURE
	case *pb.ErrorSpec_Quota_:
		return pb.ErrorSpec_QUOTA_FAILURE
	case *pb.ErrorSpec_Resource_:
		return pb.ErrorSpec_RESOURCE_INFO
	}
	return pb.ErrorSpec_DETAIL_UNSPECIFIED
}

// Of returns the reason of a value of the contract.
func (all *Reasons) Of(value pb.ErrorReason) *Reason { return all.byValue[value] }

// OfCode returns the reason of a code of Graph's, in any case of letters; nil when no reason has it.
func (all *Reasons) OfCode(code string) *Reason { return all.byCode[strings.ToLower(code)] }

// OfStatus returns the reason of an HTTP status from 400 to 599 that came without a known code.
func (all *Reasons) OfStatus(status int) *Reason {
	if r := all.byStatus[status]; r != nil {
		return r
	}
	if status >= 400 && status < 500 {
		return all.byValue[pb.ErrorReason_CLIENT_ERROR]
	}
	return all.byValue[pb.ErrorReason_SERVER_ERROR]
}

// StatusDecides reports whether a status keeps its meaning whatever code came with it.
func (all *Reasons) StatusDecides(status int) bool {
	r := all.byStatus[status]
	return r != nil && r.GetStatusDecides()
}

// IsGeneric reports whether a code says less than the status that it came with.
func (all *Reasons) IsGeneric(code string) bool { return all.generic[strings.ToLower(code)] }

// IsUnknown reports whether a code is neither that of a reason nor a generic one.
func (all *Reasons) IsUnknown(code string) bool {
	code = strings.ToLower(code)
	return code != "" && all.byCode[code] == nil && !all.generic[code]
}

// ofPathID returns the reason for an id of a request field that does not fit into a path: the one that is documented
// for the operation, else the one with the lowest number.
func (all *Reasons) ofPathID(field string, documented []pb.ErrorReason) *Reason {
	candidates := all.byPathID[field]
	for _, value := range documented {
		if i := slices.IndexFunc(candidates, func(r *Reason) bool { return r.Value == value }); i >= 0 {
			return candidates[i]
		}
	}
	if len(candidates) > 0 {
		return candidates[0]
	}
	return nil
}
