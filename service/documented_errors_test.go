package service_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// sections are those whose operations are served.
var sections = []string{
	"Create protection policy", "Get protection policy", "Patch protection policy", "Delete inactive protection policy",
	"Deactivate active protection policy", "Activate inactive protection policy",
	"List all the protection unit under a protection policy", "Get protection unit", "Enable service", "Known PowerShell",
}

// produced is how a row came out: as the Status of a call, or as one inside a resource of a call that was OK.
type produced struct {
	call   *outcome
	inside *statuspb.Status
}

// producer makes an error arise; l is the workload of rpcs that are one per workload.
type producer func(w *world, l workload) produced

func TestEveryDocumentedErrorComesOutTyped(t *testing.T) {
	wanted := expectations(t)
	repeatable := idempotent(t)
	made := make(map[string]bool)
	for _, row := range documentedErrors(t) {
		if !slices.Contains(sections, row.section) {
			continue
		}
		for _, rpc := range row.operations {
			if unserved[rpc] {
				continue
			}
			key := row.section + "/" + row.graphCode
			if row.section == "Known PowerShell" {
				key += "/" + rpc
			}
			t.Run(strings.ReplaceAll(row.section, " ", "_")+"/"+row.graphCode+"/"+rpc, func(t *testing.T) {
				produce := producers[key]
				if produce == nil {
					t.Fatalf("nothing produces %s", key)
				}
				made[key] = true
				w := newWorld(t)
				l := workloadOf(rpc)
				mark := w.mark()
				got := produce(w, l)
				checkArises(t, w, mark, row)
				checkStatus(t, row, wanted[row.graphCode], got, repeatable[rpc], w.lastRequest(mark))
			})
		}
	}
	for key := range producers {
		if !made[key] {
			t.Errorf("%s is produced and not documented", key)
		}
	}
}

// unserved rpcs come with the services that they belong to.
var unserved = map[string]bool{"CreateServiceApp": true, "DeleteServiceApp": true}

func workloadOf(rpc string) workload {
	for _, l := range workloads {
		if strings.Contains(rpc, l.prefix) {
			return l
		}
	}
	return workloads[0]
}

func (w *world) lastRequest(since uint64) emulator.Entry {
	requests := w.requests(since)
	if len(requests) == 0 {
		w.t.Fatal("no request was sent")
	}
	return requests[len(requests)-1]
}

// checkArises holds how the error came about against the column `arises`: what behaviour or input must cause may not
// come from a script.
func checkArises(t *testing.T, w *world, since uint64, row documented) {
	t.Helper()
	scripted := false
	for _, entry := range w.requests(since) {
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
	s := got.inside
	if row.status == 200 {
		if got.call.status != nil {
			t.Fatalf("the call failed: %v", got.call.status)
		}
	} else if s = got.call.status; s == nil {
		t.Fatal("the call succeeded")
	}
	if s == nil {
		t.Fatal("no Status inside the resource")
	}
	if codes.Code(s.GetCode()) != want.code || reasonOf(s) != want.reason {
		t.Fatalf("got %v %s, want %v %s", codes.Code(s.GetCode()), reasonOf(s), want.code, want.reason)
	}
	info := detail[*errdetails.ErrorInfo](s)
	if info.GetDomain() != "graph.microsoft.com" || info.GetMetadata()["graphCode"] != row.graphCode {
		t.Errorf("ErrorInfo: %v", info)
	}
	if size := proto.Size(s); size > 4096 {
		t.Errorf("the Status has %d bytes", size)
	}
	checkDetail(t, s, want)
	checkRetry(t, s, want, got, repeatable)
	if row.status == 200 {
		if _, ok := info.GetMetadata()["httpStatus"]; ok {
			t.Error("an error inside a resource has no httpStatus")
		}
		return
	}
	for key, value := range map[string]string{"httpStatus": strconv.Itoa(row.status), "graphRequestId": request.RequestID, "graphClientRequestId": request.ClientRequestID} {
		if info.GetMetadata()[key] != value {
			t.Errorf("metadata %s is %q, want %q", key, info.GetMetadata()[key], value)
		}
	}
	if got := detail[*errdetails.RequestInfo](s).GetRequestId(); got != request.RequestID {
		t.Errorf("RequestInfo has %q, Graph answered %q", got, request.RequestID)
	}
	if id := got.call.trailer.Get("x-request-id"); len(id) != 1 || id[0] != request.ClientRequestID {
		t.Errorf("trailer x-request-id is %v, Graph was sent %q", id, request.ClientRequestID)
	}
	if len(got.call.header) != 0 {
		t.Errorf("a header came before the error: %v", got.call.header)
	}
}

// checkDetail checks that the detail of the table is there, filled, and the only one of its kind.
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
		v := detail[*errdetails.BadRequest](s).GetFieldViolations()
		filled = len(v) == 1 && v[0].GetDescription() != "" && v[0].GetReason() == want.reason
	case "PreconditionFailure":
		v := detail[*errdetails.PreconditionFailure](s).GetViolations()
		filled = len(v) == 1 && v[0].GetType() != "" && v[0].GetSubject() != ""
	case "QuotaFailure":
		v := detail[*errdetails.QuotaFailure](s).GetViolations()
		filled = len(v) == 1 && v[0].GetSubject() != ""
	case "ResourceInfo":
		v := detail[*errdetails.ResourceInfo](s)
		filled = v.GetResourceType() != "" && (v.GetResourceName() != "" || want.reason == "PROTECTION_UNIT_ALREADY_EXISTS")
	}
	if !filled {
		t.Errorf("%s is not filled: %v", want.detail, s)
	}
}

