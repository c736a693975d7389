package contract

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func read(t *testing.T) *Contract {
	t.Helper()
	c, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Texts of Graph's name OData options and properties; the caller knows fields.
func TestFieldNames(t *testing.T) {
	c := read(t)
	for _, test := range []struct{ operation, text, want string }{
		{"ProtectionPolicyService/ListProtectionPolicies", "$top must be 1 to 999.", "page_size must be 1 to 999."},
		{"ProtectionPolicyService/ListProtectionPolicies", "$filter is not supported.", "$filter is not supported."},
		{"RestorePointService/ListRestorePoints", "$expand, $filter, $orderby", "protection_unit_id, protection_date_time_before, order"},
		{"ProtectionPolicyService/CreateExchangeProtectionPolicy", "displayName: displayNames, mydisplayName", "display_name: displayNames, mydisplayName"},
		{"ProtectionPolicyService/CreateExchangeProtectionPolicy", "A directoryObjectId is missing.", "A directory_object_id is missing."},
		{"ProtectionPolicyService/GetProtectionPolicy", "", ""},
	} {
		if got := c.byName[test.operation].FieldNames(test.text); got != test.want {
			t.Errorf("%s: %q became %q, want %q", test.operation, test.text, got, test.want)
		}
	}
}

// Rights are granted by effect, so each is written down a second time.
func TestEffects(t *testing.T) {
	service := map[string]pb.GraphCall_Effect{
		"RestoreSessionService": pb.GraphCall_RESTORE, "RestoreArtifactBulkAdditionRequestService": pb.GraphCall_RESTORE,
		"BrowseSessionService": pb.GraphCall_RESTORE,
	}
	other := map[string]pb.GraphCall_Effect{
		"BackupRestoreService/EnableBackupRestore":             pb.GraphCall_ADD,
		"BackupRestoreService/UpdateEmailNotificationsSetting": pb.GraphCall_CHANGE,

		"ServiceAppService/CreateServiceApp":     pb.GraphCall_ADD,
		"ServiceAppService/ActivateServiceApp":   pb.GraphCall_CHANGE,
		"ServiceAppService/DeactivateServiceApp": pb.GraphCall_REMOVE,
		"ServiceAppService/DeleteServiceApp":     pb.GraphCall_REMOVE,

		"ProtectionPolicyService/CreateExchangeProtectionPolicy":            pb.GraphCall_ADD,
		"ProtectionPolicyService/CreateOneDriveForBusinessProtectionPolicy": pb.GraphCall_ADD,
		"ProtectionPolicyService/CreateSharePointProtectionPolicy":          pb.GraphCall_ADD,
		"ProtectionPolicyService/UpdateExchangeProtectionPolicy":            pb.GraphCall_CHANGE,
		"ProtectionPolicyService/UpdateOneDriveForBusinessProtectionPolicy": pb.GraphCall_CHANGE,
		"ProtectionPolicyService/UpdateSharePointProtectionPolicy":          pb.GraphCall_CHANGE,
		"ProtectionPolicyService/ActivateProtectionPolicy":                  pb.GraphCall_ADD,
		"ProtectionPolicyService/DeactivateProtectionPolicy":                pb.GraphCall_REMOVE,
		"ProtectionPolicyService/DeleteProtectionPolicy":                    pb.GraphCall_REMOVE,

		"ProtectionUnitService/OffboardProtectionUnit":       pb.GraphCall_REMOVE,
		"ProtectionUnitService/CancelOffboardProtectionUnit": pb.GraphCall_ADD,

		"ProtectionUnitBulkAdditionJobService/CreateMailboxProtectionUnitsBulkAdditionJob": pb.GraphCall_ADD,
		"ProtectionUnitBulkAdditionJobService/CreateDriveProtectionUnitsBulkAdditionJob":   pb.GraphCall_ADD,
		"ProtectionUnitBulkAdditionJobService/CreateSiteProtectionUnitsBulkAdditionJob":    pb.GraphCall_ADD,

		"InclusionRuleService/CreateMailboxInclusionRule":             pb.GraphCall_ADD,
		"InclusionRuleService/CreateDriveInclusionRule":               pb.GraphCall_ADD,
		"InclusionRuleService/CreateSiteInclusionRule":                pb.GraphCall_ADD,
		"InclusionRuleService/RunMailboxInclusionRule":                pb.GraphCall_ADD,
		"InclusionRuleService/RunDriveInclusionRule":                  pb.GraphCall_ADD,
		"InclusionRuleService/RunSiteInclusionRule":                   pb.GraphCall_ADD,
		"InclusionRuleService/UpdateMailboxInclusionRule":             pb.GraphCall_REMOVE,
		"InclusionRuleService/UpdateDriveInclusionRule":               pb.GraphCall_REMOVE,
		"InclusionRuleService/DeleteMailboxInclusionRule":             pb.GraphCall_REMOVE,
		"InclusionRuleService/DeleteDriveInclusionRule":               pb.GraphCall_REMOVE,
		"InclusionRuleService/DeleteSiteInclusionRule":                pb.GraphCall_REMOVE,
		"InclusionRuleService/DeleteAndUnprotectMailboxInclusionRule": pb.GraphCall_REMOVE,
		"InclusionRuleService/DeleteAndUnprotectDriveInclusionRule":   pb.GraphCall_REMOVE,
	}
	seen := 0
	for _, op := range read(t).Operations() {
		want, listed := other[op.Name]
		if listed {
			seen++
		} else if want = service[op.Service()]; op.Safe {
			want = pb.GraphCall_READ
		}
		if got := op.Spec.GetEffect(); got != want {
			t.Errorf("%s has the effect %s, want %s", op.Name, got, want)
		}
	}
	if seen != len(other) {
		t.Errorf("%d of %d operations were seen", seen, len(other))
	}
}

// A list of units to remove from a policy has REMOVE, and one to add has ADD. Artifacts that are removed from a
// draft of a restore are no backups.
func TestEffectsOfFields(t *testing.T) {
	for _, op := range read(t).Operations() {
		for i := range op.Request.Fields().Len() {
			field := op.Request.Fields().Get(i)
			want := pb.GraphCall_EFFECT_UNSPECIFIED
			switch field.Name() {
			case "remove_mailbox_protection_unit_ids", "remove_drive_protection_unit_ids", "remove_site_protection_unit_ids":
				want = pb.GraphCall_REMOVE
			case "add_mailbox_protection_units", "add_drive_protection_units", "add_site_protection_units":
				want = pb.GraphCall_ADD
			}
			if got := effectOf(field); got != want {
				t.Errorf("%s adds the effect %s, want %s", field.FullName(), got, want)
			}
		}
	}
}

// A spec that contradicts itself is an error that names the rpc or the reason.
func TestContradictionsAreErrors(t *testing.T) {
	reasons, err := readReasons()
	if err != nil {
		t.Fatal(err)
	}
	value := pb.ErrorReason(0).Descriptor().Values().ByNumber(protoreflect.EnumNumber(pb.ErrorReason_POLICY_NOT_FOUND))
	for name, change := range map[string]func(*pb.ErrorSpec){
		"detail without its typed detail": func(s *pb.ErrorSpec) { s.TypedDetail = nil },
		"typed detail of another detail":  func(s *pb.ErrorSpec) { s.Detail = pb.ErrorSpec_BAD_REQUEST },
		"no fault":                        func(s *pb.ErrorSpec) { s.Fault = pb.ErrorSpec_FAULT_UNSPECIFIED },
		"status_decides without a status": func(s *pb.ErrorSpec) { s.StatusDecides = true },
	} {
		spec := clone(reasons.Of(pb.ErrorReason_POLICY_NOT_FOUND).ErrorSpec)
		change(spec)
		if err := reasons.addSpec(value, spec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, change := range map[string]func(*pb.GraphCall){
		"no effect":                           func(s *pb.GraphCall) { s.Effect = pb.GraphCall_EFFECT_UNSPECIFIED },
		"READ with side effects":              func(s *pb.GraphCall) { s.Effect = pb.GraphCall_READ },
		"no verify_with":                      func(s *pb.GraphCall) { s.VerifyWith = "" },
		"verify_with has side effects":        func(s *pb.GraphCall) { s.VerifyWith = "ProtectionPolicyService/DeleteProtectionPolicy" },
		"verify_with needs an id":             func(s *pb.GraphCall) { s.VerifyWith = "ServiceAppService/GetServiceApp" },
		"outcome_states of another enum":      func(s *pb.GraphCall) { s.OutcomeStates = []string{"RESTORE_SESSION_STATUS_ACTIVE"} },
		"outcome_needs_change without states": func(s *pb.GraphCall) { s.OutcomeStates = nil },
		"read_with of a READ_TARGET":          func(s *pb.GraphCall) { s.ReadWith = "ProtectionPolicyService/GetProtectionPolicy" },
		"READ_CREATED without creates":        func(s *pb.GraphCall) { s.Replay = pb.GraphCall_READ_CREATED },
		"STORED_OUTCOME without read_with":    func(s *pb.GraphCall) { s.Replay = pb.GraphCall_STORED_OUTCOME },
		"no replay with an idempotency_key":   func(s *pb.GraphCall) { s.Replay = pb.GraphCall_REPLAY_UNSPECIFIED },
		"read_with is a list": func(s *pb.GraphCall) {
			s.Replay, s.ReadWith = pb.GraphCall_STORED_OUTCOME, "ProtectionPolicyService/ListProtectionPolicies"
		},
		"read_with needs an id": func(s *pb.GraphCall) {
			s.Replay, s.ReadWith = pb.GraphCall_STORED_OUTCOME, "ServiceAppService/GetServiceApp"
		},
		"missing_item without removal": func(s *pb.GraphCall) { s.MissingItem = pb.ErrorReason_POLICY_NOT_FOUND },
	} {
		c := read(t)
		op := c.byName["ProtectionPolicyService/ActivateProtectionPolicy"]
		op.Spec = clone(op.Spec)
		change(op.Spec)
		if err := c.link(op); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func clone[M proto.Message](m M) M { return proto.CloneOf(m) }
