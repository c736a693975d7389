package service_test

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

const apps = "ServiceAppService/"

// policyErrors are those of policies, their units, the service as a whole and its apps.
var policyErrors = map[string]producer{
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
		return w.fails(l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: unknown})
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
	"Known PowerShell/Forbidden/CreateServiceApp": func(w *world, l workload) produced {
		return w.scripted("POST /serviceApps", "Forbidden", apps+"CreateServiceApp", new(pb.CreateServiceAppRequest))
	},
	"Known PowerShell/Forbidden/DeleteServiceApp": func(w *world, l workload) produced {
		return w.scripted("DELETE /serviceApps/{id}", "Forbidden", apps+"DeleteServiceApp", &pb.DeleteServiceAppRequest{ServiceAppId: emulator.DefaultApp})
	},
}

func enableRequest(owner string) proto.Message {
	return &pb.EnableBackupRestoreRequest{AppOwnerTenantId: owner}
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
		got.inside, got.item = changes[0].GetError(), changes[0].GetProtectionUnit().GetId()
	}
	return got
}

func (w *world) getUnit(id string) produced {
	w.t.Helper()
	response := new(pb.GetProtectionUnitResponse)
	call := w.call(units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: id}, response)
	unit := response.GetProtectionUnit()
	return produced{call: call, inside: unit.GetError(), item: unit.GetId()}
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

// activePolicy makes a policy with three units and waits until it is active.
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
	seed := emulator.PolicySeed{Workload: l.kind(), Units: 5, DynamicRuleUnits: 2}
	if err := w.emulator.Seed(emulator.Seed{Tenant: w.tenant, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{seed}}); err != nil {
		w.t.Fatal(err)
	}
	return emulator.SeededPolicyID(w.tenant, l.kind()), l.unitID(w.tenant, 1)
}
