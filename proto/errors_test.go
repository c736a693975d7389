package proto_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	backupstoragev1 "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const (
	graphDomain = "graph.microsoft.com"
	ownDomain   = "m365.backupstorage"
)

// reason is a value of ErrorReason with its option.
type reason struct {
	name   string
	number int
	spec   *backupstoragev1.ErrorSpec
}

// reasons returns all values but the unspecified one, in the order of the file.
func reasons() []reason {
	var all []reason
	values := backupstoragev1.ErrorReason(0).Descriptor().Values()
	for i := range values.Len() {
		v := values.Get(i)
		if v.Number() == 0 {
			continue
		}
		spec, _ := proto.GetExtension(v.Options(), backupstoragev1.E_ErrorSpec).(*backupstoragev1.ErrorSpec)
		all = append(all, reason{name: string(v.Name()), number: int(v.Number()), spec: spec})
	}
	return all
}

func reasonsByName() map[string]reason {
	all := map[string]reason{}
	for _, r := range reasons() {
		all[r.name] = r
	}
	return all
}

func TestRPCsListTheirDocumentedErrors(t *testing.T) {
	byCode := map[string]string{}
	for _, r := range reasons() {
		for _, code := range r.spec.GetGraphCode() {
			byCode[code] = r.name
		}
	}
	documented := table(t, "documented_errors.tsv")
	want := map[string]map[string]bool{}
	sections := map[string]map[string]bool{}
	var wrong []string
	for _, e := range documented {
		name, ok := byCode[e["graph_code"]]
		if !ok {
			wrong = append(wrong, e["graph_code"]+": no reason has this code")
			continue
		}
		if !slices.Contains([]string{"input", "state", "http", "fault"}, e["arises"]) {
			wrong = append(wrong, fmt.Sprintf("%s: arises from %q", e["graph_code"], e["arises"]))
		}
		for operation := range strings.FieldsSeq(e["operations"]) {
			if want[operation] == nil {
				want[operation], sections[operation] = map[string]bool{}, map[string]bool{}
			}
			want[operation][name] = true
			sections[operation][e["section"]] = true
		}
	}
	if len(documented) != 99 {
		wrong = append(wrong, fmt.Sprintf("documented_errors.tsv: %d rows, want 99", len(documented)))
	}
	for _, r := range rpcs() {
		listed := map[string]bool{}
		for _, e := range r.call.GetErrors() {
			if listed[e.String()] {
				wrong = append(wrong, fmt.Sprintf("%s: lists %s twice", r.name(), e))
			}
			listed[e.String()] = true
			if !want[r.name()][e.String()] {
				wrong = append(wrong, fmt.Sprintf("%s: lists %s, which is not documented for it", r.name(), e))
			}
		}
		for _, name := range sortedKeys(want[r.name()]) {
			if !listed[name] {
				wrong = append(wrong, fmt.Sprintf("%s: does not list %s", r.name(), name))
			}
		}
		delete(want, r.name())
	}
	for _, name := range sortedKeys(want) {
		wrong = append(wrong, name+": has documented errors and no rpc")
	}
	for _, operation := range table(t, "operations.tsv") {
		if section := operation["error_section"]; section != "-" && !sections[operation["rpc"]][section] {
			wrong = append(wrong, fmt.Sprintf("%s: no row of section %q", operation["rpc"], section))
		}
	}
	report(t, wrong)
}

