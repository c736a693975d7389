package service_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// produced is the error of a row: the Status of a call, or one embedded in a resource of a call that was OK.
type produced struct {
	call     *servicetest.Outcome
	embedded *statuspb.Status
	// item is the id of the resource that embeds the error, if Graph says it.
	item string
	// again makes the failing call once more.
	again func() produced
}

// producer makes an error occur. l is the workload, for rpcs that exist once per workload.
type producer func(s *servicetest.Server, l workload) produced

// producers returns the producer of each row. A key is `section/code`, or `section/code/rpc` where the rpcs of a row
// differ.
func producers(t *testing.T) map[string]producer {
	t.Helper()
	all := make(map[string]producer)
	for _, part := range []map[string]producer{policyErrors, ruleErrors, sessionErrors, artifactErrors, pointErrors, bulkErrors} {
		for key, produce := range part {
			if all[key] != nil {
				t.Errorf("%s is produced twice", key)
			}
			all[key] = produce
		}
	}
	return all
}

const (
	noDynamicSiteRules = "A dynamic rule names groups, and sites are in none: Microsoft has no dynamic rules of sites."
	usersHaveNoURL     = "A request for mailboxes or drives has no field for the URL of a site."
)

// impossible are pairs of error and rpc that Microsoft documents for all workloads alike, although no input and no
// state of this workload can cause them. A scripted response shows how they are translated. The value says why.
var impossible = map[string]string{
	"Create inclusion rule/InvalidRuleExpressionGroupLimitExceeded/CreateSiteInclusionRule":                                                         "A rule of sites looks for names, URLs and times; its expression cannot name a group.",
	"Run inclusion rule/RunNotAllowedForDynamicRule/RunSiteInclusionRule":                                                                           noDynamicSiteRules,
	"Delete inclusion rule by ID/InvalidProtectionRuleStatusForDynamicRuleDeletion/DeleteSiteInclusionRule":                                         noDynamicSiteRules,
	"List restore artifact under a restore session/ArtifactCannotBeRestored/ListSiteRestoreArtifacts":                                               "What cannot be restored is under a preservation lock, which the emulator knows of users only.",
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestSiteUrl/CreateMailboxRestoreArtifactsBulkAdditionRequest": usersHaveNoURL,
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestSiteUrl/CreateDriveRestoreArtifactsBulkAdditionRequest":   usersHaveNoURL,
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestUserEmail/CreateSiteRestoreArtifactsBulkAdditionRequest":  "A request for sites has no field for the address of a user.",
}

func TestEveryDocumentedErrorComesOutTyped(t *testing.T) {
	wanted := expectations(t)
	repeatable := idempotent(t)
	producers := producers(t)
	made, seen := make(map[string]bool), make(map[string]bool)
	for _, row := range documentedErrors(t) {
		for _, rpc := range row.operations {
			key := row.section + "/" + row.graphCode
			pair := key + "/" + rpc
			if producers[pair] != nil {
				key = pair
			}
			made[key], seen[pair] = true, true
			t.Run(strings.ReplaceAll(row.section, " ", "_")+"/"+row.graphCode+"/"+rpc, func(t *testing.T) {
				produce := producers[key]
				if produce == nil {
					t.Fatalf("nothing produces %s", pair)
				}
				s := servicetest.New(t)
				mark := s.Mark()
				got := produce(s, workloadOf(rpc))
				if impossible[pair] == "" {
					checkArises(t, s, mark, row)
				} else {
					if got.matches(row, wanted[row.graphCode]) {
						t.Fatalf("is produced, though it should be impossible: %s", impossible[pair])
					}
					got = scriptRow(s, row, got)
				}
				checkStatus(t, row, wanted[row.graphCode], got, repeatable[rpc], s.LastRequest(mark))
			})
		}
	}
	for key := range producers {
		if !made[key] {
			t.Errorf("%s is produced and not documented", key)
		}
	}
	for pair := range impossible {
		if !seen[pair] {
			t.Errorf("%s is called impossible and not documented", pair)
		}
	}
}

// workloadOf finds the workload of an rpc by its name. Rpcs of all workloads are tried with the first one.
func workloadOf(rpc string) workload {
	for _, l := range workloads {
		if strings.Contains(rpc, l.prefix) || strings.Contains(rpc, l.thing()) {
			return l
		}
	}
	return workloads[0]
}

// things is the prefix of path segments: `mailbox` of mailboxInclusionRules.
func (l workload) things() string { return strings.TrimSuffix(l.units, "ProtectionUnits") }

// thing is the word in the names of rpcs: `Mailbox` of CreateMailboxInclusionRule.
func (l workload) thing() string { return strings.ToUpper(l.things()[:1]) + l.things()[1:] }

func (l workload) kind() emulator.Workload {
	return map[string]emulator.Workload{"Exchange": emulator.Exchange, "OneDrive": emulator.OneDrive, "SharePoint": emulator.SharePoint}[l.name]
}

// matches reports whether the error is the one of a row.
func (p produced) matches(row documented, want expected) bool {
	s := p.call.Status
	if row.status == 200 {
		s = p.embedded
	}
	return s != nil && servicetest.ReasonOf(s) == want.reason
}

