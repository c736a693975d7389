package service_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// TestStoriesCarryOutEveryOperation runs the lifecycle of each workload, and the takeover by an app, each on a server
// of its own. Together they have to carry out every documented operation.
func TestStoriesCarryOutEveryOperation(t *testing.T) {
	seen := newCoverage(t)
	for _, p := range workloadCases {
		t.Run(p.name, func(t *testing.T) {
			newStory(t, p, seen).runLifecycle()
		})
	}
	t.Run("ServiceApp", func(t *testing.T) { newStory(t, workloadCases[0], seen).runTakeover() })
	if !t.Failed() {
		seen.check(t)
	}
}

// workloadCase is what differs between the lifecycles.
type workloadCase struct {
	workload
	// unit is the word for a protected object in the names of rpcs, field that in the names of fields.
	unit, field string
	// id is the field with the id of an object.
	id string
	// addresses and ids are the fields of bulk requests. address is the address of the n-th object.
	addresses, ids string
	address        func(n int) string
	// missing is an address that does not exist, and notFound the reason that a job has for it.
	missing, notFound string
	// partial is the prefix of fields for restores of parts: `granular_drive`.
	partial string
}

var workloadCases = []workloadCase{
	{
		workload: workloads[0], unit: "Mailbox", field: "mailbox", id: "directory_object_id",
		addresses: "mailboxes", ids: "directory_object_ids", address: mailOf,
		missing: "nobody@b.example", notFound: "EMAIL_NOT_FOUND", partial: "granular_mailbox",
	},
	{
		workload: workloads[1], unit: "Drive", field: "drive", id: "directory_object_id",
		addresses: "drives", ids: "directory_object_ids", address: mailOf,
		missing: "nobody@b.example", notFound: "EMAIL_NOT_FOUND", partial: "granular_drive",
	},
	{
		workload: workloads[2], unit: "Site", field: "site", id: "site_id",
		addresses: "site_web_urls", ids: "site_ids",
		address: func(n int) string { return fmt.Sprintf("https://b.sharepoint.example/sites/site-%d", n) },
		missing: "https://b.sharepoint.example/sites/nowhere", notFound: "SITE_URL_NOT_FOUND", partial: "granular_site",
	},
}

// mailOf is the mail address of some users of tenant B, which a caller knows from the directory.
func mailOf(n int) string {
	return map[int]string{1: "bruno.berg.1@b.example", 45: "nils.grau.45@b.example"}[n]
}

// hasDynamicRules reports whether rules of the workload can be dynamic; those of sites cannot.
func (p workloadCase) hasDynamicRules() bool { return p.unit != "Site" }

// story is one client that makes one call after another. It calls by the names of rpcs and fields, as a person with
// grpcurl does, so that one story serves three workloads.
type story struct {
	*servicetest.Server
	workloadCase
	coverage *coverage
	policyID string
	// losses has writes lose their responses; nil loses none.
	losses *lostWrites
}

func newStory(t *testing.T, p workloadCase, c *coverage) *story {
	return newStoryOn(servicetest.New(t), p, c)
}

func newStoryOn(s *servicetest.Server, p workloadCase, c *coverage) *story {
	s.Tenant = emulator.TenantB
	return &story{Server: s, workloadCase: p, coverage: c}
}

// runLifecycle uses a workload from the first enabling to the last deletion.
func (s *story) runLifecycle() {
	s.enable()
	s.protect()
	s.restore()
	s.restoreInBulk()
	s.restoreParts()
	s.offboard()
	s.end()
}

// fields are those of a request.
type fields map[string]any

// do calls an rpc, which has to succeed: on behalf of a user if it is for users only, else as the application. It
// records in the coverage what the emulator saw of it.
func (s *story) do(rpc string, request fields) proto.Message {
	s.TB.Helper()
	method, ok := s.coverage.rpcs[rpc]
	if !ok {
		s.TB.Fatalf("the contract has no rpc %s", rpc)
	}
	in, out := servicetest.NewMessage(s.TB, method.Input()), servicetest.NewMessage(s.TB, method.Output())
	if request == nil {
		request = fields{}
	}
	text, err := json.Marshal(request)
	if err != nil {
		s.TB.Fatal(err)
	}
	if err := protojson.Unmarshal(text, in); err != nil {
		s.TB.Fatalf("%s: %v in %s", rpc, err, text)
	}
	if graphCall(method).GetDelegatedOnly() {
		s.User = 1
		defer func() { s.User = 0 }()
	}
	if s.losses != nil && isWrite(method) {
		s.losses.carryOut(s, method, in, out)
		return out
	}
	since := s.Mark()
	if o := s.Call(string(method.Parent().Name())+"/"+rpc, in, out); o.Status != nil {
		s.TB.Fatalf("%s: %v", rpc, o.Status)
	}
	if s.losses == nil {
		s.coverage.add(s.TB, rpc, s.Requests(since))
	}
	return out
}

// resource returns the one message of a type that a response has.
func resource[T proto.Message](response proto.Message) (found T) {
	response.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil || field.IsList() {
			return true
		}
		m, ok := value.Message().Interface().(T)
		if ok {
			found = m
		}
		return !ok
	})
	return found
}

