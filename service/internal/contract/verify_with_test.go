package contract

import (
	"strings"
	"testing"
)

// Every write names the read that shows whether it was carried out.
func TestVerifyWith(t *testing.T) {
	c := read(t)
	want := map[string]string{
		"BackupRestoreService/EnableBackupRestore":                 "BackupRestoreService/GetBackupRestore",
		"BackupRestoreService/UpdateEmailNotificationsSetting":     "BackupRestoreService/GetEmailNotificationsSetting",
		"InclusionRuleService/RunSiteInclusionRule":                "InclusionRuleService/GetSiteInclusionRule",
		"InclusionRuleService/UpdateMailboxInclusionRule":          "InclusionRuleService/GetMailboxInclusionRule",
		"ProtectionPolicyService/CreateSharePointProtectionPolicy": "ProtectionPolicyService/ListProtectionPolicies",
		"ProtectionPolicyService/DeleteProtectionPolicy":           "ProtectionPolicyService/GetProtectionPolicy",
		"ProtectionUnitService/OffboardProtectionUnit":             "ProtectionUnitService/GetProtectionUnit",
		"RestoreSessionService/CreateExchangeRestoreSession":       "RestoreSessionService/ListRestoreSessions",
		"RestoreSessionService/ActivateRestoreSession":             "RestoreSessionService/GetRestoreSession",
		"ServiceAppService/CreateServiceApp":                       "ServiceAppService/ListServiceApps",
		// What an update adds or removes, the policy and the session themselves do not show.
		"ProtectionPolicyService/UpdateExchangeProtectionPolicy":            "ProtectionUnitService/ListExchangeProtectionPolicyUnits",
		"ProtectionPolicyService/UpdateOneDriveForBusinessProtectionPolicy": "ProtectionUnitService/ListOneDriveForBusinessProtectionPolicyUnits",
		"ProtectionPolicyService/UpdateSharePointProtectionPolicy":          "ProtectionUnitService/ListSharePointProtectionPolicyUnits",
		"RestoreSessionService/UpdateExchangeRestoreSession":                "RestoreArtifactService/ListMailboxRestoreArtifacts",
		"RestoreSessionService/UpdateOneDriveForBusinessRestoreSession":     "RestoreArtifactService/ListDriveRestoreArtifacts",
		"RestoreSessionService/UpdateSharePointRestoreSession":              "RestoreArtifactService/ListSiteRestoreArtifacts",
	}
	for _, op := range c.Operations() {
		if (op.VerifyWith == nil) != op.Safe {
			t.Errorf("%s is verified with %v", op.Name, op.VerifyWith)
		}
		if with := op.VerifyWith; with != nil && (!with.Safe || strings.Contains(with.Name, "Search")) {
			t.Errorf("%s is verified with %s", op.Name, with.Name)
		}
	}
	for name, verifyWith := range want {
		if got := c.byName[name].VerifyWith.Name; got != verifyWith {
			t.Errorf("%s is verified with %s, want %s", name, got, verifyWith)
		}
	}
}
