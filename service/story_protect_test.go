package service_test

import (
	"maps"
	"slices"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// enable registers the app and enables the service in a tenant that never had it.
func (s *story) enable() {
	app := resource[*pb.ServiceApp](s.do("CreateServiceApp", nil))
	want(s, "status of the app", app.GetStatus(), pb.ServiceAppStatus_SERVICE_APP_STATUS_INACTIVE)
	want(s, "registered apps", len(resources[*pb.ServiceApp](s.do("ListServiceApps", nil))), 1)
	// No app is active yet, so this one is at once.
	s.do("ActivateServiceApp", fields{"service_app_id": app.GetId()})
	active := resource[*pb.ServiceApp](s.do("GetServiceApp", fields{"service_app_id": app.GetId()}))
	want(s, "status of the app", active.GetStatus(), pb.ServiceAppStatus_SERVICE_APP_STATUS_ACTIVE)

	state := func() pb.BackupServiceStatus {
		return resource[*pb.BackupRestore](s.do("GetBackupRestore", nil)).GetServiceStatus().GetStatus()
	}
	want(s, "status of the service", state(), pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_DISABLED)
	request := &pb.EnableBackupRestoreRequest{AppOwnerTenantId: s.Tenant}
	early := s.Call(backup+"EnableBackupRestore", request, new(pb.EnableBackupRestoreResponse))
	want(s, "reason before there is a data store", early.Reason(), "OPERATION_NOT_ALLOWED")
	// The first list of policies has the data store created.
	want(s, "policies at first", len(resources[*pb.ProtectionPolicy](s.do("ListProtectionPolicies", nil))), 0)
	s.wait("data store", func() bool {
		return s.Call(backup+"EnableBackupRestore", request, new(pb.EnableBackupRestoreResponse)).Status == nil
	})
	// A second enabling changes nothing.
	enabled := resource[*pb.ServiceStatus](s.do("EnableBackupRestore", fields{"app_owner_tenant_id": s.Tenant}))
	want(s, "status of the service", enabled.GetStatus(), pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED)
	want(s, "status of the service", state(), pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED)

	s.do("UpdateEmailNotificationsSetting", fields{"is_enabled": false})
	want(s, "mail is sent", resource[*pb.EmailNotificationsSetting](s.do("GetEmailNotificationsSetting", nil)).GetIsEnabled(), false)
}

// protect creates a policy, adds to it by units, by addresses and by rules, and waits until all is protected.
func (s *story) protect() {
	policy := resource[*pb.ProtectionPolicy](s.do("Create"+s.prefix+"ProtectionPolicy", fields{
		"display_name": "All of it", s.field + "_protection_units": s.objects(1, 2, 5),
	}))
	s.policyID = policy.GetId()
	changed := s.do("Update"+s.prefix+"ProtectionPolicy", fields{
		"protection_policy_id": s.policyID, "display_name": "What counts",
		"add_" + s.field + "_protection_units": s.objects(3), "remove_" + s.field + "_protection_unit_ids": []string{s.unitOf(2)},
	})
	want(s, "units that changed", len(resources[*pb.ProtectionUnitChange](changed)), 2)
	// The removal takes a while, even when the policy is not active yet.
	s.wait("unit removed", s.policyIs(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_INACTIVE))
	s.do("ActivateProtectionPolicy", s.inPolicy(nil))
	s.wait("policy active", s.policyIs(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE))
	s.wantProtected(1, 3, 5)

	s.addInBulk()
	s.addByRules()
	s.wait("policy active with all units", s.policyIs(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE))
	if s.hasDynamicRules() {
		// Group 3 is in the static rule. Group 4 and its new member are in the dynamic one.
		s.wantProtected(1, 3, 5, 45, 46, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 50)
	} else {
		s.wantProtected(1, 3, 5, 45, 46, 7)
	}
	for _, unit := range resources[*pb.ProtectionUnit](s.do(s.listUnits, nil)) {
		if unit.GetId() == s.unitOf(2) && unit.GetPolicyId() != "" {
			s.TB.Errorf("unit 2 was removed and is in a policy: %v", unit)
		}
	}
}

// addInBulk adds one object by its address and one by its id, and an address that does not exist.
func (s *story) addInBulk() {
	rpc := s.unit + "ProtectionUnitsBulkAdditionJob"
	job := resource[*pb.ProtectionUnitBulkAdditionJob](s.do("Create"+rpc, s.inPolicy(fields{
		"display_name": "Two more", s.addresses: []string{s.address(45), s.missing}, s.ids: []string{s.object(s.Tenant, 46)},
	})))
	want(s, "status of the job", job.GetStatus(), pb.ProtectionUnitsBulkJobStatus_PROTECTION_UNITS_BULK_JOB_STATUS_ACTIVE)
	s.wait("job is through", func() bool {
		job = resource[*pb.ProtectionUnitBulkAdditionJob](s.do("Get"+rpc, s.inPolicy(fields{"bulk_addition_job_id": job.GetId()})))
		return job.GetStatus() == pb.ProtectionUnitsBulkJobStatus_PROTECTION_UNITS_BULK_JOB_STATUS_COMPLETED_WITH_ERRORS
	})
	want(s, "reason of the job", servicetest.ReasonOf(job.GetError()), "PROTECTION_RESOURCES_NOT_FOUND")
	if failed := job.GetFailedResources(); len(failed) != 1 || failed[0].GetTarget() != s.missing || servicetest.ReasonOf(failed[0].GetError()) != s.notFound {
		s.TB.Errorf("failed resources: %v", failed)
	}
	want(s, "jobs of the policy", len(resources[*pb.ProtectionUnitBulkAdditionJob](s.do("List"+rpc+"s", s.inPolicy(nil)))), 1)
}

// addByRules adds what a static rule matches now, and what a dynamic rule matches now and later.
func (s *story) addByRules() {
	// The tenant has 50 sites, so this text is in the address of site 7 alone.
	static := fields{s.field + "_expression": "(webUrl -contains 'site-7')"}
	if s.hasDynamicRules() {
		static = s.members(3)
	}
	rule := s.rule("Create", s.inPolicy(static))
	s.waitForRule(rule.GetId())
	again := s.rule("Run", s.inRule(rule.GetId(), nil))
	want(s, "status of a rule that runs again", again.GetStatus(), pb.InclusionRuleStatus_INCLUSION_RULE_STATUS_ACTIVE)
	s.waitForRule(rule.GetId())
	rules := 1
	if s.hasDynamicRules() {
		s.addByDynamicRule()
		rules++
	}
	want(s, "rules of the policy", len(resources[*pb.InclusionRule](s.do("List"+s.unit+"InclusionRules", s.inPolicy(nil)))), rules)
}

func (s *story) addByDynamicRule() {
	dynamic := s.members(1)
	dynamic["is_auto_apply_enabled"] = true
	rule := s.rule("Create", s.inPolicy(dynamic))
	s.waitForRule(rule.GetId())
	rule = s.rule("Update", s.inRule(rule.GetId(), s.members(4)))
	want(s, "status of a rule that changes", rule.GetStatus(), pb.InclusionRuleStatus_INCLUSION_RULE_STATUS_UPDATE_REQUESTED)
	s.waitForRule(rule.GetId())
	err := s.Emulator.ChangeGroup(emulator.GroupChange{Tenant: s.Tenant, Group: emulator.GroupID(s.Tenant, 4), Add: []string{s.object(s.Tenant, 50)}})
	if err != nil {
		s.TB.Fatal(err)
	}
}

// offboard removes a unit, requests its offboarding, cancels that and protects the unit again.
func (s *story) offboard() {
	unit := fields{"protection_unit_id": s.unitOf(3)}
	state := func(is pb.ProtectionUnitStatus) func() bool {
		return func() bool { return resource[*pb.ProtectionUnit](s.do("GetProtectionUnit", unit)).GetStatus() == is }
	}
	s.do("Update"+s.prefix+"ProtectionPolicy", s.inPolicy(fields{"remove_" + s.field + "_protection_unit_ids": []string{s.unitOf(3)}}))
	s.wait("unit removed", state(pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_UNPROTECTED))

	leaving := resource[*pb.ProtectionUnit](s.do("OffboardProtectionUnit", unit))
	want(s, "status of the unit", leaving.GetStatus(), pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_OFFBOARD_REQUESTED)
	want(s, "the unit says since when", leaving.GetOffboardRequestedDateTime() != nil, true)
	staying := resource[*pb.ProtectionUnit](s.do("CancelOffboardProtectionUnit", unit))
	want(s, "status of the unit", staying.GetStatus(), pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_CANCEL_OFFBOARD_REQUESTED)
	s.wait("unit taken back", state(pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_UNPROTECTED))

	s.do("Update"+s.prefix+"ProtectionPolicy", s.inPolicy(fields{"add_" + s.field + "_protection_units": s.objects(3)}))
	s.wait("unit protected again", state(pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED))
}

// end deletes what can be deleted.
func (s *story) end() {
	for _, rule := range resources[*pb.InclusionRule](s.do("List"+s.unit+"InclusionRules", s.inPolicy(nil))) {
		if rule.GetIsAutoApplyEnabled() {
			leaving := s.rule("DeleteAndUnprotect", s.inRule(rule.GetId(), nil))
			want(s, "status of the rule", leaving.GetStatus(), pb.InclusionRuleStatus_INCLUSION_RULE_STATUS_DELETE_REQUESTED)
			continue
		}
		s.do("Delete"+s.unit+"InclusionRule", s.inRule(rule.GetId(), nil))
	}
	s.wait("rules gone", func() bool {
		return len(resources[*pb.InclusionRule](s.do("List"+s.unit+"InclusionRules", s.inPolicy(nil)))) == 0
	})
	s.wait("policy active without the rules", s.policyIs(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE))
	if s.hasDynamicRules() {
		s.wantProtected(1, 3, 5, 45, 46, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)
	} else {
		s.wantProtected(1, 3, 5, 45, 46, 7)
	}
	s.do("DeactivateProtectionPolicy", s.inPolicy(nil))
	s.wait("policy inactive", s.policyIs(pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_INACTIVE))
	s.do("DeleteProtectionPolicy", s.inPolicy(nil))
	want(s, "policies in the end", len(resources[*pb.ProtectionPolicy](s.do("ListProtectionPolicies", nil))), 0)
}

// inPolicy adds the id of the policy to a request.
func (s *story) inPolicy(request fields) fields {
	all := fields{"protection_policy_id": s.policyID}
	maps.Copy(all, request)
	return all
}

func (s *story) inRule(id string, request fields) fields {
	all := s.inPolicy(request)
	all["inclusion_rule_id"] = id
	return all
}

// members is the expression for the members of a group.
func (s *story) members(group int) fields {
	return fields{s.field + "_expression": "(memberOf -any (group.id -in ['" + emulator.GroupID(s.Tenant, group) + "']))"}
}

// rule calls one of the rpcs of rules.
func (s *story) rule(verb string, request fields) *pb.InclusionRule {
	s.TB.Helper()
	return resource[*pb.InclusionRule](s.do(verb+s.unit+"InclusionRule", request))
}

func (s *story) waitForRule(id string) {
	s.TB.Helper()
	s.wait("rule completed", func() bool {
		return s.rule("Get", s.inRule(id, nil)).GetStatus() == pb.InclusionRuleStatus_INCLUSION_RULE_STATUS_COMPLETED
	})
}

// objects are the objects that a create or an update adds.
func (s *story) objects(numbers ...int) []fields {
	var all []fields
	for _, n := range numbers {
		all = append(all, fields{s.id: s.object(s.Tenant, n)})
	}
	return all
}

func (s *story) unitOf(n int) string { return s.unitID(s.Tenant, n) }

func (s *story) policyIs(state pb.ProtectionPolicyStatus) func() bool {
	return func() bool {
		return resource[*pb.ProtectionPolicy](s.do("GetProtectionPolicy", s.inPolicy(nil))).GetStatus() == state
	}
}

// wantProtected checks that the policy has exactly the numbered units, and each is protected.
func (s *story) wantProtected(numbers ...int) {
	s.TB.Helper()
	var got, wanted []string
	for _, unit := range resources[*pb.ProtectionUnit](s.do("List"+s.prefix+"ProtectionPolicyUnits", s.inPolicy(fields{"page_size": 100}))) {
		got = append(got, unit.GetId())
		want(s, "status of unit "+unit.GetId(), unit.GetStatus(), pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED)
	}
	for _, n := range numbers {
		wanted = append(wanted, s.unitOf(n))
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		s.TB.Errorf("units of the policy: got %v, want %v", got, wanted)
	}
}