// resources returns the messages of a type that a response lists.
func resources[T proto.Message](response proto.Message) (found []T) {
	response.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil || !field.IsList() {
			return true
		}
		for i := range value.List().Len() {
			if m, ok := value.List().Get(i).Message().Interface().(T); ok {
				found = append(found, m)
			}
		}
		return true
	})
	return found
}

// wait checks a condition until it holds, and advances the emulator's clock by a minute after each check.
func (s *story) wait(what string, isSo func() bool) {
	s.TB.Helper()
	for range 24 * 60 {
		if isSo() {
			return
		}
		s.Emulator.Clock().Advance(time.Minute)
	}
	s.TB.Fatalf("a day later still not: %s", what)
}

func (s *story) now() string { return s.Emulator.Clock().Now().UTC().Format(time.RFC3339) }

// want checks a value on which the story depends.
func want[T comparable](s *story, what string, got, want T) {
	s.TB.Helper()
	if got != want {
		s.TB.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// documentedOperation is a row of the operations that Microsoft documents.
type documentedOperation struct {
	rpc     string
	success []string
}

// coverage has the documented operations, and which of them were carried out.
type coverage struct {
	rpcs map[string]protoreflect.MethodDescriptor
	// operations are by method and path, without the names of variables.
	operations map[string]documentedOperation
	carriedOut map[string]bool
}

var variable = regexp.MustCompile(`\{[A-Za-z_]+\}`)

func newCoverage(t *testing.T) *coverage {
	t.Helper()
	c := &coverage{rpcs: make(map[string]protoreflect.MethodDescriptor), operations: make(map[string]documentedOperation), carriedOut: make(map[string]bool)}
	for _, method := range servicetest.RPCs(t) {
		c.rpcs[string(method.Name())] = method
	}
	for _, row := range table(t, "operations.tsv") {
		rpc := strings.TrimSuffix(strings.TrimPrefix(row[1], "(page_token of "), ")")
		c.operations[row[2]+" "+variable.ReplaceAllString(row[3], "{}")] = documentedOperation{rpc: rpc, success: strings.Fields(row[8])}
	}
	if len(c.operations) != 98 {
		t.Fatalf("%d operations", len(c.operations))
	}
	return c
}

// add records a call that succeeded. The emulator saw one request, of the call's own operation, and its status is one
// that Microsoft documents for success.
func (c *coverage) add(tb testing.TB, rpc string, requests []emulator.Entry) {
	tb.Helper()
	if len(requests) != 1 {
		tb.Fatalf("%s made %d requests: %v", rpc, len(requests), requests)
	}
	name := variable.ReplaceAllString(requests[0].Operation, "{}")
	operation, ok := c.operations[name]
	if !ok || operation.rpc != rpc {
		tb.Errorf("%s made the request %s, which is %q", rpc, name, operation.rpc)
	}
	if status := fmt.Sprint(requests[0].Status); !slices.Contains(operation.success, status) {
		tb.Errorf("%s got status %s, documented are %v", rpc, status, operation.success)
	}
	c.carriedOut[name] = true
}

func (c *coverage) check(t *testing.T) {
	for name, operation := range c.operations {
		if !c.carriedOut[name] {
			t.Errorf("no story carried out %s (%s)", operation.rpc, name)
		}
	}
	if len(c.carriedOut) != len(c.operations) {
		t.Errorf("%d of %d operations were carried out", len(c.carriedOut), len(c.operations))
	}
}

// runTakeover has a backup app take over from Microsoft's own: it activates, deactivates and activates the app, and
// deletes it.
func (s *story) runTakeover() {
	if err := s.Emulator.Seed(emulator.Seed{Tenant: s.Tenant, ServiceStatus: "enabled", Consumer: "firstparty"}); err != nil {
		s.TB.Fatal(err)
	}
	app := resource[*pb.ServiceApp](s.do("CreateServiceApp", nil))
	want(s, "status of a new app", app.GetStatus(), pb.ServiceAppStatus_SERVICE_APP_STATUS_INACTIVE)
	request := fields{"service_app_id": app.GetId()}
	date := s.Emulator.Clock().Now().Add(8 * 24 * time.Hour).UTC().Format(time.RFC3339)
	activate := fields{"service_app_id": app.GetId(), "effective_date_time": date}
	state := func() pb.ServiceAppStatus {
		return resource[*pb.ServiceApp](s.do("GetServiceApp", request)).GetStatus()
	}

	s.do("ActivateServiceApp", activate)
	want(s, "status before the date", state(), pb.ServiceAppStatus_SERVICE_APP_STATUS_PENDING_ACTIVE)
	s.do("DeactivateServiceApp", request)
	want(s, "status of an app that stood back", state(), pb.ServiceAppStatus_SERVICE_APP_STATUS_INACTIVE)
	s.do("ActivateServiceApp", activate)
	s.Emulator.Clock().Advance(9 * 24 * time.Hour)
	want(s, "status after the date", state(), pb.ServiceAppStatus_SERVICE_APP_STATUS_ACTIVE)
	consumer := resource[*pb.BackupRestore](s.do("GetBackupRestore", nil)).GetServiceStatus().GetBackupServiceConsumer()
	want(s, "who is in control", consumer, pb.BackupServiceConsumer_BACKUP_SERVICE_CONSUMER_THIRD_PARTY)

	s.do("DeleteServiceApp", request)
	want(s, "apps after the last one was deleted", len(resources[*pb.ServiceApp](s.do("ListServiceApps", nil))), 0)
}
