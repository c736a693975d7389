package service_test

import (
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func TestAPolicyGoesFromItsCreationToItsEnd(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			s := servicetest.New(t)
			policy := l.newPolicy(s, 1, 3)
			if policy.GetStatus() != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_INACTIVE || policy.GetDisplayName() != l.name+" policy" {
				t.Fatalf("created: %v", policy)
			}
			if got := policy.GetRetentionSettings(); len(got) != 2 || got[0].GetInterval() != "R/PT10M" || got[1].GetPeriod() != "P1Y" {
				t.Errorf("retention settings: %v", got)
			}
			if policy.GetCreatedDateTime() == nil || policy.GetCreatedBy().GetApplication().GetId() != emulator.DefaultApp {
				t.Errorf("who and when: %v", policy)
			}
			if got := mustGetPolicy(s, policy.GetId()); got.GetWorkload() != l.value {
				t.Errorf("workload: got %v, want %v", got.GetWorkload(), l.value)
			}
			if got := mustActivate(s, policy.GetId()); got.GetStatus() != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_UPDATING {
				t.Errorf("activated: %v", got)
			}
			wantUnits(s, l, policy.GetId(), 3, pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECT_REQUESTED)
			s.Emulator.Clock().Advance(time.Hour)
			if got := mustGetPolicy(s, policy.GetId()).GetStatus(); got != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE {
				t.Errorf("after an hour: %v", got)
			}
			wantUnits(s, l, policy.GetId(), 3, pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED)
			deactivated := servicetest.Must[pb.DeactivateProtectionPolicyResponse](s, policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: policy.GetId()})
			if got := deactivated.GetProtectionPolicy().GetStatus(); got != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_UPDATING {
				t.Errorf("deactivated: %v", got)
			}
			s.Emulator.Clock().Advance(time.Hour)
			if got := mustGetPolicy(s, policy.GetId()).GetStatus(); got != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_INACTIVE {
				t.Errorf("after another hour: %v", got)
			}
			servicetest.Must[pb.DeleteProtectionPolicyResponse](s, policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: policy.GetId()})
			gone := s.Call(policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: policy.GetId()}, new(pb.GetProtectionPolicyResponse))
			if gone.Reason() != "POLICY_NOT_FOUND" {
				t.Errorf("after its deletion: %v", gone.Status)
			}
		})
	}
}

// wantUnits checks that a policy has a number of units, each in a given state and with the id of what it protects.
func wantUnits(s *servicetest.Server, l workload, policy string, count int, state pb.ProtectionUnitStatus) {
	s.TB.Helper()
	all, _ := l.unitsOf(s, policy, 0)
	if len(all) != count {
		s.TB.Errorf("%d units, want %d", len(all), count)
	}
	for _, unit := range all {
		if unit.GetStatus() != state || unit.GetPolicyId() != policy || unit.GetWorkload() != l.value || unit.GetError() != nil {
			s.TB.Errorf("unit %v, want %v", unit, state)
		}
		if unit.GetUser().GetDirectoryObjectId() == "" && unit.GetSite().GetSiteId() == "" {
			s.TB.Errorf("unit %s protects nothing", unit.GetId())
		}
	}
}

func TestAnUpdateReportsEachItem(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			s := servicetest.New(t)
			policy := l.newPolicy(s, 1, 3).GetId()
			mustActivate(s, policy)
			s.Emulator.Clock().Advance(time.Hour)
			foreign := l.unitID(s.Tenant, 40)
			changes := l.changes(s, l.update(s, policy, 7, 8, l.unitID(s.Tenant, 1), foreign))
			if len(changes) != 4 {
				t.Fatalf("%d changes, want 4: %v", len(changes), changes)
			}
			states := make(map[pb.ProtectionUnitStatus]int)
			for _, change := range changes {
				if change.GetError() == nil {
					states[change.GetProtectionUnit().GetStatus()]++
					continue
				}
				if got := servicetest.ReasonOf(change.GetError()); got != "PROTECTION_UNIT_NOT_FOUND" {
					t.Errorf("reason of the item that failed: %s", got)
				}
				if got := change.GetProtectionUnit().GetId(); got != foreign {
					t.Errorf("the item that failed is %q, want %q", got, foreign)
				}
			}
			if states[pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECT_REQUESTED] != 2 || states[pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_REMOVE_REQUESTED] != 1 {
				t.Errorf("states of the items: %v", states)
			}
			s.Emulator.Clock().Advance(time.Hour)
			wantUnits(s, l, policy, 4, pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED)
		})
	}
}

