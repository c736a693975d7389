package service_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func TestTheFieldAtFaultIsTheOneThatTheRequestHas(t *testing.T) {
	s := servicetest.New(t)
	session := servicetest.Must[pb.CreateExchangeRestoreSessionResponse](s, "RestoreSessionService/CreateExchangeRestoreSession", new(pb.CreateExchangeRestoreSessionRequest)).GetRestoreSession().GetId()
	removals := make([]string, 51)
	for i := range removals {
		removals[i] = unknownPolicy
	}
	now := s.Emulator.Clock().Now()
	period := &pb.TimePeriod{StartDateTime: timestamppb.New(now.Add(-time.Hour)), EndDateTime: timestamppb.New(now)}
	for _, c := range []struct {
		rpc     string
		request proto.Message
		reason  string
		field   string
	}{
		{"RestoreSessionService/UpdateExchangeRestoreSession", &pb.UpdateExchangeRestoreSessionRequest{RestoreSessionId: session, RemoveMailboxRestoreArtifactIds: removals},
			"RESTORE_ARTIFACTS_LIMIT_BREACHED", "remove_mailbox_restore_artifact_ids"},
		{"RestoreSessionService/UpdateExchangeRestoreSession", &pb.UpdateExchangeRestoreSessionRequest{RestoreSessionId: session, RemoveMailboxRestoreArtifactIds: removals[:2]},
			"DUPLICATE_ARTIFACT_IN_LIST", "remove_mailbox_restore_artifact_ids[1]"},
		{"RestorePointService/SearchRestorePoints", &pb.SearchRestorePointsRequest{
			ProtectionUnitIds: []string{workloads[0].unitID(s.Tenant, 1)}, ProtectionTimePeriod: period,
			ArtifactQuery: &pb.ArtifactQuery{QueryExpression: "(Subject -eq '" + strings.Repeat("x", 5000) + "')", ArtifactType: pb.RestorableArtifact_RESTORABLE_ARTIFACT_MESSAGE},
		}, "FILTER_LENGTH_EXCEEDED", "artifact_query"},
		{"RestoreArtifactBulkAdditionRequestService/GetMailboxRestoreArtifactsBulkAdditionRequest",
			&pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest{RestoreSessionId: session, BulkAdditionRequestId: notGUID},
			"INVALID_BULK_RESTORE_ARTIFACT_ID", "bulk_addition_request_id"},
		{"RestoreArtifactBulkAdditionRequestService/GetMailboxRestoreArtifactsBulkAdditionRequest",
			&pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest{RestoreSessionId: notGUID, BulkAdditionRequestId: unknownPolicy},
			"", "restore_session_id"},
	} {
		o := s.Try(c.rpc, c.request)
		violations := o.FieldViolations()
		if c.reason != "" && o.Reason() != c.reason || len(violations) != 1 || violations[0].GetField() != c.field {
			t.Errorf("%s: %s with %v, want %s of %s", c.rpc, o.Reason(), violations, c.reason, c.field)
		}
	}
}
