package service_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const maxStatusSize = 4096

// hostileError is an error object with a million bytes of text and fifty separate errors. Every character of it is one
// that JSON, percent-encoding or UTF-8 makes longer. The given bytes are put between them. Invalid UTF-8 is possible in
// error bodies only, because a successful response with it is not read at all.
func hostileError(code, bytes string) string {
	piece := "\\u0000%ж\"" + bytes
	text := func(size int) string {
		return strings.Repeat(strings.ReplaceAll(piece, `"`, `\"`), size/len(piece))
	}
	details := make([]string, 50)
	for i := range details {
		details[i] = `{"code":"EmailNotFound","target":"` + text(200) + `","message":"` + text(400) + `"}`
	}
	quoted, err := json.Marshal(code)
	if err != nil {
		panic(err)
	}
	return `{"code":` + string(quoted) + `,"message":"` + text(950_000) + `","target":"` + text(5_000) + `","details":[` + strings.Join(details, ",") +
		`],"innerError":{"code":"` + strings.Repeat("x", 64) + `","date":"2030-01-01T00:00:00"}}`
}

// hostileResponse responds with that error, with ids and headers as long as the server keeps, and with a delay.
func hostileResponse(status int, code string) http.HandlerFunc {
	body := []byte(`{"error":` + hostileError(code, "\xff\xc3") + `}`)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("request-id", strings.Repeat("r", 128))
		w.Header().Set("client-request-id", strings.Repeat("c", 128))
		w.Header().Set("Retry-After", "7")
		w.Header().Add("WWW-Authenticate", strings.Repeat("w", 50_000))
		w.WriteHeader(status)
		w.Write(body)
	}
}

// longID is the longest id that can stand in a path.
var longID = strings.Repeat("i", 256)

// wantSmall checks that a Status is small, is UTF-8, and has what a program needs.
func wantSmall(t *testing.T, s *statuspb.Status, reason string, code codes.Code, retry bool) {
	t.Helper()
	if got := codes.Code(s.GetCode()); got != code || servicetest.ReasonOf(s) != reason {
		t.Errorf("got %v %s, want %v %s", got, servicetest.ReasonOf(s), code, reason)
	}
	if size := proto.Size(s); size > maxStatusSize {
		t.Errorf("%s: the Status has %d bytes", reason, size)
	}
	if got := servicetest.Detail[*errdetails.RetryInfo](s) != nil; got != retry {
		t.Errorf("%s: RetryInfo is there: %v, want %v", reason, got, retry)
	}
	if !utf8.ValidString(s.GetMessage()) || len(s.GetMessage()) > 512 {
		t.Errorf("%s: the message has %d bytes", reason, len(s.GetMessage()))
	}
	for key, value := range servicetest.InfoOf(s).GetMetadata() {
		if len(value) > 256 {
			t.Errorf("%s: metadata %s has %d bytes", reason, key, len(value))
		}
	}
}

// headerList is the size of the header block of an error, as HTTP/2 counts it.
func headerList(o *servicetest.Outcome) int {
	details, err := proto.Marshal(o.Status)
	if err != nil {
		return 0
	}
	fields := map[string]string{
		":status": "200", "grpc-status": strconv.Itoa(int(o.Status.GetCode())), "grpc-status-details-bin": base64.RawStdEncoding.EncodeToString(details),
		// gRPC escapes fewer characters, so this is a little too much.
		"grpc-message": url.PathEscape(o.Status.GetMessage()),
	}
	for key, values := range o.Trailer {
		// The client has decoded the binary ones.
		if !strings.HasSuffix(key, "-bin") {
			fields[key] = strings.Join(values, ",")
		}
	}
	size := 0
	for key, value := range fields {
		size += len(key) + len(value) + 32
	}
	return size
}

