package service_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// statusExpectation is what the client gets for a status of Graph's without a known code, besides the reason and the
// code, which are in the table of the contract.
type statusExpectation struct {
	// detail is the type of the detail that says what the error is about, subject what that detail says.
	detail, subject string
	// The pushback for a read, a write that is not idempotent, and a DELETE, which is. Before the slash without a
	// Retry-After of Graph's, after it with one. "-" is none, "never" is -1, "delay" is that of RetryInfo. A question
	// mark means that the write may have been done.
	read, write, delete string
}

// silent is a row with a code that no gRPC runtime retries.
func silent(detail, about string) statusExpectation {
	return statusExpectation{detail, about, "-/-", "-/-", "-/-"}
}

var (
	// fault means that Graph refused what the server sent, which is a fault of the server.
	fault = statusExpectation{read: "never/never", write: "never/never", delete: "never/never"}
	// lost means that a response of Graph's did not get through.
	lost = statusExpectation{read: "delay/delay", write: "never?/never?", delete: "never?/never?"}
	// broken means that Graph failed, and does not say how far it came.
	broken   = statusExpectation{read: "never/never", write: "never?/never?", delete: "never?/never?"}
	throttle = statusExpectation{"QuotaFailure", "", "delay/delay", "delay/delay", "delay/delay"}
)

var statusExpectations = map[int]statusExpectation{
	400: silent("", ""),
	401: silent("PreconditionFailure", "GRAPH_CREDENTIALS application"),
	402: silent("PreconditionFailure", "BILLING tenant"),
	403: silent("", ""),
	404: silent("ResourceInfo", "restoreSessionBase/"+unknown),
	405: silent("", ""),
	406: fault,
	408: lost,
	409: {read: "never/delay", write: "never/never", delete: "never/delay"},
	410: silent("ResourceInfo", "restoreSessionBase/"+unknown),
	411: fault,
	412: silent("PreconditionFailure", "PRECONDITION restoreSessionBase/"+unknown),
	413: silent("", ""),
	415: fault,
	416: silent("", ""),
	422: silent("", ""),
	423: silent("PreconditionFailure", "LOCKED restoreSessionBase/"+unknown),
	429: throttle,
	500: broken,
	501: silent("", ""),
	502: lost,
	503: {read: "delay/delay", write: "never?/delay", delete: "delay?/delay"},
	504: lost,
	507: {"QuotaFailure", "", "never/never", "never/never", "never/never"},
	509: throttle,
	418: silent("", ""),
	599: broken,
	307: lost,
}

// TestEveryStatusForReadsAndWrites has the upstream respond with every status to reads and writes, with and without a
// delay.
func TestEveryStatusForReadsAndWrites(t *testing.T) {
	for _, row := range statusRows(t) {
		want, ok := statusExpectations[row.status]
		if !ok {
			t.Errorf("no row for %d", row.status)
			continue
		}
		for i, retryAfter := range []string{"", "3"} {
			call := func(method string) *servicetest.Outcome {
				s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
					if retryAfter != "" {
						rw.Header().Set("Retry-After", retryAfter)
					}
					rw.WriteHeader(row.status)
				})
				switch method {
				case "read":
					return s.Try("RestoreSessionService/GetRestoreSession", &pb.GetRestoreSessionRequest{RestoreSessionId: unknown})
				case "write":
					return s.Try("RestoreSessionService/ActivateRestoreSession", &pb.ActivateRestoreSessionRequest{RestoreSessionId: unknown})
				}
				return s.Try("RestoreSessionService/DeleteRestoreSession", &pb.DeleteRestoreSessionRequest{RestoreSessionId: unknown})
			}
			for method, pushbacks := range map[string]string{"read": want.read, "write": want.write, "delete": want.delete} {
				pushback := strings.Split(pushbacks, "/")[i]
				t.Run(fmt.Sprintf("%d/%s/%s", row.status, method, retryAfter), func(t *testing.T) {
					row := row
					if method != "read" {
						row = row.ofWrite()
					}
					o := call(method)
					if o.Reason() != row.reason || o.Code() != row.code {
						t.Errorf("got %v %s, want %v %s", o.Code(), o.Reason(), row.code, row.reason)
					}
					retry := row.retry == "yes" || row.retry == "read" && method == "read" || row.retry == "if told" && retryAfter != ""
					wantRetry(t, o, strings.TrimSuffix(pushback, "?"), retry)
					metadata := o.Info().GetMetadata()
					if unknown := strings.HasSuffix(pushback, "?"); (metadata["outcome"] == "unknown") != unknown || (metadata["verifyWith"] != "") != unknown {
						t.Errorf("metadata %v, want outcome unknown: %t", metadata, unknown)
					}
					if (metadata["permission"] != "") != (row.code == codes.PermissionDenied) || metadata["httpStatus"] != strconv.Itoa(row.status) {
						t.Errorf("metadata %v", metadata)
					}
					if detail, about := subjectOf(o); row.reason != "OUTCOME_UNKNOWN" && (detail != want.detail || about != want.subject) {
						t.Errorf("it is about %s %s, want %s %s", detail, about, want.detail, want.subject)
					}
				})
			}
		}
	}
}

// wantRetry checks RetryInfo and the pushback.
func wantRetry(t *testing.T, o *servicetest.Outcome, pushback string, retry bool) {
	t.Helper()
	info := servicetest.Detail[*errdetails.RetryInfo](o.Status)
	if (info != nil) != retry {
		t.Errorf("RetryInfo %v, want one: %t", info, retry)
	}
	want := map[string][]string{
		"-": nil, "never": {"-1"}, "delay": {strconv.FormatInt(info.GetRetryDelay().AsDuration().Milliseconds(), 10)},
	}[pushback]
	if got := o.Pushback(); len(got) != len(want) || len(want) == 1 && got[0] != want[0] {
		t.Errorf("pushback %v, want %v", got, want)
	}
}

// subjectOf is the type of the detail that says what an error is about, and what that detail says.
func subjectOf(o *servicetest.Outcome) (kind, about string) {
	switch {
	case servicetest.Detail[*errdetails.ResourceInfo](o.Status) != nil:
		resource := servicetest.Detail[*errdetails.ResourceInfo](o.Status)
		return "ResourceInfo", resource.GetResourceType() + "/" + resource.GetResourceName()
	case servicetest.Detail[*errdetails.PreconditionFailure](o.Status) != nil:
		violation := servicetest.Detail[*errdetails.PreconditionFailure](o.Status).GetViolations()[0]
		return "PreconditionFailure", strings.TrimSuffix(violation.GetType()+" "+violation.GetSubject(), " ")
	case servicetest.Detail[*errdetails.QuotaFailure](o.Status) != nil:
		return "QuotaFailure", ""
	case servicetest.Detail[*errdetails.BadRequest](o.Status) != nil:
		return "BadRequest", ""
	}
	return "", ""
}
