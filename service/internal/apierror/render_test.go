package apierror

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

const createPolicy = "/m365.backupstorage.v1.ProtectionPolicyService/CreateExchangeProtectionPolicy"

// packPlainly makes the Status the simple way: proto encodes all of it.
func (d *details) packPlainly(tb testing.TB, code codes.Code) *statuspb.Status {
	tb.Helper()
	s := &statuspb.Status{Code: int32(code), Message: d.message}
	rest := d.rest()
	for _, detail := range append([]proto.Message{d.info}, rest[:]...) {
		if detail == nil {
			continue
		}
		packed := new(anypb.Any)
		if err := anypb.MarshalFrom(packed, detail, proto.MarshalOptions{Deterministic: true}); err != nil {
			tb.Fatal(err)
		}
		s.Details = append(s.Details, packed)
	}
	return s
}

// trimPlainly packs after each step, and checks whether the Status fits now.
func (d *details) trimPlainly(tb testing.TB, code codes.Code) *statuspb.Status {
	tb.Helper()
	fits := func() bool { return proto.Size(d.packPlainly(tb, code)) <= 4096 }
	d.message = cut(d.message, 512)
	for _, key := range slices.Collect(maps.Keys(d.info.Metadata)) {
		d.info.Metadata[key] = cut(d.info.Metadata[key], 256)
	}
	for _, v := range d.bad.GetFieldViolations() {
		v.Description = cut(v.Description, 512)
	}
	if d.leftOut > 0 {
		d.info.Metadata["violationsLeftOut"] = strconv.Itoa(d.leftOut)
	}
	if !fits() {
		d.help = nil
	}
	if all := len(d.bad.GetFieldViolations()); !fits() && all > 0 {
		if all > 3 {
			d.bad.FieldViolations = d.bad.FieldViolations[:3]
			d.info.Metadata["violationsLeftOut"] = strconv.Itoa(d.leftOut + all - 3)
		}
		for _, v := range d.bad.FieldViolations {
			v.Description = cut(v.Description, 256)
		}
	}
	if !fits() {
		maps.DeleteFunc(d.info.Metadata, func(key, _ string) bool {
			return !slices.Contains([]string{"graphCode", "httpStatus", "operation", "outcome", "violationsLeftOut"}, key)
		})
	}
	if !fits() {
		d.message = cut(d.message, 128)
	}
	if !fits() {
		d.bad, d.other = nil, nil
	}
	return d.packPlainly(tb, code)
}

// someDetails makes details of any size.
func someDetails(random *rand.Rand) *details {
	text := func(limit int) string {
		if random.IntN(5) == 0 {
			return ""
		}
		return strings.Repeat("ж", random.IntN(1+random.IntN(limit)))
	}
	d := &details{
		message: text(600),
		info:    &errdetails.ErrorInfo{Reason: text(40), Domain: text(20), Metadata: map[string]string{"graphCode": text(300)}},
	}
	for _, key := range []string{"httpStatus", "operation", "outcome", "cause", "verifyWith", "", "graphDate", "graphInnerCode"} {
		if random.IntN(2) == 0 {
			d.info.Metadata[key] = text(400)
		}
	}
	if random.IntN(2) == 0 {
		d.retry = &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(random.Int64N(int64(time.Hour))))}
	}
	switch random.IntN(3) {
	case 0:
		d.bad = new(errdetails.BadRequest)
		for range random.IntN(50) {
			d.bad.FieldViolations = append(d.bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: text(40), Description: text(400), Reason: text(60)})
		}
	case 1:
		d.other = &errdetails.ResourceInfo{ResourceType: text(30), ResourceName: text(4000), Description: text(30)}
	}
	if random.IntN(2) == 0 {
		d.id = &errdetails.RequestInfo{RequestId: text(64)}
	}
	if random.IntN(2) == 0 {
		d.help = &errdetails.Help{Links: []*errdetails.Help_Link{{Description: text(30), Url: text(200)}}}
	}
	return d
}

func (d *details) clone() *details {
	c := *d
	c.info, c.bad = proto.CloneOf(d.info), proto.CloneOf(d.bad)
	return &c
}

func TestSizeAndBytesAreThoseOfProto(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for range 500 {
		d, code := someDetails(random), codes.Code(random.IntN(300))
		want := d.packPlainly(t, code)
		if got := d.size(code); got != proto.Size(want) {
			t.Fatalf("size %d, want %d of %.2000v", got, proto.Size(want), want)
		}
		if got := d.pack(code, d.size(code)); !proto.Equal(got, want) {
			t.Fatalf("got  %.2000v\nwant %.2000v", got, want)
		}
	}
}