func checkRetry(t *testing.T, s *statuspb.Status, want expected, got produced, repeatable bool) {
	t.Helper()
	retry := detail[*errdetails.RetryInfo](s)
	if (retry != nil) != (want.delay > 0) {
		t.Errorf("RetryInfo is %v, want delay %v", retry, want.delay)
	}
	if delay := retry.GetRetryDelay().AsDuration(); retry != nil && (delay < want.delay || delay > want.delay*6/5) {
		t.Errorf("delay is %v, want %v and up to a fifth more", delay, want.delay)
	}
	if got.inside != nil {
		if len(got.call.pushback()) != 0 {
			t.Errorf("pushback %v on a call that was OK", got.call.pushback())
		}
		return
	}
	var pushback []string
	switch want.code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Unknown, codes.Internal:
		pushback = []string{"-1"}
		if retry != nil && (repeatable || want.workDone == "none") {
			pushback = []string{strconv.FormatInt(retry.GetRetryDelay().AsDuration().Milliseconds(), 10)}
		}
	}
	if !slices.Equal(got.call.pushback(), pushback) {
		t.Errorf("pushback is %v, want %v", got.call.pushback(), pushback)
	}
}

const (
	unknownPolicy = "99999999-0000-4000-8000-000000000001"
	notGUID       = "well-formed"
)

