package service_test

import (
	"net/url"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const restorePoints = "RestorePointService/"

// pointErrors produce the errors of restore points.
var pointErrors = map[string]producer{
	"Get restore point/FilterLengthExceeded/ListRestorePoints": func(s *servicetest.Server, l workload) produced {
		// The server writes the filter itself and keeps it short. Only a request past the server can have one that is
		// too long.
		unit := l.unitID(s.Tenant, 1)
		comparisons := strings.Repeat("protectionDateTime lt 2060-01-01T00:00:00Z and ", 20) + "protectionDateTime lt 2060-01-01T00:00:00Z"
		l.newest(s, 1)
		query := url.Values{"$expand": {"protectionUnit($filter=id eq '" + unit + "')"}, "$filter": {comparisons}}
		wantRaw(s, "GET", "/restorePoints?"+query.Encode(), "", 400, "FilterLengthExceeded")
		return scripted(s, "GET /restorePoints", "FilterLengthExceeded", restorePoints+"ListRestorePoints", pointsBefore(s, unit))
	},
	"Get restore point/FilterLengthExceeded/SearchRestorePoints": func(s *servicetest.Server, l workload) produced {
		unit := l.unitID(s.Tenant, 1)
		l.newest(s, 1)
		wantRaw(s, "POST", "/restorePoints/search", `{"protectionUnitIds":["`+unit+`"],"artifactQuery":{"artifactType":"message","queryExpression":"Subject -eq '`+
			strings.Repeat("x", 4096)+`'"}}`, 400, "FilterLengthExceeded")
		return scripted(s, "POST /restorePoints/search", "FilterLengthExceeded", restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit}})
	},
	"Get restore point/InvalidSearchRequest/ListRestorePoints": func(s *servicetest.Server, l workload) produced {
		l.newest(s, 1)
		return fails(s, restorePoints+"ListRestorePoints", &pb.ListRestorePointsRequest{ProtectionUnitId: l.unitID(s.Tenant, 1)})
	},
	"Get restore point/InvalidSearchRequest/SearchRestorePoints": func(s *servicetest.Server, l workload) produced {
		return fails(s, restorePoints+"SearchRestorePoints", new(pb.SearchRestorePointsRequest))
	},
	"Get restore point/InvalidProtectionUnitId/ListRestorePoints": func(s *servicetest.Server, l workload) produced {
		return fails(s, restorePoints+"ListRestorePoints", pointsBefore(s, notGUID))
	},
	"Get restore point/InvalidProtectionUnitId/SearchRestorePoints": func(s *servicetest.Server, l workload) produced {
		return fails(s, restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{notGUID}})
	},
}

func pointsBefore(s *servicetest.Server, unit string) *pb.ListRestorePointsRequest {
	return &pb.ListRestorePointsRequest{ProtectionUnitId: unit, ProtectionDateTimeBefore: timestamppb.New(s.Emulator.Clock().Now())}
}

// bulkErrors produce the errors of requests that add many artifacts to a session.
var bulkErrors = map[string]producer{
	"Create bulk addition requests for restoring artifacts/InvalidBulkRestoreArtifactId": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.bulkRPC("Create"), l.bulkRequest(s, notGUID))
	},
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequest": func(s *servicetest.Server, l workload) produced {
		session := l.emptyDraft(s)
		wantRaw(s, "POST", l.bulkPath(session), "null", 400, "BulkRestoreInvalidCreateRequest")
		return scripted(s, "POST "+l.bulkPath("{id}"), "BulkRestoreInvalidCreateRequest", l.bulkRPC("Create"), l.bulkRequest(s, session))
	},
	"Create bulk addition requests for restoring artifacts/BulkRestoreRestorationResourcesCountExceedsLimit": func(s *servicetest.Server, l workload) produced {
		request := l.bulkRequest(s, l.emptyDraft(s))
		for range 10_000 {
			request.DirectoryObjectIds = append(request.DirectoryObjectIds, request.GetDirectoryObjectIds()[0])
		}
		return fails(s, l.bulkRPC("Create"), request)
	},
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestSiteUrl":   malformedAddress,
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestUserEmail": malformedAddress,
	"Get bulk addition requests for restoring artifacts/BulkRestoreArtifactsNotFound": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.bulkRPC("Get"), bulkID(l.emptyDraft(s), unknown))
	},
	"Delete bulk addition requests for restoring artifacts/InvalidStateForBulkRequestDeletion": func(s *servicetest.Server, l workload) produced {
		session := l.emptyDraft(s)
		request := servicetest.Must[pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse](s, l.bulkRPC("Create"), l.bulkRequest(s, session)).GetBulkAdditionRequest()
		return fails(s, l.bulkRPC("Delete"), bulkID(session, request.GetId()))
	},
}

// malformedAddress restores something that is neither an address nor a URL.
func malformedAddress(s *servicetest.Server, l workload) produced {
	request := l.bulkRequest(s, l.emptyDraft(s))
	request.Mailboxes = []string{"nowhere"}
	return fails(s, l.bulkRPC("Create"), request)
}

func (l workload) bulkRPC(verb string) string {
	return "RestoreArtifactBulkAdditionRequestService/" + verb + l.thing() + "RestoreArtifactsBulkAdditionRequest"
}

func (l workload) bulkPath(session string) string {
	return l.sessionsPath(session) + "/" + l.things() + "RestoreArtifactsBulkAdditionRequests"
}

// bulkRequest restores one mailbox, drive or site by its id. The requests of the three workloads have the same shape on
// the wire, so one type serves all.
func (l workload) bulkRequest(s *servicetest.Server, session string) *pb.CreateMailboxRestoreArtifactsBulkAdditionRequestRequest {
	return &pb.CreateMailboxRestoreArtifactsBulkAdditionRequestRequest{
		RestoreSessionId: session, DisplayName: "one", DirectoryObjectIds: []string{l.object(s.Tenant, 1)}, DestinationType: toNew,
	}
}

func bulkID(session, request string) *pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest {
	return &pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest{RestoreSessionId: session, BulkAdditionRequestId: request}
}

func (l workload) emptyDraft(s *servicetest.Server) string {
	s.TB.Helper()
	return servicetest.Must[pb.CreateExchangeRestoreSessionResponse](s, l.sessionRPC("Create"), new(pb.CreateExchangeRestoreSessionRequest)).GetRestoreSession().GetId()
}