func TestReasonsHaveACompleteSpec(t *testing.T) {
	format := regexp.MustCompile(`^[A-Z][A-Z0-9_]+[A-Z0-9]$`)
	codes := map[string]string{}
	statuses := map[int32]string{}
	var wrong []string
	for _, r := range reasons() {
		bad := func(f string, args ...any) { wrong = append(wrong, r.name+": "+fmt.Sprintf(f, args...)) }
		if r.spec == nil {
			bad("has no error_spec")
			continue
		}
		if !format.MatchString(r.name) || len(r.name) > 63 {
			bad("is not valid as the reason of an ErrorInfo")
		}
		if code := r.spec.GetCode(); code == 0 || code > 16 {
			bad("code is %s", code)
		}
		if summary := r.spec.GetSummary(); summary == "" || len(summary) > 200 || strings.HasSuffix(summary, ".") {
			bad("summary is %q", summary)
		}
		if resolution := r.spec.GetResolution(); resolution == "" || len(resolution) > 200 || strings.HasSuffix(resolution, ".") {
			bad("resolution is %q", resolution)
		}
		if r.spec.GetFault() == backupstoragev1.ErrorSpec_FAULT_UNSPECIFIED {
			bad("has no fault")
		}
		delay := r.spec.GetRetryDelay().AsDuration()
		switch r.spec.GetRetry() {
		case backupstoragev1.ErrorSpec_AFTER_DELAY:
			if delay < 500*time.Millisecond || delay > time.Hour {
				bad("retry_delay is %s", delay)
			}
		case backupstoragev1.ErrorSpec_IF_TOLD:
			// Graph sends no Retry-After for a reason with a second code. The reason therefore has its own delay.
			if second := r.spec.GetCodeWithRetryInfo() != 0; second != (r.spec.RetryDelay != nil) || second && delay < 500*time.Millisecond {
				bad("retry_delay is %s and code_with_retry_info %s", delay, r.spec.GetCodeWithRetryInfo())
			}
		case backupstoragev1.ErrorSpec_NEVER:
			if r.spec.RetryDelay != nil {
				bad("has a retry_delay and retry %s", r.spec.GetRetry())
			}
		default:
			bad("retry is %s", r.spec.GetRetry())
		}
		if second := r.spec.GetCodeWithRetryInfo(); second != 0 &&
			(second == r.spec.GetCode() || second > 16 || r.spec.GetRetry() != backupstoragev1.ErrorSpec_IF_TOLD) {
			bad("code_with_retry_info is %s, with code %s and retry %s", second, r.spec.GetCode(), r.spec.GetRetry())
		}
		own := r.number > 200
		switch domain := r.spec.GetDomain(); {
		case own && domain != ownDomain, !own && domain != graphDomain:
			bad("domain of number %d is %q", r.number, domain)
		case r.number < 100 && len(r.spec.GetGraphCode()) == 0, own && len(r.spec.GetGraphCode()) > 0:
			bad("number %d has %d codes of Graph", r.number, len(r.spec.GetGraphCode()))
		}
		for _, code := range r.spec.GetGraphCode() {
			// The server ignores the case of Graph's codes.
			if other := codes[strings.ToLower(code)]; other != "" {
				bad("shares the code %s with %s", code, other)
			}
			codes[strings.ToLower(code)] = r.name
		}
		if status := r.spec.GetHttpStatus(); status != 0 {
			if other := statuses[status]; other != "" {
				bad("shares the status %d with %s", status, other)
			}
			statuses[status] = r.name
		}
		want := func(ok bool) {
			if !ok {
				bad("detail is %s, with the typed detail %v", r.spec.GetDetail(), r.spec.GetTypedDetail())
			}
		}
		label := regexp.MustCompile(`^[A-Z][A-Z_]+[A-Z]$`)
		switch r.spec.GetDetail() {
		case backupstoragev1.ErrorSpec_DETAIL_UNSPECIFIED:
			want(r.spec.GetTypedDetail() == nil)
		case backupstoragev1.ErrorSpec_BAD_REQUEST:
			// Another test checks the fields. There can be none.
			want(r.spec.GetFieldViolation() != nil)
		case backupstoragev1.ErrorSpec_PRECONDITION_FAILURE:
			want(label.MatchString(r.spec.GetPrecondition().GetType()) && len(r.spec.GetPrecondition().GetSubjects()) > 0)
		case backupstoragev1.ErrorSpec_QUOTA_FAILURE:
			want(label.MatchString(r.spec.GetQuota().GetSubject()))
		case backupstoragev1.ErrorSpec_RESOURCE_INFO:
			want(len(r.spec.GetResource().GetResources()) > 0)
		}
	}
	report(t, wrong)
}

// resourcesOf returns the resources that a reason can name.
func resourcesOf(spec *backupstoragev1.ErrorSpec) []*backupstoragev1.ErrorSpec_Resource {
	return append(spec.GetPrecondition().GetSubjects(), spec.GetResource().GetResources()...)
}