// producers say for each row how it arises.
var producers = map[string]producer{
	"Create protection policy/InvalidCreateRequest": func(w *world, l workload) produced {
		// No request of the contract has a body that is malformed: it arises past the server, and a script shows how it
		// comes out.
		w.wantRaw("POST", "/"+l.collection, `{"displayName":`, 400, "InvalidCreateRequest")
		return w.scripted("POST /"+l.collection, "InvalidCreateRequest", l.createRPC(), l.create(w, "p", 1, 1))
	},
	"Create protection policy/InvalidDisplayName": func(w *world, l workload) produced {
		return w.fails(l.createRPC(), l.create(w, "", 1, 1))
	},
	"Create protection policy/InvalidProtectionUnitId": func(w *world, l workload) produced {
		return w.fails(l.createRPC(), l.unit(notGUID))
	},
	"Create protection policy/ProtectionUnitsLimitBreached": func(w *world, l workload) produced {
		return w.fails(l.createRPC(), l.create(w, "p", 1, 51))
	},
	"Create protection policy/PolicyCreationNotAllowed": func(w *world, l workload) produced {
		l.activePolicy(w)
		return w.fails(l.createRPC(), l.create(w, "another", 10, 11))
	},
	"Create protection policy/PolicySaveFailed": func(w *world, l workload) produced {
		return w.scripted("POST /"+l.collection, "PolicySaveFailed", l.createRPC(), l.create(w, "p", 1, 1))
	},
	"Create protection policy/ProtectionUnitAlreadyExists": func(w *world, l workload) produced {
		l.newPolicy(w, 1, 2)
		return w.fails(l.createRPC(), l.create(w, "another", 2, 3))
	},
	"Get protection policy/InvalidPolicyId": func(w *world, l workload) produced { return w.getPolicy(notGUID) },
	"Get protection policy/PolicyNotFound":  func(w *world, l workload) produced { return w.getPolicy(unknownPolicy) },
	"Patch protection policy/ProtectionUnitNotFound": func(w *world, l workload) produced {
		policy := l.activePolicy(w)
		return w.item(l, l.update(w, policy, 1, 0, l.unitID(w.tenant, 30)))
	},
	"Patch protection policy/DuplicateProtectionUnitInList": func(w *world, l workload) produced {
		policy := l.activePolicy(w)
		unit := l.unitID(w.tenant, 1)
		return w.fails(l.updateRPC(), l.update(w, policy, 1, 0, unit, unit))
	},
	"Patch protection policy/ProtectionUnitActionNotAllowed": func(w *world, l workload) produced {
		policy, unit := w.dynamicUnit(l)
		return w.fails(l.updateRPC(), l.update(w, policy, 1, 0, unit))
	},
	"Patch protection policy/PolicyNotFound": func(w *world, l workload) produced {
		return w.fails(l.updateRPC(), l.update(w, unknownPolicy, 1, 1))
	},
	"Patch protection policy/ProtectionUnitAlreadyExists": func(w *world, l workload) produced {
		l.newPolicy(w, 20, 21)
		policy := l.activePolicy(w)
		return w.item(l, l.update(w, policy, 20, 20))
	},
	"Delete inactive protection policy/InvalidPolicyId": func(w *world, l workload) produced { return w.deletePolicy(notGUID) },
	"Delete inactive protection policy/PolicyNotFound": func(w *world, l workload) produced {
		return w.deletePolicy(unknownPolicy)
	},
	"Delete inactive protection policy/PolicyActionNotAllowed": func(w *world, l workload) produced {
		return w.deletePolicy(l.activePolicy(w))
	},
	"Deactivate active protection policy/InvalidPolicyId": func(w *world, l workload) produced { return w.deactivate(notGUID) },
	"Deactivate active protection policy/PolicyActionNotAllowed": func(w *world, l workload) produced {
		return w.deactivate(l.newPolicy(w, 1, 1).GetId())
	},
	"Deactivate active protection policy/PolicyNotFound": func(w *world, l workload) produced {
		return w.deactivate(unknownPolicy)
	},
	"Activate inactive protection policy/InvalidPolicyId": func(w *world, l workload) produced { return w.activateFails(notGUID) },
	"Activate inactive protection policy/PolicyActionNotAllowed": func(w *world, l workload) produced {
		return w.activateFails(l.activePolicy(w))
	},
	"Activate inactive protection policy/PolicyNotFound": func(w *world, l workload) produced {
		return w.activateFails(unknownPolicy)
	},
	"List all the protection unit under a protection policy/InvalidPolicyId": func(w *world, l workload) produced {
		return w.fails(l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: notGUID})
	},
	"List all the protection unit under a protection policy/FilterLengthExceeded": func(w *world, l workload) produced {
		filter := "?$filter=" + strings.ReplaceAll(strings.Repeat("status eq 'protected' or ", 30)+"status eq 'protected'", " ", "%20")
		return w.unitFilter(l, filter, "FilterLengthExceeded")
	},
	"List all the protection unit under a protection policy/InvalidProtectionUnitId": func(w *world, l workload) produced {
		return w.unitFilter(l, "?$filter=id%20eq%20'not%20an%20id'", "InvalidProtectionUnitId")
	},
	"List all the protection unit under a protection policy/PolicyNotFound": func(w *world, l workload) produced {
		return w.fails(l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: unknownPolicy})
	},
	"Get protection unit/InvalidProtectionUnitId": func(w *world, l workload) produced {
		return w.fails(units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: notGUID})
	},
	"Get protection unit/ProtectionUnitNotFound": func(w *world, l workload) produced { return w.getUnit(unknownPolicy) },
	"Get protection unit/UnknownError":           inBand("UnknownError"),
	"Get protection unit/InvalidArtifactId":      inBand("InvalidArtifactId"),
	"Get protection unit/QuotaExceeded":          inBand("QuotaExceeded"),
	"Enable service/UnableToReadBillingProfile": func(w *world, l workload) produced {
		return w.scripted("POST /enable", "UnableToReadBillingProfile", backup+"EnableBackupRestore", enableRequest(emulator.TenantA))
	},
	"Enable service/InvalidBillingProfile": func(w *world, l workload) produced {
		return w.scripted("POST /enable", "InvalidBillingProfile", backup+"EnableBackupRestore", enableRequest(emulator.TenantA))
	},
	"Enable service/InvalidAppOwnerTenantId": func(w *world, l workload) produced {
		return w.fails(backup+"EnableBackupRestore", enableRequest(notGUID))
	},
	"Known PowerShell/Forbidden/GetBackupRestore": func(w *world, l workload) produced {
		return w.scripted("GET /", "Forbidden", backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest))
	},
	"Known PowerShell/Forbidden/EnableBackupRestore": func(w *world, l workload) produced {
		return w.scripted("POST /enable", "Forbidden", backup+"EnableBackupRestore", enableRequest(emulator.TenantA))
	},
}