// Every reason comes with a Status and headers of a readable size, no matter what Graph says with it.
func TestEveryReasonIsReadableWithAnyText(t *testing.T) {
	largest, largestList := 0, 0
	check := func(t *testing.T, o *servicetest.Outcome, reason string, code codes.Code, retry bool) {
		t.Helper()
		wantSmall(t, o.Status, reason, code, retry)
		largest, largestList = max(largest, proto.Size(o.Status)), max(largestList, headerList(o))
		if got := servicetest.Detail[*errdetails.RequestInfo](o.Status).GetRequestId(); got != strings.Repeat("r", 128) {
			t.Errorf("%s: RequestInfo has %q", reason, got)
		}
		if size := headerList(o); size > headerLimit {
			t.Errorf("%s: the header block has %d bytes", reason, size)
		}
	}
	// calls makes a read and a write whose requests are as long as possible.
	calls := func(t *testing.T, status int, code string) map[bool]*servicetest.Outcome {
		upstream := newHostile(t, hostileResponse(status, code))
		return map[bool]*servicetest.Outcome{
			false: upstream.Try(policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: longID}),
			true:  upstream.Try(policies+"UpdateExchangeProtectionPolicy", workloads[0].update(upstream, longID, 1, 50)),
		}
	}
	statuses := make(map[string]int)
	for _, row := range documentedErrors(t) {
		if row.status != 200 {
			statuses[row.graphCode] = row.status
		}
	}
	for code, want := range expectations(t) {
		if code == "UnknownError" || code == "Invalid" {
			continue // As the code of a call they say nothing.
		}
		t.Run(code, func(t *testing.T) {
			status := statuses[code]
			if status == 0 {
				status = http.StatusConflict
			}
			for _, o := range calls(t, status, code) {
				check(t, o, want.reason, want.code, want.delay > 0)
			}
		})
	}
	for _, row := range table(t, "http_status_errors.tsv") {
		t.Run(row[0], func(t *testing.T) {
			number, err := strconv.Atoi(strings.NewReplacer("4xx", "418", "5xx", "599", "3xx", "307").Replace(row[0]))
			if err != nil {
				t.Fatal(err)
			}
			for write, o := range calls(t, number, strings.Repeat("ж", 300)) {
				reason, code, retry := row[1], readCode(t, row[2]), row[3] == "yes" || row[3] == "if told" || row[3] == "read"
				if write && (number == 408 || number == 502 || number == 504 || number == 307) {
					reason, code, retry = "OUTCOME_UNKNOWN", codes.Unknown, false
				}
				check(t, o, reason, code, retry)
			}
		})
	}
	t.Run("a user's token is refused", func(t *testing.T) {
		s := newHostile(t, hostileResponse(http.StatusUnauthorized, "InvalidAuthenticationToken"))
		o := callFor(s, []string{assertion("u", 1)}, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: longID}, new(pb.GetProtectionPolicyResponse))
		check(t, o, "DELEGATED_TOKEN_REJECTED", codes.Unauthenticated, false)
	})
	t.Run("claims are wanted", func(t *testing.T) {
		handler := hostileResponse(http.StatusForbidden, "accessDenied")
		s := newHostile(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Add("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(`{"access_token":{}}`))+`"`)
			handler(rw, r)
		})
		o := s.Try(policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: longID})
		check(t, o, "INSUFFICIENT_CLAIMS", codes.PermissionDenied, false)
	})
	t.Logf("the largest Status has %d bytes, the largest header block %d", largest, largestList)
	if largest < maxStatusSize/4 {
		t.Errorf("the largest Status has %d bytes: the bodies are not hostile", largest)
	}
}

// The same holds for a Status that is embedded in a resource.
func TestEveryEmbeddedReasonIsSmallWithAnyText(t *testing.T) {
	for code, want := range expectations(t) {
		t.Run(code, func(t *testing.T) {
			s := newHostile(t, servicetest.Respond(200, `{"id":"`+longID+`","error":`+hostileError(code, "")+`}`))
			got := getUnit(s, longID)
			if got.call.Status != nil {
				t.Fatalf("the call failed: %v", got.call.Status)
			}
			wantSmall(t, got.embedded, want.reason, want.code, want.delay > 0)
		})
	}
	t.Run("failed resources", func(t *testing.T) {
		s := newHostile(t, servicetest.Respond(200, `{"id":"1","error":`+hostileError("ProtectionResourcesNotFound", "")+`}`))
		job := servicetest.Must[pb.GetMailboxProtectionUnitsBulkAdditionJobResponse](s, "ProtectionUnitBulkAdditionJobService/GetMailboxProtectionUnitsBulkAdditionJob",
			&pb.GetMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: unknownPolicy, BulkAdditionJobId: unknown}).GetBulkAdditionJob()
		wantSmall(t, job.GetError(), "PROTECTION_RESOURCES_NOT_FOUND", codes.NotFound, false)
		if len(job.GetFailedResources()) != 50 {
			t.Fatalf("%d failed resources, want 50", len(job.GetFailedResources()))
		}
		for _, failed := range job.GetFailedResources() {
			wantSmall(t, failed.GetError(), "EMAIL_NOT_FOUND", codes.NotFound, false)
		}
	})
}

// Few separate errors are reported in full and many are cut, so the largest Status comes from a number in between.
func TestAnyNumberOfSeparateErrorsIsReadable(t *testing.T) {
	var body atomic.Value
	s := newHostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("request-id", strings.Repeat("r", 128))
		w.WriteHeader(http.StatusBadRequest)
		w.Write(body.Load().([]byte))
	})
	text, one := strings.Repeat("ж%", 400), `{"code":"EmailNotFound","message":"`+strings.Repeat("ж", 30)+`"}`
	largest, largestList := 0, 0
	for n := range 51 {
		details := strings.TrimSuffix(strings.Repeat(one+",", n), ",")
		body.Store([]byte(`{"error":{"code":"InvalidProtectionUnitId","message":"` + text + `","details":[` + details + `]}}`))
		o := s.Try(policies+"UpdateExchangeProtectionPolicy", workloads[0].update(s, longID, 1, 50))
		wantSmall(t, o.Status, "INVALID_PROTECTION_UNIT_ID", codes.InvalidArgument, false)
		violations := len(o.FieldViolations())
		left, _ := strconv.Atoi(o.Info().GetMetadata()["violationsLeftOut"])
		if violations+left != max(n, 1) {
			t.Errorf("%d separate errors: %d are kept and %d left out", n, violations, left)
		}
		largest, largestList = max(largest, proto.Size(o.Status)), max(largestList, headerList(o))
	}
	t.Logf("the largest Status has %d bytes, the largest header block %d", largest, largestList)
	if largest < maxStatusSize*9/10 || largestList > headerLimit {
		t.Errorf("the largest Status has %d bytes, the largest header block %d", largest, largestList)
	}
}

// The server's own reasons have no text of Graph's. They must not repeat a long request either.
func TestOwnReasonsAreReadableWithAnyRequest(t *testing.T) {
	huge := strings.Repeat("ж%", 100_000)
	for name, c := range map[string]struct {
		method  string
		request proto.Message
	}{
		"INVALID_RESOURCE_ID": {apps + "GetServiceApp", &pb.GetServiceAppRequest{ServiceAppId: huge}},
		"INVALID_POLICY_ID":   {policies + "GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: huge}},
		"INVALID_PAGE_TOKEN":  {policies + "ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageToken: huge}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newGoldenServer(t).Try(c.method, c.request)
			wantSmall(t, o.Status, name, codes.InvalidArgument, false)
			if strings.Contains(fmt.Sprint(o.Status), "ж") {
				t.Errorf("the request is in the Status: %v", o.Status)
			}
		})
	}
}

// readCode reads a code of the table. Where reads and writes differ, it is that of reads.
func readCode(t *testing.T, text string) codes.Code {
	t.Helper()
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "read: "), ";")
	number, ok := code.Code_value[text]
	if !ok {
		t.Fatalf("%q is no code", text)
	}
	return codes.Code(number)
}

func newHostile(t *testing.T, handler http.HandlerFunc) *servicetest.Server {
	t.Helper()
	s := servicetest.NewOnHandler(t, handler)
	return newGoldenServerOn(t, s.Endpoint)
}
