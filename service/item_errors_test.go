package service_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func TestAFailedItemKeepsItsOperationAndItsStatus(t *testing.T) {
	for exception, want := range map[string][2]string{
		`{"info":{"code":"Invalid"},"failedOperation":"remove","responseCode":409}`:                    {"remove", "409"},
		`{"responseCode":"404","failedOperation":"Add","info":{"code":"ProtectionUnitAlreadyExists"}}`: {"Add", "404"},
		`{"info":{"code":"Invalid"},"failedOperation":["remove"],"responseCode":{}}`:                   {},
		`{"info":{"code":"Invalid"},"failedOperation":"ada@a.example","responseCode":409.5}`:           {},
		`{"info":{"code":"Invalid","failedOperation":"remove","responseCode":409}}`:                    {},
		`{"info":{"code":"Invalid"},"failedOperation":"","responseCode":"409 Ada"}`:                    {},
	} {
		s := servicetest.NewOnHandler(t, servicetest.Respond(200, `{"mailboxProtectionUnits@delta":[{"id":"`+unknown+`","@Core.DataModificationException":`+exception+`}],`+
			`"mailboxRestoreArtifacts@delta":[{"id":"`+unknown+`","@Core.DataModificationException":`+exception+`}]}`))
		update := servicetest.Must[pb.UpdateExchangeProtectionPolicyResponse](s, policies+"UpdateExchangeProtectionPolicy",
			&pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
		session := servicetest.Must[pb.UpdateExchangeRestoreSessionResponse](s, sessions+"UpdateExchangeRestoreSession",
			&pb.UpdateExchangeRestoreSessionRequest{RestoreSessionId: unknown})
		found := 0
		for _, response := range []proto.Message{update, session} {
			eachStatus(response.ProtoReflect(), func(_ protoreflect.Message, status *statuspb.Status) {
				found++
				metadata := servicetest.InfoOf(status).GetMetadata()
				if got := [2]string{metadata["failedOperation"], metadata["responseCode"]}; got != want {
					t.Errorf("%s: got %v, want %v", exception, got, want)
				}
			})
		}
		if found != 2 {
			t.Errorf("%s: %d errors, want 2", exception, found)
		}
	}
}

func TestAFailedResourceIsNamedAsInTheRequest(t *testing.T) {
	s := servicetest.New(t)
	named := []string{" a@b.example", "a@b.example\t", "  ", "c\u200b@b.example"}
	policy := workloads[0].activePolicy(s)
	const service = "ProtectionUnitBulkAdditionJobService/"
	job := servicetest.Must[pb.CreateMailboxProtectionUnitsBulkAdditionJobResponse](s, service+"CreateMailboxProtectionUnitsBulkAdditionJob",
		&pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, DisplayName: "mailboxes", Mailboxes: named}).GetBulkAdditionJob()
	s.Emulator.Clock().Advance(time.Hour)
	ended := servicetest.Must[pb.GetMailboxProtectionUnitsBulkAdditionJobResponse](s, service+"GetMailboxProtectionUnitsBulkAdditionJob",
		&pb.GetMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, BulkAdditionJobId: job.GetId()}).GetBulkAdditionJob()
	var targets []string
	for _, failed := range ended.GetFailedResources() {
		targets = append(targets, failed.GetTarget())
		if name := servicetest.Detail[*errdetails.ResourceInfo](failed.GetError()).GetResourceName(); strings.TrimSpace(name) != name || strings.ContainsAny(name, "\t\u200b") {
			t.Errorf("the Status shows %q", name)
		}
	}
	if !slices.Equal(targets, named) {
		t.Errorf("got %q, want %q", targets, named)
	}
}