func enableRequest(owner string) proto.Message {
	return &pb.EnableBackupRestoreRequest{AppOwnerTenantId: owner}
}

func (w *world) fails(method string, request proto.Message) produced {
	w.t.Helper()
	// No field of a response is looked at, so any message takes it.
	return produced{call: w.call(method, request, new(pb.DeleteProtectionPolicyResponse))}
}

func (w *world) scripted(operation, code, method string, request proto.Message) produced {
	w.t.Helper()
	w.fault(emulator.Fault{Operation: operation, Code: code})
	return w.fails(method, request)
}

func (w *world) wantRaw(method, path, body string, status int, code string) {
	w.t.Helper()
	got, answer := w.raw(method, path, body)
	if got != status || !strings.Contains(answer, `"`+code+`"`) {
		w.t.Errorf("%s %s: %d %s, want %d %s", method, path, got, answer, status, code)
	}
}

func (w *world) unitFilter(l workload, filter, code string) produced {
	w.t.Helper()
	policy := l.newPolicy(w, 1, 1).GetId()
	w.wantRaw("GET", "/"+l.collection+"/"+policy+"/"+l.units+filter, "", 400, code)
	return w.scripted("GET /"+l.collection+"/{id}/"+l.units, code, l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy})
}

// item updates a policy with one item, which fails.
func (w *world) item(l workload, request proto.Message) produced {
	w.t.Helper()
	response := new(pb.UpdateExchangeProtectionPolicyResponse)
	got := produced{call: w.call(l.updateRPC(), request, response)}
	if changes := response.GetMailboxProtectionUnits(); len(changes) == 1 {
		got.inside = changes[0].GetError()
	}
	return got
}

func (w *world) getUnit(id string) produced {
	w.t.Helper()
	response := new(pb.GetProtectionUnitResponse)
	call := w.call(units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: id}, response)
	return produced{call: call, inside: response.GetProtectionUnit().GetError()}
}

func inBand(code string) producer {
	return func(w *world, l workload) produced {
		workloads[0].newPolicy(w, 1, 1)
		id := workloads[0].unitID(w.tenant, 1)
		w.fault(emulator.Fault{Operation: "GET /protectionUnits/{id}", Item: id, InBand: &emulator.InBandError{Code: code}})
		return w.getUnit(id)
	}
}

func (w *world) getPolicy(id string) produced {
	return w.fails(policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: id})
}

func (w *world) deletePolicy(id string) produced {
	return w.fails(policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: id})
}

func (w *world) deactivate(id string) produced {
	return w.fails(policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: id})
}

func (w *world) activateFails(id string) produced {
	return w.fails(policies+"ActivateProtectionPolicy", &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: id})
}

// activePolicy makes a policy with five units and waits until it is active.
func (l workload) activePolicy(w *world) string {
	w.t.Helper()
	policy := l.newPolicy(w, 1, 3).GetId()
	w.activate(policy)
	w.emulator.Clock().Advance(time.Hour)
	if got := w.policy(policy).GetStatus(); got != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE {
		w.t.Fatalf("policy is %v", got)
	}
	return policy
}

// dynamicUnit returns an active policy and one of its units that a dynamic rule protects.
func (w *world) dynamicUnit(l workload) (policy, unit string) {
	w.t.Helper()
	kind := map[string]emulator.Workload{"Exchange": emulator.Exchange, "OneDrive": emulator.OneDrive, "SharePoint": emulator.SharePoint}[l.name]
	seed := emulator.PolicySeed{Workload: kind, Units: 5, DynamicRuleUnits: 2}
	if err := w.emulator.Seed(emulator.Seed{Tenant: w.tenant, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{seed}}); err != nil {
		w.t.Fatal(err)
	}
	return emulator.SeededPolicyID(w.tenant, kind), l.unitID(w.tenant, 1)
}
