package service_test

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const apps = "ServiceAppService/"

// policyErrors produce the errors of policies, their units, the service as a whole and its apps.
var policyErrors = map[string]producer{
	"Create protection policy/InvalidCreateRequest": func(s *servicetest.Server, l workload) produced {
		// A request of the contract never has a malformed body. A request past the server shows that the error exists,
		// and a scripted one how it is translated.
		wantRaw(s, "POST", "/"+l.collection, `{"displayName":`, 400, "InvalidCreateRequest")
		return scripted(s, "POST /"+l.collection, "InvalidCreateRequest", l.createRPC(), l.create(s, "p", 1, 1))
	},
	"Create protection policy/InvalidDisplayName": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.createRPC(), l.create(s, "", 1, 1))
	},
	"Create protection policy/InvalidProtectionUnitId": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.createRPC(), l.unit(notGUID))
	},
	"Create protection policy/ProtectionUnitsLimitBreached": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.createRPC(), l.create(s, "p", 1, 51))
	},
	"Create protection policy/PolicyCreationNotAllowed": func(s *servicetest.Server, l workload) produced {
		l.activePolicy(s)
		return fails(s, l.createRPC(), l.create(s, "another", 10, 11))
	},
	"Create protection policy/PolicySaveFailed": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "POST /"+l.collection, "PolicySaveFailed", l.createRPC(), l.create(s, "p", 1, 1))
	},
	"Create protection policy/ProtectionUnitAlreadyExists": func(s *servicetest.Server, l workload) produced {
		l.newPolicy(s, 1, 2)
		return fails(s, l.createRPC(), l.create(s, "another", 2, 3))
	},
	"Get protection policy/InvalidPolicyId": func(s *servicetest.Server, l workload) produced { return getPolicy(s, notGUID) },
	"Get protection policy/PolicyNotFound":  func(s *servicetest.Server, l workload) produced { return getPolicy(s, unknownPolicy) },
	"Patch protection policy/ProtectionUnitNotFound": func(s *servicetest.Server, l workload) produced {
		policy := l.activePolicy(s)
		return updateItem(s, l, l.update(s, policy, 1, 0, l.unitID(s.Tenant, 30)))
	},
	"Patch protection policy/DuplicateProtectionUnitInList": func(s *servicetest.Server, l workload) produced {
		policy := l.activePolicy(s)
		unit := l.unitID(s.Tenant, 1)
		return fails(s, l.updateRPC(), l.update(s, policy, 1, 0, unit, unit))
	},
	"Patch protection policy/ProtectionUnitActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		policy, unit := dynamicUnit(s, l)
		return fails(s, l.updateRPC(), l.update(s, policy, 1, 0, unit))
	},
	"Patch protection policy/PolicyNotFound": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.updateRPC(), l.update(s, unknownPolicy, 1, 1))
	},
	"Patch protection policy/ProtectionUnitAlreadyExists": func(s *servicetest.Server, l workload) produced {
		l.newPolicy(s, 20, 21)
		policy := l.activePolicy(s)
		return updateItem(s, l, l.update(s, policy, 20, 20))
	},
	"Delete inactive protection policy/InvalidPolicyId": func(s *servicetest.Server, l workload) produced { return deletePolicy(s, notGUID) },
	"Delete inactive protection policy/PolicyNotFound": func(s *servicetest.Server, l workload) produced {
		return deletePolicy(s, unknownPolicy)
	},
	"Delete inactive protection policy/PolicyActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		return deletePolicy(s, l.activePolicy(s))
	},
	"Deactivate active protection policy/InvalidPolicyId": func(s *servicetest.Server, l workload) produced { return deactivate(s, notGUID) },
	"Deactivate active protection policy/PolicyActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		return deactivate(s, l.newPolicy(s, 1, 1).GetId())
	},
	"Deactivate active protection policy/PolicyNotFound": func(s *servicetest.Server, l workload) produced {
		return deactivate(s, unknownPolicy)
	},
	"Activate inactive protection policy/InvalidPolicyId": func(s *servicetest.Server, l workload) produced { return activateFails(s, notGUID) },
	"Activate inactive protection policy/PolicyActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		return activateFails(s, l.activePolicy(s))
	},
	"Activate inactive protection policy/PolicyNotFound": func(s *servicetest.Server, l workload) produced {
		return activateFails(s, unknownPolicy)
	},
	"List all the protection unit under a protection policy/InvalidPolicyId": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: notGUID})
	},
	"List all the protection unit under a protection policy/FilterLengthExceeded": func(s *servicetest.Server, l workload) produced {
		return filterFails(s, l, &pb.ProtectionUnitFilter{Statuses: slices.Repeat([]pb.ProtectionUnitStatus{isProtected}, 30)})
	},
	"List all the protection unit under a protection policy/InvalidProtectionUnitId": func(s *servicetest.Server, l workload) produced {
		return filterFails(s, l, &pb.ProtectionUnitFilter{ProtectionUnitIds: []string{notGUID}})
	},
	"List all the protection unit under a protection policy/PolicyNotFound": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: unknown})
	},
	"Get protection unit/InvalidProtectionUnitId": func(s *servicetest.Server, l workload) produced {
		return fails(s, units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: notGUID})
	},
	"Get protection unit/ProtectionUnitNotFound": func(s *servicetest.Server, l workload) produced { return getUnit(s, unknownPolicy) },
	"Get protection unit/UnknownError":           withEmbedded("UnknownError"),
	"Get protection unit/InvalidArtifactId":      withEmbedded("InvalidArtifactId"),
	"Get protection unit/QuotaExceeded":          withEmbedded("QuotaExceeded"),
	"Enable service/UnableToReadBillingProfile": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "POST /enable", "UnableToReadBillingProfile", backup+"EnableBackupRestore", enableRequest(emulator.TenantA))
	},
	"Enable service/InvalidBillingProfile": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "POST /enable", "InvalidBillingProfile", backup+"EnableBackupRestore", enableRequest(emulator.TenantA))
	},
	"Enable service/InvalidAppOwnerTenantId": func(s *servicetest.Server, l workload) produced {
		return fails(s, backup+"EnableBackupRestore", enableRequest(notGUID))
	},
	"Known PowerShell/Forbidden/GetBackupRestore": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "GET /", "Forbidden", backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest))
	},
	"Known PowerShell/Forbidden/EnableBackupRestore": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "POST /enable", "Forbidden", backup+"EnableBackupRestore", enableRequest(emulator.TenantA))
	},
	"Known PowerShell/Forbidden/CreateServiceApp": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "POST /serviceApps", "Forbidden", apps+"CreateServiceApp", new(pb.CreateServiceAppRequest))
	},
	"Known PowerShell/Forbidden/DeleteServiceApp": func(s *servicetest.Server, l workload) produced {
		return scripted(s, "DELETE /serviceApps/{id}", "Forbidden", apps+"DeleteServiceApp", &pb.DeleteServiceAppRequest{ServiceAppId: emulator.DefaultApp})
	},
}

