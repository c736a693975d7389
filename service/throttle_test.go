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
)

func TestAClosedGateAnswersAsGraphWould(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "*", Status: 429, RetryAfter: []string{"30"}})
	if o := read(w); o.reason() != "TOO_MANY_REQUESTS" || detail[*errdetails.ErrorInfo](o.status).GetMetadata()["throttledBy"] != "" {
		t.Fatalf("Graph's own answer: %v", o.status)
	}
	since := w.mark()
	o := read(w)
	info, retry := detail[*errdetails.ErrorInfo](o.status), detail[*errdetails.RetryInfo](o.status).GetRetryDelay().AsDuration()
	if o.code() != codes.ResourceExhausted || o.reason() != "TOO_MANY_REQUESTS" || info.GetDomain() != "graph.microsoft.com" || info.GetMetadata()["throttledBy"] != "server" {
		t.Errorf("got %v", o.status)
	}
	if retry < 25*time.Second || retry > 36*time.Second || detail[*errdetails.QuotaFailure](o.status) == nil {
		t.Errorf("got %v", o.status)
	}
	if _, ok := info.GetMetadata()["httpStatus"]; ok || len(w.requests(since)) != 0 {
		t.Errorf("something was sent: %v", o.status)
	}
	if o := write(w); o.reason() == "TOO_MANY_REQUESTS" {
		t.Errorf("a write is held up by a read: %v", o.status)
	}
}

func TestAThrottleThatIsOverSoonIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.fault(emulator.Fault{Operation: "*", Status: 429, RetryAfter: []string{"0.2"}})
	since := w.mark()
	if o := w.call(workloads[0].createRPC(), workloads[0].create(w, "p", 1, 1), new(pb.CreateExchangeProtectionPolicyResponse)); o.status != nil || len(w.requests(since)) != 2 {
		t.Errorf("got %v after %d requests", o.status, len(w.requests(since)))
	}
}

func TestADemandForClaimsThatCannotBeMetSaysSo(t *testing.T) {
	var requests atomic.Int64
	w := newWorldAnswering(t, func(rw http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		rw.Header().Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="eyJjYW5hcnkiOnt9fQ=="`)
		rw.WriteHeader(http.StatusForbidden)
		rw.Write([]byte(`{"error":{"code":"Forbidden","message":"m"}}`))
	})
	if o := read(w); o.code() != codes.PermissionDenied || o.reason() != "INSUFFICIENT_CLAIMS" || requests.Load() != 2 {
		t.Errorf("got %v after %d requests", o.status, requests.Load())
	}
}