func TestAPolicyCanBeRenamed(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			s := servicetest.New(t)
			policy := l.newPolicy(s, 1, 1).GetId()
			if got := len(l.changes(s, l.rename(policy, "Новое имя"))); got != 0 {
				t.Errorf("%d units changed", got)
			}
			if got := mustGetPolicy(s, policy).GetDisplayName(); got != "Новое имя" {
				t.Errorf("name is %q", got)
			}
		})
	}
}

func TestAUnitThatCannotBeProtectedCarriesItsError(t *testing.T) {
	s := servicetest.New(t)
	request := &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "Mail", MailboxProtectionUnits: append(newMailboxes(s, 1, 2),
		&pb.NewMailboxProtectionUnit{DirectoryObjectId: "99999999-0000-4000-8000-000000000099"})}
	policy := servicetest.Must[pb.CreateExchangeProtectionPolicyResponse](s, policies+"CreateExchangeProtectionPolicy", request).GetProtectionPolicy().GetId()
	mustActivate(s, policy)
	s.Emulator.Clock().Advance(time.Hour)
	if got := mustGetPolicy(s, policy).GetStatus(); got != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE_WITH_ERRORS {
		t.Errorf("policy is %v", got)
	}
	all, _ := workloads[0].unitsOf(s, policy, 0)
	failed := 0
	for _, unit := range all {
		if unit.GetError() == nil {
			continue
		}
		failed++
		if unit.GetStatus() != pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_UNPROTECTED || servicetest.ReasonOf(unit.GetError()) == "" {
			t.Errorf("failed unit: %v", unit)
		}
	}
	if failed != 1 || len(all) != 3 {
		t.Errorf("%d of %d units failed, want 1 of 3", failed, len(all))
	}
}

func TestPagesHaveEachUnitOnce(t *testing.T) {
	s := servicetest.New(t)
	l := workloads[0]
	policy := l.newPolicy(s, 1, 50).GetId()
	seen := make(map[string]bool)
	all, pages := l.unitsOf(s, policy, 7)
	for _, unit := range all {
		if seen[unit.GetId()] {
			t.Errorf("unit %s came twice", unit.GetId())
		}
		seen[unit.GetId()] = true
	}
	if len(seen) != 50 || pages != 8 {
		t.Errorf("%d units on %d pages, want 50 on 8", len(seen), pages)
	}
}

func TestTheTenantsUnitsAreListedByWorkload(t *testing.T) {
	s := servicetest.New(t)
	for _, l := range workloads {
		l.newPolicy(s, 1, 5)
	}
	for _, l := range workloads {
		// The responses of the three rpcs have the same shape on the wire.
		page := servicetest.Must[pb.ListMailboxProtectionUnitsResponse](s, units+l.listUnits, &pb.ListMailboxProtectionUnitsRequest{PageSize: 3})
		if len(page.GetProtectionUnits()) != 3 || page.GetNextPageToken() == "" {
			t.Errorf("%s: first page has %d units", l.name, len(page.GetProtectionUnits()))
		}
		for _, unit := range page.GetProtectionUnits() {
			if unit.GetWorkload() != l.value {
				t.Errorf("%s lists %v", l.name, unit)
			}
			got := servicetest.Must[pb.GetProtectionUnitResponse](s, units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: unit.GetId()})
			if got.GetProtectionUnit().GetId() != unit.GetId() {
				t.Errorf("%s: unit %s comes back as %v", l.name, unit.GetId(), got)
			}
		}
		rest := servicetest.Must[pb.ListMailboxProtectionUnitsResponse](s, units+l.listUnits, &pb.ListMailboxProtectionUnitsRequest{PageToken: page.GetNextPageToken()})
		if len(rest.GetProtectionUnits()) != 2 || rest.GetNextPageToken() != "" {
			t.Errorf("%s: second page has %d units", l.name, len(rest.GetProtectionUnits()))
		}
	}
	all := servicetest.Must[pb.ListProtectionPoliciesResponse](s, policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest))
	if got := len(all.GetProtectionPolicies()); got != 3 {
		t.Errorf("%d policies, want 3", got)
	}
}

