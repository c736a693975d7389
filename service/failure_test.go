package service

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

// trimPlainly packs after each step, and looks whether the Status fits now.
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
	text := func(most int) string {
		if random.IntN(5) == 0 {
			return ""
		}
		return strings.Repeat("ж", random.IntN(1+random.IntN(most)))
	}
	d := &details{
		message: text(600),
		info:    &errdetails.ErrorInfo{Reason: text(40), Domain: text(20), Metadata: map[string]string{"graphCode": text(300)}},
	}
	for _, key := range []string{"httpStatus", "operation", "outcome", "problem", "verifyWith", "", "graphDate", "graphInnerCode"} {
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

func TestASizeIsKnownAndAStatusEncodedAsProtoWouldDoIt(t *testing.T) {
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

func TestAStatusIsTrimmedAsIfItWasPackedAfterEachStep(t *testing.T) {
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

// steady is a translator without jitter.
func steady(tb testing.TB) (*translator, *operations) {
	tb.Helper()
	reasons, err := newReasons()
	if err != nil {
		tb.Fatal(err)
	}
	operations, err := newOperations(reasons)
	if err != nil {
		tb.Fatal(err)
	}
	return &translator{reasons: reasons, jitter: func() float64 { return 0 }}, operations
}

func TestViolationsThatAreNotMadeAreCountedAsIfTheyHadBeen(t *testing.T) {
	translator, operations := steady(t)
	op := operations.byMethod[createPolicy]
	unmade := 0
	for details := range 60 {
		for _, length := range []int{0, 1, 20, 60, 100, 300, 1000, 4000} {
			e := &graph.Error{Meta: graph.Meta{Status: 400}, Codes: []string{"InvalidProtectionUnitId"}}
			for n := range details {
				code := []string{"EmailNotFound", "", "EmailNotFound", "Other"}[n%4]
				e.Details = append(e.Details, graph.Detail{Code: code, Message: strings.Repeat("m", max(length-n, 0))})
			}
			f := translator.call(op, new(pb.CreateExchangeProtectionPolicyRequest).ProtoReflect(), "", e)
			if f.noRoom {
				unmade++
			}
			all := *f
			all.metadata = maps.Clone(f.metadata)
			all.violations, all.leftOut, all.noRoom = nil, max(0, details-50), false
			for _, d := range e.Details[:min(details, 50)] {
				reason := map[string]string{"EmailNotFound": "EMAIL_NOT_FOUND"}[d.Code]
				if reason == "" {
					reason = "INVALID_PROTECTION_UNIT_ID"
				}
				description := d.Message
				if d.Code != "" {
					description = d.Code + ": " + d.Message
				}
				all.violations = append(all.violations, &errdetails.BadRequest_FieldViolation{Field: "mailbox_protection_units", Description: description, Reason: reason})
			}
			if got, want := f.status(), all.status(); !proto.Equal(got, want) {
				t.Errorf("%d details of %d bytes:\ngot  %.2000v\nwant %.2000v", details, length, got, want)
			}
		}
	}
	if unmade == 0 {
		t.Error("all violations were made")
	}
}
