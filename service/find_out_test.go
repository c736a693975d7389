package service

import (
	"strings"
	"testing"
)

func TestEveryWriteNamesTheReadThatShowsWhetherItWasDone(t *testing.T) {
	_, operations := steady(t)
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
	byName := make(map[string]*operation)
	for _, op := range operations.byMethod {
		byName[op.name] = op
		if (op.verifyWith == "") != op.safe {
			t.Errorf("%s is found out with %q", op.name, op.verifyWith)
		}
	}
	for name, verifyWith := range want {
		if got := byName[name].verifyWith; got != verifyWith {
			t.Errorf("%s is found out with %s, want %s", name, got, verifyWith)
		}
	}
	for _, op := range byName {
		if found := byName[op.verifyWith]; found != nil && (!found.safe || strings.Contains(found.name, "Search")) {
			t.Errorf("%s is found out with %s", op.name, found.name)
		}
	}
}
