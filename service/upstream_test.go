package service_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func read(s *servicetest.Server) *servicetest.Outcome { return getPolicy(s, unknownPolicy).call }

func write(s *servicetest.Server) *servicetest.Outcome {
	return s.Try(policies+"CreateExchangeProtectionPolicy", workloads[0].create(s, "p", 1, 1))
}

// The deepest known code of a body decides the reason, but 429 and 503 keep their meaning.
func TestTheDeepestKnownCodeDecides(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		reason string
		codes  string
	}{
		{"an inner code", 400, `{"error":{"code":"badRequest","innerError":{"code":"InvalidPolicyId"}}}`, "INVALID_POLICY_ID", "badRequest InvalidPolicyId"},
		{"the deepest of three", 403, `{"error":{"code":"PolicyNotFound","innererror":{"code":"x","innerError":{"code":"PolicyActionNotAllowed"}}}}`, "POLICY_ACTION_NOT_ALLOWED", "PolicyNotFound PolicyActionNotAllowed"},
		{"a known code around an unknown one", 404, `{"error":{"code":"PolicyNotFound","innerError":{"code":"x"}}}`, "POLICY_NOT_FOUND", "PolicyNotFound x"},
		{"a quota called 500", 500, `{"error":{"code":"TooManyActiveRestoreSessions"}}`, "TOO_MANY_ACTIVE_RESTORE_SESSIONS", "TooManyActiveRestoreSessions "},
		{"429 with a known code", 429, `{"error":{"code":"PolicyNotFound"}}`, "TOO_MANY_REQUESTS", "PolicyNotFound "},
		{"503 with a known code", 503, `{"error":{"code":"PolicyNotFound"}}`, "SERVICE_UNAVAILABLE", "PolicyNotFound "},
		{"a code in other letters", 404, `{"error":{"code":"policynotfound"}}`, "POLICY_NOT_FOUND", "policynotfound "},
		{"no wrapper", 404, `{"code":"PolicyNotFound","message":"m"}`, "POLICY_NOT_FOUND", "PolicyNotFound "},
		{"a body that is cut", 404, `{"error":{"code":"PolicyNotFound","mess`, "POLICY_NOT_FOUND", "PolicyNotFound "},
		{"UnknownError as the code of a call", 404, `{"error":{"code":"UnknownError"}}`, "NOT_FOUND", "UnknownError "},
		{"the code of an item as that of a call", 500, `{"error":{"code":"Invalid"}}`, "INTERNAL_SERVER_ERROR", "Invalid "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(c.status)
				rw.Write([]byte(c.body))
			})
			o := read(s)
			metadata := o.Info().GetMetadata()
			if o.Reason() != c.reason || metadata["graphCode"]+" "+metadata["graphInnerCode"] != c.codes {
				t.Errorf("got %s with %v, want %s with %s", o.Reason(), metadata, c.reason, c.codes)
			}
		})
	}
}

func TestAWriteThatFailedInsideGraphMayHaveBeenDone(t *testing.T) {
	for status, want := range map[int]string{500: "unknown", 503: "unknown", 505: "unknown", 520: "unknown", 501: "", 507: ""} {
		s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })
		for name, c := range map[string]struct {
			o    *servicetest.Outcome
			want string
		}{"write": {write(s), want}, "read": {read(s), ""}} {
			metadata := c.o.Info().GetMetadata()
			if metadata["outcome"] != c.want || (metadata["verifyWith"] != "") != (c.want != "") {
				t.Errorf("%s with status %d: metadata %v, want outcome %q", name, status, metadata, c.want)
			}
		}
	}
}

// A gateway that responds with 408 or 502 has lost Graph's response. A known code in its body does not prove that Graph
// refused the write.
func TestACodeFromAGatewayProvesNoRefusal(t *testing.T) {
	for _, status := range []int{408, 502} {
		for code, reason := range map[string]string{"TooManyActiveRestoreSessions": "TOO_MANY_ACTIVE_RESTORE_SESSIONS", "PolicySaveFailed": "POLICY_SAVE_FAILED"} {
			s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(status)
				rw.Write([]byte(`{"error":{"code":"` + code + `"}}`))
			})
			o := write(s)
			metadata := o.Info().GetMetadata()
			if o.Reason() != reason || metadata["outcome"] != "unknown" || metadata["verifyWith"] == "" || o.Pushback()[0] != "-1" {
				t.Errorf("%d %s: %v, pushback %v", status, code, o.Status, o.Pushback())
			}
			if metadata := read(s).Info().GetMetadata(); metadata["outcome"] != "" {
				t.Errorf("%d %s of a read: %v", status, code, metadata)
			}
		}
	}
}

