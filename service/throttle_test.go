package service_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// A blocked throttle responds with the reason that Graph's 429 has, and says that the server made it.
func TestABlockedThrottleRespondsAsGraphWould(t *testing.T) {
	s := servicetest.New(t)
	s.Fault(emulator.Fault{Operation: "*", Status: 429, RetryAfter: []string{"30"}})
	if o := read(s); o.Reason() != "TOO_MANY_REQUESTS" || o.Info().GetMetadata()["throttledBy"] != "" {
		t.Fatalf("Graph's own response: %v", o.Status)
	}
	since := s.Mark()
	o := read(s)
	info, retry := o.Info(), servicetest.Detail[*errdetails.RetryInfo](o.Status).GetRetryDelay().AsDuration()
	if o.Code() != codes.ResourceExhausted || o.Reason() != "TOO_MANY_REQUESTS" || info.GetDomain() != "graph.microsoft.com" || info.GetMetadata()["throttledBy"] != "server" {
		t.Errorf("got %v", o.Status)
	}
	if retry < 25*time.Second || retry > 36*time.Second || servicetest.Detail[*errdetails.QuotaFailure](o.Status) == nil {
		t.Errorf("got %v", o.Status)
	}
	if _, ok := info.GetMetadata()["httpStatus"]; ok || len(s.Requests(since)) != 0 {
		t.Errorf("something was sent: %v", o.Status)
	}
	if o := write(s); o.Reason() == "TOO_MANY_REQUESTS" {
		t.Errorf("a write is held up by a read: %v", o.Status)
	}
}

func TestAShortThrottleIsWaitedFor(t *testing.T) {
	s := servicetest.New(t)
	s.Fault(emulator.Fault{Operation: "*", Status: 429, RetryAfter: []string{"0.2"}})
	since := s.Mark()
	if o := s.Call(workloads[0].createRPC(), workloads[0].create(s, "p", 1, 1), new(pb.CreateExchangeProtectionPolicyResponse)); o.Status != nil || len(s.Requests(since)) != 2 {
		t.Errorf("got %v after %d requests", o.Status, len(s.Requests(since)))
	}
}

// A write that lost against another change of the directory was refused, so the server sends it again.
func TestALostRaceIsRunAgain(t *testing.T) {
	for times, want := range map[int]string{2: "", 3: "DIRECTORY_CONCURRENCY_VIOLATION"} {
		s := servicetest.New(t)
		l := workloads[0]
		since := s.Mark()
		s.Fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Code: "Directory_ConcurrencyViolation", Times: times})
		o := s.Try(l.createRPC(), l.create(s, "p", 1, 1))
		if o.Reason() != want || len(s.Requests(since)) != 3 {
			t.Errorf("%d times: got %v after %d requests, want %q after 3", times, o.Status, len(s.Requests(since)), want)
		}
		listed := servicetest.Must[pb.ListProtectionPoliciesResponse](s, policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest)).GetProtectionPolicies()
		if made := len(listed) == 1; made != (want == "") {
			t.Errorf("%d times: %d policies", times, len(listed))
		}
	}
}

// A demand for claims that no new token satisfies is reported as INSUFFICIENT_CLAIMS.
func TestUnmetClaimsAreReported(t *testing.T) {
	var requests atomic.Int64
	s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		rw.Header().Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="eyJjYW5hcnkiOnt9fQ=="`)
		rw.WriteHeader(http.StatusForbidden)
		rw.Write([]byte(`{"error":{"code":"Forbidden","message":"m"}}`))
	})
	if o := read(s); o.Code() != codes.PermissionDenied || o.Reason() != "INSUFFICIENT_CLAIMS" || requests.Load() != 2 {
		t.Errorf("got %v after %d requests", o.Status, requests.Load())
	}
}
