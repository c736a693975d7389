package service_test

import (
	"net/url"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const restorePoints = "RestorePointService/"

// pointErrors are those of restore points.
var pointErrors = map[string]producer{
	"Get restore point/FilterLengthExceeded/ListRestorePoints": func(w *world, l workload) produced {
		// The filter is the server's, and short: only past it can there be one that is too long.
		unit := l.unitID(w.tenant, 1)
		comparisons := strings.Repeat("protectionDateTime lt 2060-01-01T00:00:00Z and ", 20) + "protectionDateTime lt 2060-01-01T00:00:00Z"
		l.newest(w, 1)
		query := url.Values{"$expand": {"protectionUnit($filter=id eq '" + unit + "')"}, "$filter": {comparisons}}
		w.wantRaw("GET", "/restorePoints?"+query.Encode(), "", 400, "FilterLengthExceeded")
		return w.scripted("GET /restorePoints", "FilterLengthExceeded", restorePoints+"ListRestorePoints", w.pointsBefore(unit))
	},
	"Get restore point/FilterLengthExceeded/SearchRestorePoints": func(w *world, l workload) produced {
		unit := l.unitID(w.tenant, 1)
		l.newest(w, 1)
		w.wantRaw("POST", "/restorePoints/search", `{"protectionUnitIds":["`+unit+`"],"artifactQuery":{"artifactType":"message","queryExpression":"Subject -eq '`+
			strings.Repeat("x", 4096)+`'"}}`, 400, "FilterLengthExceeded")
		return w.scripted("POST /restorePoints/search", "FilterLengthExceeded", restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit}})
	},
	"Get restore point/InvalidSearchRequest/ListRestorePoints": func(w *world, l workload) produced {
		l.newest(w, 1)
		return w.fails(restorePoints+"ListRestorePoints", &pb.ListRestorePointsRequest{ProtectionUnitId: l.unitID(w.tenant, 1)})
	},
	"Get restore point/InvalidSearchRequest/SearchRestorePoints": func(w *world, l workload) produced {
		return w.fails(restorePoints+"SearchRestorePoints", new(pb.SearchRestorePointsRequest))
	},
	"Get restore point/InvalidProtectionUnitId/ListRestorePoints": func(w *world, l workload) produced {
		return w.fails(restorePoints+"ListRestorePoints", w.pointsBefore(notGUID))
	},
	"Get restore point/InvalidProtectionUnitId/SearchRestorePoints": func(w *world, l workload) produced {
		return w.fails(restorePoints+"SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{notGUID}})
	},
}

func (w *world) pointsBefore(unit string) *pb.ListRestorePointsRequest {
	return &pb.ListRestorePointsRequest{ProtectionUnitId: unit, ProtectionDateTimeBefore: timestamppb.New(w.emulator.Clock().Now())}
}

// bulkErrors are those of requests that add many artifacts to a session.
var bulkErrors = map[string]producer{
	"Create bulk addition requests for restoring artifacts/InvalidBulkRestoreArtifactId": func(w *world, l workload) produced {
		return w.fails(l.bulkRPC("Create"), l.bulkRequest(w, notGUID))
	},
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequest": func(w *world, l workload) produced {
		session := l.emptyDraft(w)
		w.wantRaw("POST", l.bulkPath(session), "null", 400, "BulkRestoreInvalidCreateRequest")
		return w.scripted("POST "+l.bulkPath("{id}"), "BulkRestoreInvalidCreateRequest", l.bulkRPC("Create"), l.bulkRequest(w, session))
	},
	"Create bulk addition requests for restoring artifacts/BulkRestoreRestorationResourcesCountExceedsLimit": func(w *world, l workload) produced {
		request := l.bulkRequest(w, l.emptyDraft(w))
		for range 10_000 {
			request.DirectoryObjectIds = append(request.DirectoryObjectIds, request.GetDirectoryObjectIds()[0])
		}
		return w.fails(l.bulkRPC("Create"), request)
	},
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestSiteUrl":   malformedAddress,
	"Create bulk addition requests for restoring artifacts/BulkRestoreInvalidCreateRequestUserEmail": malformedAddress,
	"Get bulk addition requests for restoring artifacts/BulkRestoreArtifactsNotFound": func(w *world, l workload) produced {
		return w.fails(l.bulkRPC("Get"), bulkID(l.emptyDraft(w), unknown))
	},
	"Delete bulk addition requests for restoring artifacts/InvalidStateForBulkRequestDeletion": func(w *world, l workload) produced {
		session := l.emptyDraft(w)
		request := must[pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse](w, l.bulkRPC("Create"), l.bulkRequest(w, session)).GetBulkAdditionRequest()
		return w.fails(l.bulkRPC("Delete"), bulkID(session, request.GetId()))
	},
}

// malformedAddress names what is to be restored by what is neither an address nor a URL.
func malformedAddress(w *world, l workload) produced {
	request := l.bulkRequest(w, l.emptyDraft(w))
	request.Mailboxes = []string{"nowhere"}
	return w.fails(l.bulkRPC("Create"), request)
}

func (l workload) bulkRPC(verb string) string {
	return "RestoreArtifactBulkAdditionRequestService/" + verb + l.thing() + "RestoreArtifactsBulkAdditionRequest"
}

func (l workload) bulkPath(session string) string {
	return l.sessionsPath(session) + "/" + l.things() + "RestoreArtifactsBulkAdditionRequests"
}

// bulkRequest restores one mailbox, drive or site by its id. The requests of the workloads have the same shape on the
// wire, so those of one do for all.
func (l workload) bulkRequest(w *world, session string) *pb.CreateMailboxRestoreArtifactsBulkAdditionRequestRequest {
	return &pb.CreateMailboxRestoreArtifactsBulkAdditionRequestRequest{
		RestoreSessionId: session, DisplayName: "one", DirectoryObjectIds: []string{l.object(w.tenant, 1)}, DestinationType: toNew,
	}
}

func bulkID(session, request string) *pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest {
	return &pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest{RestoreSessionId: session, BulkAdditionRequestId: request}
}

func (l workload) emptyDraft(w *world) string {
	w.t.Helper()
	return must[pb.CreateExchangeRestoreSessionResponse](w, l.sessionRPC("Create"), new(pb.CreateExchangeRestoreSessionRequest)).GetRestoreSession().GetId()
}