func TestSeparateErrorsOfACallBecomeFieldViolations(t *testing.T) {
	s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusBadRequest)
		details := strings.Repeat(`{"code":"EmailNotFound","message":"one","target":"a@b.example"},`, 60)
		rw.Write([]byte(`{"error":{"code":"InvalidProtectionUnitId","message":"m","details":[` + details + `{"code":"Other"}]}}`))
	})
	o := write(s)
	violations := o.FieldViolations()
	if len(violations) < 3 {
		t.Fatalf("violations: %v", violations)
	}
	for _, v := range violations {
		if v.GetField() != "mailbox_protection_units" || v.GetReason() != "EMAIL_NOT_FOUND" || v.GetDescription() != "a@b.example: EmailNotFound: one" {
			t.Errorf("violation %v", v)
		}
	}
	if left := o.Info().GetMetadata()["violationsLeftOut"]; len(violations) < 50 && left == "" {
		t.Error("nothing says that violations were left out")
	}
}

func TestAnInvalidResponseHasACause(t *testing.T) {
	for cause, body := range map[string]string{
		"syntax": `{"id":`, "wrong-type": `{"value":[{"id":"x"}]}`, "encoding": "", "truncated": `{"id":"x"}`, "redirect": "",
	} {
		t.Run(cause, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
				switch cause {
				case "encoding":
					rw.Header().Set("Content-Encoding", "gzip")
				case "truncated":
					rw.Header().Set("Content-Length", "4000")
				case "redirect":
					rw.Header().Set("Location", "http://127.0.0.1:1/")
					rw.WriteHeader(http.StatusFound)
				}
				rw.Write([]byte(body))
			})
			for name, o := range map[string]*servicetest.Outcome{"GRAPH_RESPONSE_INVALID": read(s), "OUTCOME_UNKNOWN": write(s)} {
				info := o.Info()
				if o.Reason() != name || info.GetDomain() != "m365.backupstorage" || info.GetMetadata()["cause"] != cause {
					t.Errorf("got %v, want %s for %s", o.Status, name, cause)
				}
			}
		})
	}
}

func TestATooLargeResponseIsNotRepeated(t *testing.T) {
	s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Length", strconv.Itoa(9<<20)) })
	o := read(s)
	if o.Reason() != "GRAPH_RESPONSE_INVALID" || o.Info().GetMetadata()["cause"] != "too-large" {
		t.Fatal(o.Status)
	}
	wantRetry(t, o, "never", false)
}

func TestALostWriteIsUnknownAndOneThatWasNotSentIsNot(t *testing.T) {
	s := servicetest.New(t)
	s.Fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Cut: "after"})
	o := write(s)
	metadata := o.Info().GetMetadata()
	if o.Code() != codes.Unknown || o.Reason() != "OUTCOME_UNKNOWN" || metadata["verifyWith"] != "ProtectionPolicyService/ListProtectionPolicies" {
		t.Errorf("lost after the work: %v", o.Status)
	}
	if got := o.Pushback(); len(got) != 1 || got[0] != "-1" {
		t.Errorf("pushback %v", got)
	}
	if got := len(servicetest.Must[pb.ListProtectionPoliciesResponse](s, policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest)).GetProtectionPolicies()); got != 1 {
		t.Errorf("%d policies were made", got)
	}
	gone := servicetest.NewOnEndpoint(t, "http://127.0.0.1:1/v1.0")
	if o := write(gone); o.Code() != codes.Unavailable || o.Reason() != "GRAPH_UNREACHABLE" || o.Pushback()[0] == "-1" {
		t.Errorf("never sent: %v, pushback %v", o.Status, o.Pushback())
	}
}