func TestStatusIsTrimmedStepByStep(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 6))
	// How often each number of details came out, so that all steps were taken.
	seen := make(map[string]int)
	for range 1500 {
		d := someDetails(random)
		plain := d.clone()
		got, want := d.status(codes.NotFound), plain.trimPlainly(t, codes.NotFound)
		if !proto.Equal(got, want) {
			t.Fatalf("got  %.2000v\nwant %.2000v", got, want)
		}
		seen[fmt.Sprintf("help %t, violations %t, other %t", d.help != nil, d.bad != nil, d.other != nil)]++
		if d.info.Metadata["violationsLeftOut"] != "" {
			seen["left out"]++
		}
	}
	if len(seen) != 7 {
		t.Errorf("seen %v", seen)
	}
}

// steady is a translator without chance, and its contract.
func steady(tb testing.TB) (*Translator, *contract.Contract) {
	tb.Helper()
	c, err := contract.Read()
	if err != nil {
		tb.Fatal(err)
	}
	return NewWithChance(c.Reasons, Chance{Jitter: func() float64 { return 0 }, Incident: func() string { return incident }}), c
}

const incident = "5f0c1d7e-6a0e-4c9e-9d0b-4f1d6f0a2b11"

func TestViolationsWithoutRoomAreCounted(t *testing.T) {
	translator, c := steady(t)
	op := c.OfMethod(createPolicy)
	unmade := 0
	for details := range 60 {
		for _, length := range []int{0, 1, 20, 60, 100, 300, 1000, 4000} {
			e := &graph.Error{Meta: graph.Meta{Status: 400}, Codes: []string{"InvalidProtectionUnitId"}}
			for n := range details {
				code := []string{"EmailNotFound", "", "EmailNotFound", "Other"}[n%4]
				// Some are about what the request does not name, and some of these say so in their message.
				target := []string{"", "", "a unit", "mm", " \x01 "}[n%5]
				e.Details = append(e.Details, graph.Detail{Code: code, Message: strings.Repeat("m", max(length-n, 0)), Target: target})
			}
			f := translator.Translate(op, new(pb.CreateExchangeProtectionPolicyRequest).ProtoReflect(), "", e)
			if f.violations.noRoom {
				unmade++
			}
			all := *f
			all.violations = violations{leftOut: max(0, details-50)}
			if details == 0 {
				all.violations = f.violations
			}
			for _, d := range e.Details[:min(details, 50)] {
				reason := map[string]string{"EmailNotFound": "EMAIL_NOT_FOUND"}[d.Code]
				if reason == "" {
					reason = "INVALID_PROTECTION_UNIT_ID"
				}
				description := d.Message
				if d.Code != "" {
					description = d.Code + ": " + d.Message
				}
				if target := strings.Trim(d.Target, " \x01"); !strings.Contains(d.Message, target) {
					description = target + ": " + description
				}
				all.violations.list = append(all.violations.list, &errdetails.BadRequest_FieldViolation{Field: "mailbox_protection_units", Description: description, Reason: reason})
			}
			if got, want := f.Status(), all.Status(); !proto.Equal(got, want) {
				t.Errorf("%d details of %d bytes:\ngot  %.2000v\nwant %.2000v", details, length, got, want)
			}
		}
	}
	if unmade == 0 {
		t.Error("all violations were made")
	}
}

// A Status stays small whatever is in it, and keeps reason, RetryInfo and RequestInfo.
func TestStatusStaysSmall(t *testing.T) {
	_, c := steady(t)
	long := strings.Repeat("ж\x01", 1<<19)
	values := pb.ErrorReason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		r := c.Reasons.Of(pb.ErrorReason(values.Get(i).Number()))
		f := &Failure{
			reason: r, code: codes.Code(r.GetCode()), message: r.GetSummary() + ": " + long, metadata: map[string]string{},
			retryDelay: time.Second, requestID: "0f0f0f0f-1111-4222-8333-444444444444", docs: c.OfMethod(getPolicy).Spec.GetDocs(),
		}
		for _, key := range []string{"graphCode", "graphInnerCode", "httpStatus", "cause", "outcome", "verifyWith", "permission"} {
			f.metadata[key] = long
		}
		for range 50 {
			f.violations.list = append(f.violations.list, &errdetails.BadRequest_FieldViolation{Field: long[:300], Description: long[:300] + "\xff"})
		}
		got := f.Status()
		if size := proto.Size(got); size > maxStatus {
			t.Errorf("%s: %d bytes", r.Name, size)
		}
		if len(got.GetMessage()) > maxText {
			t.Errorf("%s: message of %d bytes", r.Name, len(got.GetMessage()))
		}
		if reasonNamed(got) != r.ErrorSpec {
			t.Errorf("%s: reason lost in %v", r.Name, got)
		}
		kept := 0
		for _, packed := range got.GetDetails() {
			if packed.MessageIs((*errdetails.RetryInfo)(nil)) || packed.MessageIs((*errdetails.RequestInfo)(nil)) {
				kept++
			}
		}
		if kept != 2 {
			t.Errorf("%s: RetryInfo or RequestInfo lost: %v", r.Name, got)
		}
		if f.metadata["graphCode"] != long || len(f.metadata) != 7 || !strings.HasSuffix(f.violations.list[0].GetDescription(), "\xff") {
			t.Errorf("%s: rendering changed the failure", r.Name)
		}
	}
}