// A reason that any rpc can have names the resource of the last id in the rpc's path.
func TestStatusNamesTheLastResourceOfThePath(t *testing.T) {
	byName := reasonsByName()
	variable := regexp.MustCompile(`\{([^}]+)\}`)
	var wrong []string
	for _, name := range []string{"NOT_FOUND", "GONE", "PRECONDITION_FAILED", "LOCKED"} {
		for _, r := range rpcs() {
			want := ""
			if ids := variable.FindAllStringSubmatch(r.call.GetPath(), -1); len(ids) > 0 {
				want = ids[len(ids)-1][1]
			}
			if r.name() == "ListRestorePoints" {
				// Its query has the id of the unit.
				want = "protection_unit_id"
			}
			got := ""
			for _, resource := range resourcesOf(byName[name].spec) {
				if field := resource.GetIdField(); field != "" && r.Input().Fields().ByName(protoreflect.Name(field)) != nil {
					got = field
					break
				}
			}
			if got != want {
				wrong = append(wrong, fmt.Sprintf("%s of %s names the resource of %q, want %q", name, r.name(), got, want))
			}
		}
	}
	report(t, wrong)
}

// requestFields returns the fields of all requests, with the rpcs that have them.
func requestFields() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, r := range rpcs() {
		for i := range r.Input().Fields().Len() {
			name := string(r.Input().Fields().Get(i).Name())
			if all[name] == nil {
				all[name] = map[string]bool{}
			}
			all[name][r.name()] = true
		}
	}
	return all
}

// Every field that a reason names is a field of a request, and every resource has a type of Graph.
func TestReasonsNameFieldsOfRequests(t *testing.T) {
	fields := requestFields()
	s := readSchema(t)
	excepted := readExceptions(t, "field_exceptions.tsv", "rpc", "error_reason")
	metadata := []string{"x-tenant-id", "x-user-assertion"}
	others := []string{"application", "tenant", "resource", "user", "site"}
	byName := reasonsByName()
	var wrong []string
	for _, r := range reasons() {
		named := slices.Concat(r.spec.GetFieldViolation().GetFields(), r.spec.GetPathIds())
		for _, resource := range resourcesOf(r.spec) {
			kind := resource.GetType()
			if _, ok := s.base[kind]; !ok && !slices.Contains(others, kind) && !slices.Contains(metadata, kind) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is not a type of Graph", r.name, kind))
			}
			if resource.GetIdField() != "" {
				named = append(named, resource.GetIdField())
			}
		}
		for _, field := range named {
			if len(fields[field]) == 0 && !slices.Contains(metadata, field) {
				wrong = append(wrong, fmt.Sprintf("%s: no request has %s", r.name, field))
			}
		}
	}
	// An rpc that documents a reason has at least one of its fields.
	for _, r := range rpcs() {
		for _, e := range r.call.GetErrors() {
			spec := byName[e.String()].spec
			if spec.GetDetail() != backupstoragev1.ErrorSpec_BAD_REQUEST || len(spec.GetFieldViolation().GetFields()) == 0 {
				continue
			}
			has := slices.ContainsFunc(spec.GetFieldViolation().GetFields(), func(field string) bool { return fields[field][r.name()] })
			if !has && !excepted.has(r.name()+"."+e.String()) {
				wrong = append(wrong, fmt.Sprintf("%s: documents %s and has none of its fields: %v", r.name(), e, spec.GetFieldViolation().GetFields()))
			}
		}
	}
	report(t, wrong)
}