func TestRetryAfterBecomesRetryInfoAndPushback(t *testing.T) {
	for _, c := range []struct {
		name       string
		status     int
		retryAfter string
		// RetryInfo has at least min, and up to a fifth more by the jitter.
		min         time.Duration
		readPushed  bool
		writePushed bool
	}{
		{"a throttle with a delay", 429, "2", 2 * time.Second, true, true},
		{"a throttle with a fraction", 429, "2.128", 2128 * time.Millisecond, true, true},
		{"a throttle without", 429, "", 10 * time.Second, true, true},
		{"an outage with a delay", 503, "3", 3 * time.Second, true, true},
		{"an outage without", 503, "", 5 * time.Second, true, false},
		{"a delay beyond the deadline", 429, "315", 315 * time.Second, false, false},
		{"less than half a second", 429, "0.1", 500 * time.Millisecond, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) {
				if c.retryAfter != "" {
					rw.Header().Set("Retry-After", c.retryAfter)
				}
				rw.WriteHeader(c.status)
			})
			for name, pushed := range map[string]bool{"read": c.readPushed, "write": c.writePushed} {
				o := map[string]func(*servicetest.Server) *servicetest.Outcome{"read": read, "write": write}[name](s)
				delay := servicetest.Detail[*errdetails.RetryInfo](o.Status).GetRetryDelay().AsDuration()
				if delay < c.min || delay > c.min*6/5 {
					t.Errorf("%s: delay %v, want %v and up to a fifth more", name, delay, c.min)
				}
				want := "-1"
				if pushed {
					want = strconv.FormatInt(delay.Milliseconds(), 10)
				}
				if got := o.Pushback(); len(got) != 1 || got[0] != want {
					t.Errorf("%s: pushback %v, want %s", name, got, want)
				}
			}
		})
	}
}

func TestANextLinkThatLeadsElsewhereIsAnError(t *testing.T) {
	for _, link := range []string{
		"https://evil.example/v1.0/solutions/backupRestore/protectionPolicies?$skiptoken=x", "/v1.0/users", "//evil.example/solutions/backupRestore/x",
		"/solutions/backupRestore/../../users", "/solutions/backupRestore/%2e%2e/users", "/solutions/backupRestore/protectionPolicies",
	} {
		s := servicetest.New(t)
		s.Fault(emulator.Fault{Operation: "GET /protectionPolicies", NextLink: &link})
		response := new(pb.ListProtectionPoliciesResponse)
		o := s.Call(policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), response)
		if o.Reason() != "GRAPH_RESPONSE_INVALID" || o.Info().GetMetadata()["cause"] != "next-link" {
			t.Errorf("%s: %v %v", link, o.Status, response)
		}
	}
}

func TestNothingOfTheTenantReachesTheLog(t *testing.T) {
	const canary = "canary-7f3e"
	s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			rw.Write([]byte(`{"id":"` + canary + `","displayName":"` + canary + `"}`))
		default:
			rw.WriteHeader(http.StatusBadRequest)
			rw.Write([]byte(`{"error":{"code":"InvalidDisplayName","message":"` + canary + `","target":"` + canary + `"}}`))
		}
	})
	servicetest.Must[pb.GetProtectionPolicyResponse](s, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: canary})
	o := s.Try(policies+"CreateExchangeProtectionPolicy", &pb.CreateExchangeProtectionPolicyRequest{DisplayName: canary})
	if !strings.Contains(o.Status.GetMessage(), canary) {
		t.Errorf("Graph's own text on what the caller did is missing: %v", o.Status)
	}
	if strings.Count(s.Log.String(), `"msg":"call"`) != 2 || strings.Contains(s.Log.String(), canary) || strings.Contains(s.Log.String(), emulator.TenantA) {
		t.Errorf("log: %s", s.Log)
	}
}

func TestUnknownMethodsGetATypedError(t *testing.T) {
	s := servicetest.New(t)
	for _, method := range []string{"ProtectionPolicyService/Frobnicate", "NoSuchService/Get"} {
		o := s.Try(method, new(pb.GetBackupRestoreRequest))
		if o.Code() != codes.Unimplemented || o.Reason() != "UNKNOWN_METHOD" || len(o.Trailer.Get("x-request-id")) != 1 {
			t.Errorf("%s: %v %v", method, o.Status, o.Trailer)
		}
		// Whoever mistyped a name sees it.
		if want := `This server has no rpc "/m365.backupstorage.v1.` + method + `".`; o.Status.Message != want {
			t.Errorf("%s: the message is %q, want %q", method, o.Status.Message, want)
		}
	}
	// The name comes from the client: it is cut, and what is not printable is escaped.
	o := s.Try("NoSuchService/"+strings.Repeat("é", 4000), new(pb.GetBackupRestoreRequest))
	if message := o.Status.Message; o.Reason() != "UNKNOWN_METHOD" || len(message) > 512 || !strings.Contains(message, `NoSuchService/\u00e9`) {
		t.Errorf("a long name: %v", o.Status)
	}
}