func TestTheServiceIsEnabledAfterItsDataStoreIsReady(t *testing.T) {
	s := servicetest.New(t)
	s.Tenant = emulator.TenantB
	state := func() pb.BackupServiceStatus {
		return servicetest.Must[pb.GetBackupRestoreResponse](s, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest)).GetBackupRestore().GetServiceStatus().GetStatus()
	}
	if got := state(); got != pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_DISABLED {
		t.Fatalf("at first: %v", got)
	}
	enable := &pb.EnableBackupRestoreRequest{AppOwnerTenantId: emulator.TenantA}
	if o := s.Call(backup+"EnableBackupRestore", enable, new(pb.EnableBackupRestoreResponse)); o.Status == nil || o.Reason() == "" {
		t.Errorf("enabled before the data store was ready: %v", o.Status)
	}
	servicetest.Must[pb.ListProtectionPoliciesResponse](s, policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest))
	s.Emulator.Clock().Advance(10 * time.Minute)
	enabled := servicetest.Must[pb.EnableBackupRestoreResponse](s, backup+"EnableBackupRestore", enable)
	if got := enabled.GetServiceStatus().GetStatus(); got != pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED {
		t.Errorf("enabled: %v", enabled)
	}
	if got := state(); got != pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED {
		t.Errorf("afterwards: %v", got)
	}
}

func TestMailNotificationsCanBeChangedAndCleared(t *testing.T) {
	s := servicetest.New(t)
	s.User = 1
	get := func() *pb.EmailNotificationsSetting {
		return servicetest.Must[pb.GetEmailNotificationsSettingResponse](s, backup+"GetEmailNotificationsSetting", new(pb.GetEmailNotificationsSettingRequest)).GetEmailNotificationsSetting()
	}
	enabled := true
	update := func(recipients *pb.NotificationRecipientsUpdate) {
		servicetest.Must[pb.UpdateEmailNotificationsSettingResponse](s, backup+"UpdateEmailNotificationsSetting", &pb.UpdateEmailNotificationsSettingRequest{
			IsEnabled: &enabled, Recipients: recipients,
			AdditionalEvents: []pb.NotificationEventsType{pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_RESTORE_AND_POLICY_UPDATES},
		})
	}
	update(&pb.NotificationRecipientsUpdate{CustomRecipients: &pb.NotificationCustomRecipients{Items: []*pb.NotificationCustomRecipient{{Email: "ops@example.com"}}}})
	if got := get(); !got.GetIsEnabled() || len(got.GetAdditionalEvents()) != 1 || len(got.GetRecipients().GetCustomRecipients()) != 1 || got.GetRecipients().GetCustomRecipients()[0].GetEmail() != "ops@example.com" {
		t.Errorf("after the change: %v", got)
	}
	update(&pb.NotificationRecipientsUpdate{CustomRecipients: new(pb.NotificationCustomRecipients)})
	if got := get(); len(got.GetRecipients().GetCustomRecipients()) != 0 {
		t.Errorf("after clearing: %v", got)
	}
}