// scriptRow makes a call once more, for which the emulator responds with the error of a row.
func scriptRow(s *servicetest.Server, row documented, call produced) produced {
	s.TB.Helper()
	f := emulator.Fault{Operation: "*", Code: row.graphCode}
	if row.status == 200 {
		f = emulator.Fault{Operation: "GET *", InBand: &emulator.InBandError{Code: row.graphCode}}
	}
	s.Fault(f)
	return call.again()
}

const (
	// unknown is an id that nothing has. notGUID can stand in a path, and Graph does not accept it as an id.
	unknown       = "99999999-0000-4000-8000-000000000001"
	unknownPolicy = unknown
	notGUID       = "well-formed"
)

// fails calls an rpc that has to fail.
func fails(s *servicetest.Server, method string, request proto.Message) produced {
	s.TB.Helper()
	return produced{call: s.Try(method, request), again: func() produced { return fails(s, method, request) }}
}

// scripted calls an rpc, for which the emulator responds with a given error.
func scripted(s *servicetest.Server, operation, code, method string, request proto.Message) produced {
	s.TB.Helper()
	s.Fault(emulator.Fault{Operation: operation, Code: code})
	return fails(s, method, request)
}

// wantRaw checks that an error occurs for a request that the contract cannot express.
func wantRaw(s *servicetest.Server, method, path, body string, status int, code string) {
	s.TB.Helper()
	got, response := s.Raw(method, path, body)
	if got != status || !strings.Contains(response, `"`+code+`"`) {
		s.TB.Errorf("%s %s: %d %s, want %d %s", method, path, got, response, status, code)
	}
}

// checkArises checks how the error was caused against the column `arises`. Behaviour and input must not be replaced by
// a scripted response.
func checkArises(t *testing.T, s *servicetest.Server, since uint64, row documented) {
	t.Helper()
	scripted := false
	for _, entry := range s.Requests(since) {
		scripted = scripted || entry.Fault != ""
	}
	if wants := row.arises == "fault" || row.arises == "http"; scripted != wants {
		t.Errorf("scripted: %v, but the error arises by %s", scripted, row.arises)
	}
}

func checkStatus(t *testing.T, row documented, want expected, got produced, repeatable bool, request emulator.Entry) {
	t.Helper()
	if want.reason == "" {
		t.Fatalf("no expectation for %s", row.graphCode)
	}
	s := got.embedded
	if row.status == 200 {
		if got.call.Status != nil {
			t.Fatalf("the call failed: %v", got.call.Status)
		}
	} else if s = got.call.Status; s == nil {
		t.Fatal("the call succeeded")
	}
	if s == nil {
		t.Fatal("no Status is embedded in the resource")
	}
	if codes.Code(s.GetCode()) != want.code || servicetest.ReasonOf(s) != want.reason {
		t.Fatalf("got %v %s, want %v %s", codes.Code(s.GetCode()), servicetest.ReasonOf(s), want.code, want.reason)
	}
	info := servicetest.InfoOf(s)
	if info.GetDomain() != "graph.microsoft.com" || info.GetMetadata()["graphCode"] != row.graphCode {
		t.Errorf("ErrorInfo: %v", info)
	}
	if size := proto.Size(s); size > 4096 {
		t.Errorf("the Status has %d bytes", size)
	}
	checkDetail(t, s, want)
	checkField(t, s, row.arises == "http" || impossible[row.section+"/"+row.graphCode+"/"+rpcOf(info)] != "")
	checkID(t, s, got, request)
	checkRetry(t, s, want, got, repeatable)
	if row.status == 200 {
		if _, ok := info.GetMetadata()["httpStatus"]; ok {
			t.Error("an embedded error has no httpStatus")
		}
		return
	}
	for key, value := range map[string]string{"httpStatus": strconv.Itoa(row.status), "graphRequestId": request.RequestID, "graphClientRequestId": request.ClientRequestID} {
		if info.GetMetadata()[key] != value {
			t.Errorf("metadata %s is %q, want %q", key, info.GetMetadata()[key], value)
		}
	}
	if got := servicetest.Detail[*errdetails.RequestInfo](s).GetRequestId(); got != request.RequestID {
		t.Errorf("RequestInfo has %q, Graph sent %q", got, request.RequestID)
	}
	if id := got.call.Trailer.Get("x-request-id"); len(id) != 1 || id[0] != request.ClientRequestID {
		t.Errorf("trailer x-request-id is %v, Graph was sent %q", id, request.ClientRequestID)
	}
	if len(got.call.Header) != 0 {
		t.Errorf("a header came before the error: %v", got.call.Header)
	}
}