func TestEveryReasonAgreesWithTheTableOfCodes(t *testing.T) {
	details := map[string]backupstoragev1.ErrorSpec_Detail{
		"-":                   backupstoragev1.ErrorSpec_DETAIL_UNSPECIFIED,
		"BadRequest":          backupstoragev1.ErrorSpec_BAD_REQUEST,
		"PreconditionFailure": backupstoragev1.ErrorSpec_PRECONDITION_FAILURE,
		"QuotaFailure":        backupstoragev1.ErrorSpec_QUOTA_FAILURE,
		"ResourceInfo":        backupstoragev1.ErrorSpec_RESOURCE_INFO,
	}
	sideEffects := map[string]backupstoragev1.ErrorSpec_SideEffects{
		"-":        backupstoragev1.ErrorSpec_SIDE_EFFECTS_UNSPECIFIED,
		"none":     backupstoragev1.ErrorSpec_NONE,
		"may_have": backupstoragev1.ErrorSpec_POSSIBLE,
	}
	byName := reasonsByName()
	var wrong []string
	seen := map[string]bool{}
	for _, entry := range table(t, "error_reasons.tsv") {
		r, ok := byName[entry["reason"]]
		if !ok || r.number >= 100 {
			wrong = append(wrong, entry["reason"]+": is not a reason for a code of Graph")
			continue
		}
		seen[r.name] = true
		bad := func(what string, got, want any) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v, want %v", r.name, what, got, want))
		}
		if !slices.Contains(r.spec.GetGraphCode(), entry["graph_code"]) {
			bad("graph_code", r.spec.GetGraphCode(), entry["graph_code"])
		}
		if got := r.spec.GetCode().String(); got != entry["grpc_code"] {
			bad("code", got, entry["grpc_code"])
		}
		wantRetry, wantDelay := backupstoragev1.ErrorSpec_NEVER, time.Duration(0)
		if entry["retry_delay"] != "-" {
			delay, err := time.ParseDuration(entry["retry_delay"])
			if err != nil {
				t.Fatal(err)
			}
			wantRetry, wantDelay = backupstoragev1.ErrorSpec_AFTER_DELAY, delay
		}
		if got := r.spec.GetRetry(); got != wantRetry {
			bad("retry", got, wantRetry)
		}
		if got := r.spec.GetRetryDelay().AsDuration(); got != wantDelay {
			bad("retry_delay", got, wantDelay)
		}
		if want, ok := sideEffects[entry["work_done"]]; !ok || r.spec.GetSideEffects() != want {
			bad("side_effects", r.spec.GetSideEffects(), entry["work_done"])
		}
		if want, ok := details[entry["detail"]]; !ok || r.spec.GetDetail() != want {
			bad("detail", r.spec.GetDetail(), entry["detail"])
		}
	}
	for _, r := range reasons() {
		if r.number < 100 && !seen[r.name] {
			wrong = append(wrong, r.name+": is not in the table")
		}
	}
	report(t, wrong)
}

func TestEveryStatusWithoutAKnownCodeHasItsReason(t *testing.T) {
	retries := map[string]backupstoragev1.ErrorSpec_Retry{
		"no":      backupstoragev1.ErrorSpec_NEVER,
		"if told": backupstoragev1.ErrorSpec_IF_TOLD,
		"yes":     backupstoragev1.ErrorSpec_AFTER_DELAY,
		"read":    backupstoragev1.ErrorSpec_AFTER_DELAY, // For a write the reason is OUTCOME_UNKNOWN.
	}
	byName := reasonsByName()
	var wrong []string
	seen := map[string]bool{}
	for _, entry := range table(t, "http_status_errors.tsv") {
		r, ok := byName[entry["reason"]]
		if !ok {
			wrong = append(wrong, entry["reason"]+": is not a reason")
			continue
		}
		seen[r.name] = true
		bad := func(what string, got, want any) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v, want %v", r.name, what, got, want))
		}
		// 3xx, 4xx and 5xx are for all other statuses. They have no http_status.
		want, err := strconv.Atoi(entry["status"])
		if err != nil && !regexp.MustCompile(`^[345]xx$`).MatchString(entry["status"]) {
			bad("status", entry["status"], "a number or a class")
		}
		if got := int(r.spec.GetHttpStatus()); got != want {
			bad("http_status", got, want)
		}
		if got := r.spec.GetCode().String(); got != entry["code"] {
			bad("code", got, entry["code"])
		}
		if want, ok := retries[entry["retry_info"]]; !ok || r.spec.GetRetry() != want {
			bad("retry", r.spec.GetRetry(), entry["retry_info"])
		}
	}
	for _, r := range reasons() {
		if (r.spec.GetHttpStatus() != 0 || r.number > 100 && r.number < 150) && !seen[r.name] {
			wrong = append(wrong, r.name+": is not in the table")
		}
	}
	report(t, wrong)
}

// Clients rely on this list. A line changes only by hand, and only before a release that breaks the contract.
func TestReasonsAreFrozen(t *testing.T) {
	data, err := os.ReadFile("testdata/reasons.txt")
	if err != nil {
		t.Fatal(err)
	}
	var frozen, now []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			frozen = append(frozen, strings.Join(strings.Fields(line), " "))
		}
	}
	for _, r := range reasons() {
		codes := r.spec.GetCode().String()
		if second := r.spec.GetCodeWithRetryInfo(); second != 0 {
			codes += "|" + second.String()
		}
		now = append(now, fmt.Sprintf("%s %d %s %s %s", r.name, r.number, codes, r.spec.GetRetry(), r.spec.GetDomain()))
	}
	var wrong []string
	for _, line := range frozen {
		if !slices.Contains(now, line) {
			wrong = append(wrong, "gone: "+line)
		}
	}
	for _, line := range now {
		if !slices.Contains(frozen, line) {
			wrong = append(wrong, "new:  "+line)
		}
	}
	report(t, wrong)
}