func enableRequest(owner string) proto.Message {
	return &pb.EnableBackupRestoreRequest{AppOwnerTenantId: owner}
}

func filterFails(s *servicetest.Server, l workload, filter *pb.ProtectionUnitFilter) produced {
	s.TB.Helper()
	return fails(s, l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: l.newPolicy(s, 1, 1).GetId(), Filter: filter})
}

// updateItem updates a policy with one item, which fails.
func updateItem(s *servicetest.Server, l workload, request proto.Message) produced {
	s.TB.Helper()
	response := new(pb.UpdateExchangeProtectionPolicyResponse)
	got := produced{call: s.Call(l.updateRPC(), request, response)}
	if changes := response.GetMailboxProtectionUnits(); len(changes) == 1 {
		got.embedded, got.item = changes[0].GetError(), changes[0].GetProtectionUnit().GetId()
	}
	return got
}

func getUnit(s *servicetest.Server, id string) produced {
	s.TB.Helper()
	response := new(pb.GetProtectionUnitResponse)
	call := s.Call(units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: id}, response)
	unit := response.GetProtectionUnit()
	return produced{call: call, embedded: unit.GetError(), item: unit.GetId()}
}

func withEmbedded(code string) producer {
	return func(s *servicetest.Server, l workload) produced {
		workloads[0].newPolicy(s, 1, 1)
		id := workloads[0].unitID(s.Tenant, 1)
		s.Fault(emulator.Fault{Operation: "GET /protectionUnits/{id}", Item: id, InBand: &emulator.InBandError{Code: code}})
		return getUnit(s, id)
	}
}

func getPolicy(s *servicetest.Server, id string) produced {
	return fails(s, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: id})
}

func deletePolicy(s *servicetest.Server, id string) produced {
	return fails(s, policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: id})
}

func deactivate(s *servicetest.Server, id string) produced {
	return fails(s, policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: id})
}

func activateFails(s *servicetest.Server, id string) produced {
	return fails(s, policies+"ActivateProtectionPolicy", &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: id})
}

// activePolicy makes a policy with three units and waits until it is active.
func (l workload) activePolicy(s *servicetest.Server) string {
	s.TB.Helper()
	policy := l.newPolicy(s, 1, 3).GetId()
	mustActivate(s, policy)
	s.Emulator.Clock().Advance(time.Hour)
	if got := mustGetPolicy(s, policy).GetStatus(); got != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE {
		s.TB.Fatalf("policy is %v", got)
	}
	return policy
}

// dynamicUnit returns an active policy and one of its units that a dynamic rule protects.
func dynamicUnit(s *servicetest.Server, l workload) (policy, unit string) {
	s.TB.Helper()
	seed := emulator.PolicySeed{Workload: l.kind(), Units: 5, DynamicRuleUnits: 2}
	if err := s.Emulator.Seed(emulator.Seed{Tenant: s.Tenant, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{seed}}); err != nil {
		s.TB.Fatal(err)
	}
	return emulator.SeededPolicyID(s.Tenant, l.kind()), l.unitID(s.Tenant, 1)
}