// checkDetail checks that the detail of the table is there, is filled, and is the only one of its kind.
func checkDetail(t *testing.T, s *statuspb.Status, want expected) {
	t.Helper()
	seen := make(map[string]int)
	for _, d := range s.GetDetails() {
		seen[strings.TrimPrefix(d.GetTypeUrl(), "type.googleapis.com/google.rpc.")]++
	}
	for name, count := range seen {
		if count > 1 {
			t.Errorf("%d times %s", count, name)
		}
	}
	for _, name := range []string{"BadRequest", "PreconditionFailure", "QuotaFailure", "ResourceInfo"} {
		if (seen[name] == 1) != (name == want.detail) {
			t.Errorf("details are %v, want %s", seen, want.detail)
		}
	}
	if seen["Help"] != 1 {
		t.Error("Microsoft's page is missing")
	}
	filled := true
	switch want.detail {
	case "BadRequest":
		v := servicetest.FieldViolationsOf(s)
		filled = len(v) == 1 && v[0].GetDescription() != "" && v[0].GetReason() == want.reason
	case "PreconditionFailure":
		v := servicetest.Detail[*errdetails.PreconditionFailure](s).GetViolations()
		filled = len(v) == 1 && v[0].GetType() != "" && v[0].GetSubject() != ""
	case "QuotaFailure":
		v := servicetest.Detail[*errdetails.QuotaFailure](s).GetViolations()
		filled = len(v) == 1 && v[0].GetSubject() != ""
	case "ResourceInfo":
		filled = servicetest.Detail[*errdetails.ResourceInfo](s).GetResourceType() != ""
	}
	if !filled {
		t.Errorf("%s is not filled: %v", want.detail, s)
	}
}

// rpcOf is the short name of the rpc that failed.
func rpcOf(info *errdetails.ErrorInfo) string {
	_, rpc, _ := strings.Cut(info.GetMetadata()["operation"], "/")
	return rpc
}

// checkField checks that the field at fault is a field of the request. There is none when no request of the contract
// can have such a body.
func checkField(t *testing.T, s *statuspb.Status, mayBeNone bool) {
	t.Helper()
	for _, v := range servicetest.FieldViolationsOf(s) {
		operation := servicetest.InfoOf(s).GetMetadata()["operation"]
		name := protoreflect.FullName("m365.backupstorage.v1." + strings.Replace(operation, "/", ".", 1))
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		method, ok := d.(protoreflect.MethodDescriptor)
		if !ok {
			t.Fatalf("%s is no rpc", name)
		}
		if v.GetField() == "" && mayBeNone {
			continue
		}
		if !hasPath(method.Input(), v.GetField()) {
			t.Errorf("the field at fault is %q, which %s does not have", v.GetField(), method.Input().Name())
		}
	}
}

// hasPath reports whether a message has the field of a path such as `filter.protection_unit_ids[0]`.
func hasPath(message protoreflect.MessageDescriptor, path string) bool {
	first, rest, more := strings.Cut(path, ".")
	name, _, element := strings.Cut(first, "[")
	field := message.Fields().ByName(protoreflect.Name(name))
	if field == nil || element && !field.IsList() || more && field.Message() == nil {
		return false
	}
	return !more || hasPath(field.Message(), rest)
}

var guid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// checkID checks the id that the error is about: that of the resource that embeds it, else the last one of the
// request's path.
func checkID(t *testing.T, s *statuspb.Status, got produced, request emulator.Entry) {
	t.Helper()
	var kind, id string
	if v := servicetest.Detail[*errdetails.PreconditionFailure](s).GetViolations(); len(v) == 1 {
		kind, id, _ = strings.Cut(v[0].GetSubject(), "/")
	} else if v := servicetest.Detail[*errdetails.ResourceInfo](s); v != nil {
		kind, id = v.GetResourceType(), v.GetResourceName()
	} else {
		return
	}
	want := got.item
	// Graph does not say which of the units in a body it refused.
	if ids := guid.FindAllString(request.Path, -1); got.embedded == nil && len(ids) > 0 && kind != "protectionUnitBase" {
		want = ids[len(ids)-1]
	}
	if id != want {
		t.Errorf("the error is about %s %q, want %q", kind, id, want)
	}
}

func checkRetry(t *testing.T, s *statuspb.Status, want expected, got produced, repeatable bool) {
	t.Helper()
	retry := servicetest.Detail[*errdetails.RetryInfo](s)
	if (retry != nil) != (want.delay > 0) {
		t.Errorf("RetryInfo is %v, want delay %v", retry, want.delay)
	}
	if delay := retry.GetRetryDelay().AsDuration(); retry != nil && (delay < want.delay || delay > want.delay*6/5) {
		t.Errorf("delay is %v, want %v and up to a fifth more", delay, want.delay)
	}
	if got.embedded != nil {
		if len(got.call.Pushback()) != 0 {
			t.Errorf("pushback %v on a call that was OK", got.call.Pushback())
		}
		return
	}
	var pushback []string
	switch want.code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Unknown, codes.Internal:
		pushback = []string{"-1"}
		if retry != nil && (repeatable || want.sideEffects == "none") {
			pushback = []string{strconv.FormatInt(retry.GetRetryDelay().AsDuration().Milliseconds(), 10)}
		}
	}
	if !slices.Equal(got.call.Pushback(), pushback) {
		t.Errorf("pushback is %v, want %v", got.call.Pushback(), pushback)
	}
}