// The comment of a reason shows its ErrorInfo as JSON. The generated code has no comments, so the test reads the file.
func TestEveryReasonShowsItsErrorInfo(t *testing.T) {
	data, err := os.ReadFile("m365/backupstorage/v1/error_reason.proto")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	example := ""
	value := regexp.MustCompile(`^  ([A-Z][A-Z0-9_]+) = \d+`)
	for line := range strings.SplitSeq(string(data), "\n") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "// ErrorInfo: `"); ok {
			example = strings.TrimSuffix(text, "`")
		} else if found := value.FindStringSubmatch(line); found != nil {
			shown[found[1]], example = example, ""
		}
	}
	var wrong []string
	for _, r := range reasons() {
		var info struct {
			Reason   string            `json:"reason"`
			Domain   string            `json:"domain"`
			Metadata map[string]string `json:"metadata"`
		}
		if err := json.Unmarshal([]byte(shown[r.name]), &info); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: shows %q: %v", r.name, shown[r.name], err))
			continue
		}
		bad := func(what string, got, want any) {
			wrong = append(wrong, fmt.Sprintf("%s: shows %s %v, want %v", r.name, what, got, want))
		}
		if info.Reason != r.name {
			bad("reason", info.Reason, r.name)
		}
		if info.Domain != r.spec.GetDomain() {
			bad("domain", info.Domain, r.spec.GetDomain())
		}
		// A reason of an HTTP status can also have codes, but few of its Statuses have one.
		if codes := r.spec.GetGraphCode(); len(codes) > 0 && r.number < 100 && !slices.Contains(codes, info.Metadata["graphCode"]) {
			bad("graphCode", info.Metadata["graphCode"], codes)
		} else if len(codes) == 0 && info.Metadata["graphCode"] != "" {
			bad("graphCode", info.Metadata["graphCode"], "none")
		}
		if limit := r.spec.GetDocumentedLimit(); limit != 0 && info.Metadata["documentedLimit"] != strconv.Itoa(int(limit)) {
			bad("documentedLimit", info.Metadata["documentedLimit"], limit)
		}
		if status := r.spec.GetHttpStatus(); status != 0 && info.Metadata["httpStatus"] != strconv.Itoa(int(status)) {
			bad("httpStatus", info.Metadata["httpStatus"], status)
		}
	}
	report(t, wrong)
}

func TestErrorsJSONNamesOperationsLikeErrorInfo(t *testing.T) {
	text, err := os.ReadFile("errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Reason     string
		Operations []string
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	named := map[string][]string{}
	for _, e := range entries {
		named[e.Reason] = e.Operations
	}
	documented := map[string][]string{}
	for _, r := range rpcs() {
		for _, e := range r.call.GetErrors() {
			documented[e.String()] = append(documented[e.String()], fmt.Sprintf("%s/%s", r.Parent().Name(), r.Name()))
		}
	}
	// The operation in the metadata of a Status, as a client reads it.
	operation := regexp.MustCompile(`(?m)^      operation: (.+)$`)
	came := statuses(t)
	var wrong []string
	for _, r := range reasons() {
		want := documented[r.name]
		slices.Sort(want)
		got := slices.Sorted(slices.Values(named[r.name]))
		if !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s: errors.json names %v, want %v", r.name, got, want))
		}
		if found := operation.FindStringSubmatch(came[r.name]); found != nil && len(got) > 0 && !slices.Contains(got, found[1]) {
			wrong = append(wrong, fmt.Sprintf("%s: came from %s, which errors.json does not name: %v", r.name, found[1], got))
		}
	}
	report(t, wrong)
}

// Graph has replicas: what was just created can be missing in one of them for some seconds. A caller who discards the
// id then has lost what it created.
func TestNotFoundAdvisesToLookAgain(t *testing.T) {
	for _, name := range []string{
		"NOT_FOUND", "POLICY_NOT_FOUND", "PROTECTION_UNIT_NOT_FOUND", "PROTECTION_RULE_NOT_FOUND",
		"RESTORE_SESSION_NOT_FOUND", "BULK_RESTORE_ARTIFACTS_NOT_FOUND",
	} {
		if text := reasonsByName()[name].spec.GetResolution(); !strings.Contains(text, "look again for up to 30 seconds") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
