package main_test

import (
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func TestReadWorkload(t *testing.T) {
	const exchange, drive, site = pb.Workload_WORKLOAD_EXCHANGE, pb.Workload_WORKLOAD_ONE_DRIVE_FOR_BUSINESS, pb.Workload_WORKLOAD_SHARE_POINT
	tests := []struct {
		name, json string
		path, want pb.Workload
	}{
		{"the type names it", `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit"}`, 0, exchange},
		{"the type after the properties names it", `{"siteId":"1","@odata.type":"#microsoft.graph.driveProtectionUnit"}`, 0, drive},
		{"the type before the properties names it", `{"@odata.type":"#microsoft.graph.driveProtectionUnit","siteId":"1"}`, 0, drive},
		{"the type wins over the path", `{"@odata.type":"#microsoft.graph.siteProtectionUnit"}`, exchange, site},
		{"the type is read without its number sign", `{"@odata.type":"microsoft.graph.siteProtectionUnit"}`, 0, site},
		{"the type is read without its namespace", `{"@odata.type":"siteProtectionUnit"}`, 0, site},
		{"the type is read without regard to case", `{"@odata.type":"#Microsoft.Graph.SiteProtectionUnit"}`, 0, site},
		{"an unknown type leaves it to the path", `{"@odata.type":"#microsoft.graph.teamProtectionUnit"}`, drive, drive},
		{"the base type leaves it to the path", `{"@odata.type":"#microsoft.graph.protectionUnitBase"}`, drive, drive},
		{"without a type the path names it", `{"id":"1"}`, exchange, exchange},
		{"the path wins over a property", `{"siteId":"1"}`, exchange, exchange},
		{"without a path a property implies it", `{"siteId":"1"}`, 0, site},
		{"a property of two workloads implies nothing", `{"directoryObjectId":"1"}`, 0, 0},
		{"a property without a value implies nothing", `{"siteId":null}`, 0, 0},
		{"the id implies nothing", `{"id":"siteProtectionUnit"}`, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := pb.GraphReadOptions{Workload: test.path}
			one, _ := read(t, test.json, new(pb.GetProtectionUnitResponse), options)
			if got := one.ProtectionUnit.Workload; got != test.want {
				t.Errorf("%s alone: %v, want %v", test.json, got, test.want)
			}
			list, _ := read(t, `{"value":[`+test.json+`]}`, new(pb.ListMailboxProtectionUnitsResponse), options)
			if got := list.ProtectionUnits[0].Workload; got != test.want {
				t.Errorf("%s in a list: %v, want %v", test.json, got, test.want)
			}
			update, _ := read(t, `{"mailboxProtectionUnits@delta":[`+test.json+`]}`, new(pb.UpdateExchangeProtectionPolicyResponse), options)
			if got := update.MailboxProtectionUnits[0].ProtectionUnit.Workload; got != test.want {
				t.Errorf("%s in an update: %v, want %v", test.json, got, test.want)
			}
		})
	}
}

func TestReadWorkloadOfOtherFamilies(t *testing.T) {
	const exchange, drive, site = pb.Workload_WORKLOAD_EXCHANGE, pb.Workload_WORKLOAD_ONE_DRIVE_FOR_BUSINESS, pb.Workload_WORKLOAD_SHARE_POINT
	for text, want := range map[string]pb.Workload{
		`{"mailboxExpression":"x"}`: exchange, `{"driveExpression":"x"}`: drive, `{"siteExpression":"x"}`: site,
		`{"mailboxExpression":""}`: 0, `{"value":{"siteExpression":"x"}}`: site, `{"@odata.type":"#microsoft.graph.driveProtectionRule"}`: drive,
	} {
		got, _ := read(t, text, new(pb.DeleteAndUnprotectMailboxInclusionRuleResponse), pb.GraphReadOptions{})
		if got.InclusionRule.Workload != want {
			t.Errorf("%s: %v, want %v", text, got.InclusionRule.Workload, want)
		}
	}
	for text, want := range map[string]pb.Workload{
		`{"restoredFolderName":"x"}`: exchange, `{"restoredSiteName":"x"}`: 0, `{"artifactCount":5}`: exchange,
		`{"@odata.type":"#microsoft.graph.granularMailboxRestoreArtifact"}`: exchange,
	} {
		got, _ := read(t, `{"value":[`+text+`]}`, new(pb.ListMailboxRestoreArtifactsResponse), pb.GraphReadOptions{})
		if got.RestoreArtifacts[0].Workload != want {
			t.Errorf("%s: %v, want %v", text, got.RestoreArtifacts[0].Workload, want)
		}
	}
	for text, want := range map[string]pb.Workload{
		`{"directoryObjectId":"x"}`: drive, `{"siteId":"x"}`: site, `{"@odata.type":"#microsoft.graph.oneDriveForBusinessBrowseSession"}`: drive,
	} {
		got, _ := read(t, text, new(pb.GetOneDriveForBusinessBrowseSessionResponse), pb.GraphReadOptions{})
		if got.BrowseSession.Workload != want {
			t.Errorf("%s: %v, want %v", text, got.BrowseSession.Workload, want)
		}
	}
}

func TestGraphPathWorkload(t *testing.T) {
	for path, want := range map[string]pb.Workload{
		"/protectionUnits/microsoft.graph.siteProtectionUnit":                  pb.Workload_WORKLOAD_SHARE_POINT,
		"/exchangeProtectionPolicies/{protection_policy_id}":                   pb.Workload_WORKLOAD_EXCHANGE,
		"/oneDriveForBusinessRestoreSessions/{restore_session_id}":             pb.Workload_WORKLOAD_ONE_DRIVE_FOR_BUSINESS,
		"/sharePointRestoreSessions/{id}/granularSiteRestoreArtifacts":         pb.Workload_WORKLOAD_SHARE_POINT,
		"/protectionPolicies/{protection_policy_id}/activate":                  0,
		"/restorePoints/search":                                                0,
		"/browseSessions/{site_id}":                                            0,
		"":                                                                     0,
		"/protectionPolicies/{site}/mailboxInclusionRules/{inclusion_rule_id}": pb.Workload_WORKLOAD_EXCHANGE,
	} {
		if got := pb.GraphPathWorkload(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}
