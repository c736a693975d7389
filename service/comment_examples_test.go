package service_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	contract "github.com/m365backup/backupstorage/proto"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// An example of an expression stands between backquotes, and can go on in the next line.
var expressionExample = regexp.MustCompile("`(\\([^`]* -(?:any|contains|like|eq) [^`]*)`")

// examplesOf returns the expressions in the comment of a message or field.
func examplesOf(t *testing.T, files *protoregistry.Files, name string) (examples []string) {
	t.Helper()
	found, err := files.FindDescriptorByName(protoreflect.FullName("m365.backupstorage.v1." + name))
	if err != nil {
		t.Fatal(err)
	}
	comment := strings.Join(strings.Fields(found.ParentFile().SourceLocations().ByDescriptor(found).LeadingComments), " ")
	for _, match := range expressionExample.FindAllStringSubmatch(comment, -1) {
		examples = append(examples, match[1])
	}
	if len(examples) == 0 {
		t.Errorf("the comment of %s has no example of an expression", name)
	}
	return examples
}

// Whoever copies an example out of a comment gets no error.
func TestExamplesInCommentsAreAccepted(t *testing.T) {
	set, err := contract.Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	s := servicetest.New(t)
	mailboxes, sites := workloads[0], workloads[2]
	accepts := func(where, example, rpc string, request proto.Message) {
		t.Helper()
		if o := s.Try(rpc, request); o.Status.GetCode() != 0 {
			t.Errorf("%s: %s: %v", where, example, o.Status)
		}
	}
	policies := map[bool]string{false: mailboxes.activePolicy(s), true: sites.activePolicy(s)}
	for _, where := range []string{
		"InclusionRule", "CreateMailboxInclusionRuleRequest.mailbox_expression", "CreateDriveInclusionRuleRequest.drive_expression",
		"CreateSiteInclusionRuleRequest.site_expression", "UpdateMailboxInclusionRuleRequest.mailbox_expression",
		"UpdateDriveInclusionRuleRequest.drive_expression",
	} {
		for _, example := range examplesOf(t, files, where) {
			ofSites, l := !strings.Contains(example, "memberOf"), mailboxes
			if ofSites {
				l = sites
			}
			accepts(where, example, l.ruleRPC("Create"), ruleRequest(policies[ofSites], example, false))
		}
	}
	s.Emulator.Clock().Advance(24 * time.Hour)
	for _, example := range examplesOf(t, files, "ArtifactQuery.query_expression") {
		accepts("ArtifactQuery.query_expression", example, restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{
			ProtectionUnitIds: []string{mailboxes.unitID(s.Tenant, 1)},
			ArtifactQuery:     &pb.ArtifactQuery{QueryExpression: example, ArtifactType: pb.RestorableArtifact_RESTORABLE_ARTIFACT_MESSAGE},
		})
	}
	search := servicetest.Must[pb.SearchRestorePointsResponse](s, restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{
		ProtectionUnitIds: []string{sites.unitID(s.Tenant, 1)}, Tags: []pb.RestorePointTags{pb.RestorePointTags_RESTORE_POINT_TAGS_FAST_RESTORE},
	})
	browse := servicetest.Must[pb.CreateSharePointBrowseSessionResponse](s, "BrowseSessionService/CreateSharePointBrowseSession", &pb.CreateSharePointBrowseSessionRequest{
		RestorePointId: search.GetSearchResults()[0].GetRestorePoint().GetId(),
	}).GetBrowseSession().GetId()
	for _, where := range []string{"BrowseSharePointBrowseSessionRequest.filter", "BrowseOneDriveForBusinessBrowseSessionRequest.filter"} {
		for _, example := range examplesOf(t, files, where) {
			accepts(where, example, "BrowseSessionService/BrowseSharePointBrowseSession", &pb.BrowseSharePointBrowseSessionRequest{BrowseSessionId: browse, Filter: example})
		}
	}
}

// The period of a search and its two ends are optional, and an unset end is open.
func TestAPeriodMayBeOpen(t *testing.T) {
	s := servicetest.New(t)
	l := workloads[0]
	l.activePolicy(s)
	s.Emulator.Clock().Advance(24 * time.Hour)
	now := s.Emulator.Clock().Now()
	for name, period := range map[string]*pb.TimePeriod{
		"no period":   nil,
		"no ends":     {},
		"only an end": {EndDateTime: timestamppb.New(now)},
		"a start":     {StartDateTime: timestamppb.New(now.Add(-time.Hour))},
	} {
		found := servicetest.Must[pb.SearchRestorePointsResponse](s, restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{
			ProtectionUnitIds: []string{l.unitID(s.Tenant, 1)}, ProtectionTimePeriod: period,
		})
		if len(found.GetSearchResults()) != 1 {
			t.Errorf("%s: %v", name, found)
		}
		request := l.bulkRequest(s, l.emptyDraft(s))
		request.ProtectionTimePeriod = period
		servicetest.Must[pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse](s, l.bulkRPC("Create"), request)
	}
}

// A unit that Graph does not know is no failed call, and a new unit has no points.
func TestWhatCommentsSayOfUnits(t *testing.T) {
	s := servicetest.New(t)
	unit := servicetest.Must[pb.GetProtectionUnitResponse](s, "ProtectionUnitService/GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: unknown}).GetProtectionUnit()
	if unit.GetId() != unknown || servicetest.ReasonOf(unit.GetError()) != "PROTECTION_UNIT_NOT_FOUND" {
		t.Errorf("an unknown unit is %v", unit)
	}
	l := workloads[0]
	policy := l.newPolicy(s, 1, 3).GetId()
	mustActivate(s, policy)
	s.Emulator.Clock().Advance(10 * time.Minute)
	id := l.unitID(s.Tenant, 1)
	points := servicetest.Must[pb.ListRestorePointsResponse](s, restorePoints+"ListRestorePoints", pointsBefore(s, id))
	search := servicetest.Must[pb.SearchRestorePointsResponse](s, restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{id}})
	if len(points.GetRestorePoints()) != 0 || len(search.GetNoResultProtectionUnitIds()) != 1 {
		t.Errorf("a new unit has the points %v, and the search found %v", points, search)
	}
}

// Only a change of control needs a time.
func TestControlWithoutATimeComesAtOnce(t *testing.T) {
	s := servicetest.New(t)
	s.Tenant, s.User = emulator.TenantB, 1
	app := servicetest.Must[pb.CreateServiceAppResponse](s, "ServiceAppService/CreateServiceApp", new(pb.CreateServiceAppRequest)).GetServiceApp().GetId()
	activated := servicetest.Must[pb.ActivateServiceAppResponse](s, "ServiceAppService/ActivateServiceApp", &pb.ActivateServiceAppRequest{ServiceAppId: app}).GetServiceApp()
	if activated.GetStatus() != pb.ServiceAppStatus_SERVICE_APP_STATUS_ACTIVE {
		t.Errorf("the app is %v", activated)
	}
}
