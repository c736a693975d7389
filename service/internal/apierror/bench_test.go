//go:build !race

// The race detector slows the two sides of a comparison differently.

package apierror

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// bulkError is the body of a call about 50 protection units, each of which failed: 10 kB.
func bulkError() []byte {
	var b strings.Builder
	b.WriteString(`{"error":{"code":"InvalidProtectionUnitId","message":"Some of the protection units cannot be added to the policy.","details":[`)
	for n := range 50 {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"code":"ProtectionUnitAlreadyExists","message":"The mailbox of user %02d is protected by another policy and cannot be added to this one as well.","target":"e0000001-67ef-4440-8a1c-%012d"}`, n, n)
	}
	b.WriteString(`],"innerError":{"date":"2026-11-20T12:00:00","request-id":"5d1e3f5a-0000-4000-8000-000000000001","client-request-id":"5d1e3f5a-0000-4000-8000-000000000002"}}}`)
	return []byte(b.String())
}

// plainError is what encoding/json needs to read the same.
type plainError struct {
	Error struct {
		Code, Message, Target string
		Details               []struct{ Code, Message, Target string }
		InnerError            struct {
			Date            string
			RequestID       string `json:"request-id"`
			ClientRequestID string `json:"client-request-id"`
		}
	}
}

func decodePlain(tb testing.TB, body []byte) {
	var plain plainError
	if err := json.Unmarshal(body, &plain); err != nil || len(plain.Error.Details) != 50 {
		tb.Fatal(err)
	}
}

// translating makes the Status of an error body, and its bytes, as a failed call does.
func translating(tb testing.TB, body []byte) func() []byte {
	tb.Helper()
	t, c := steady(tb)
	op := c.OfMethod(createPolicy)
	request := new(pb.CreateExchangeProtectionPolicyRequest).ProtoReflect()
	return func() []byte {
		e := graph.ErrorBody(body)
		e.Status = 400
		s := t.Translate(op, request, "", e).Status()
		if status.ErrorProto(s) == nil {
			tb.Fatal("no error")
		}
		text, err := proto.Marshal(s)
		if err != nil {
			tb.Fatal(err)
		}
		return text
	}
}

// atBest returns the shortest time that either took, in turns, so that what else the machine does slows both.
func atBest(rounds int, one, other func()) (first, second time.Duration) {
	const calls = 20
	first, second = time.Hour, time.Hour
	for range rounds {
		begin := time.Now()
		for range calls {
			one()
		}
		between := time.Now()
		for range calls {
			other()
		}
		first, second = min(first, between.Sub(begin)), min(second, time.Since(between))
	}
	return first / calls, second / calls
}

// BenchmarkTranslate50Details compares the way from an error body with 50 details to the bytes of the Status with
// what encoding/json takes to decode the same body into structs:
//
//	go test ./service/internal/apierror -run '^$' -bench Translate50Details -benchmem
func BenchmarkTranslate50Details(b *testing.B) {
	body := bulkError()
	translate := translating(b, body)
	b.Run("to a Status", func(b *testing.B) {
		for b.Loop() {
			translate()
		}
	})
	b.Run("encoding json", func(b *testing.B) {
		for b.Loop() {
			decodePlain(b, body)
		}
	})
	b.Run("in turns", func(b *testing.B) {
		var ours, theirs time.Duration
		for b.Loop() {
			ours, theirs = atBest(200, func() { translate() }, func() { decodePlain(b, body) })
		}
		b.ReportMetric(float64(ours.Microseconds()), "µs/Status")
		b.ReportMetric(float64(theirs.Microseconds()), "µs/json")
		b.ReportMetric(float64(ours)/float64(theirs), "ratio")
	})
}

func TestTranslatingIsCheaperThanDecodingJSON(t *testing.T) {
	body := bulkError()
	translate := translating(t, body)
	// About 55 allocations, of which gRPC's copy of the Status makes 20. One a detail would be twice that.
	if allocations := testing.AllocsPerRun(100, func() { translate() }); allocations > 60 {
		t.Errorf("%v allocations", allocations)
	}
	var ratio float64
	for range 5 {
		ours, theirs := atBest(20, func() { translate() }, func() { decodePlain(t, body) })
		if ratio = float64(ours) / float64(theirs); ratio <= 0.5 {
			return
		}
	}
	t.Errorf("translating takes %.2f of the time of decoding; alone on a machine it is about a quarter", ratio)
}
