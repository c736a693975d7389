package service_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func TestThePolicyOfAPointIsSentWhenItIsSet(t *testing.T) {
	const unit, before = "it's", "2030-01-01T12:00:00.5Z"
	at, err := time.Parse(time.RFC3339Nano, before)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		policy         string
		at             *timestamppb.Timestamp
		expand, filter string
		body           string
	}{
		{"no policy", "", timestamppb.New(at), "protectionUnit($filter=id eq 'it''s')", "protectionDateTime lt " + before, `{"protectionUnitIds":["it's"]}`},
		{"a policy", "o'b", timestamppb.New(at), "protectionUnit",
			"protectionDateTime lt " + before + " and protectionUnit/id eq 'it''s' and protectionUnit/policyId eq 'o''b'", `{"protectionUnitIds":["it's"],"policyId":"o'b"}`},
		{"a policy and no time", "p", nil, "protectionUnit", "protectionUnit/id eq 'it''s' and protectionUnit/policyId eq 'p'", `{"protectionUnitIds":["it's"],"policyId":"p"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var query url.Values
			var body string
			s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, r *http.Request) {
				sent, _ := io.ReadAll(r.Body)
				query, body = r.URL.Query(), string(sent)
				if r.Method == http.MethodGet {
					io.WriteString(w, `{"value":[]}`)
					return
				}
				io.WriteString(w, `{"searchResponseId":"s"}`)
			})
			servicetest.Must[pb.ListRestorePointsResponse](s, restorePoints+"ListRestorePoints",
				&pb.ListRestorePointsRequest{ProtectionUnitId: unit, ProtectionDateTimeBefore: c.at, PolicyId: c.policy})
			if query.Get("$expand") != c.expand || query.Get("$filter") != c.filter {
				t.Errorf("sent %v", query)
			}
			servicetest.Must[pb.SearchRestorePointsResponse](s, restorePoints+"SearchRestorePoints",
				&pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit}, PolicyId: c.policy})
			if body != c.body {
				t.Errorf("sent %s, want %s", body, c.body)
			}
		})
	}
}

func TestPointsAreFoundByTheirPolicy(t *testing.T) {
	s := servicetest.New(t)
	l := workloads[0]
	l.newest(s, 1)
	unit := l.unitID(s.Tenant, 1)
	policy := emulator.SeededPolicyID(s.Tenant, l.kind())
	for id, want := range map[string]int{"": 5, policy: 5, strings.ToUpper(policy): 5, unknownPolicy: 0} {
		request := pointsBefore(s, unit)
		request.PolicyId = id
		if points := servicetest.Must[pb.ListRestorePointsResponse](s, restorePoints+"ListRestorePoints", request).GetRestorePoints(); len(points) != want {
			t.Errorf("%q: %d points, want %d", id, len(points), want)
		}
	}
}

func TestTheNewestPropertiesAreRead(t *testing.T) {
	s := servicetest.NewOnHandler(t, servicetest.Respond(200, `{"id":"1","policyId":"p","serviceStatus":{"disableReason":"controllerServiceAppDeleted"}}`))
	if got := servicetest.Must[pb.GetRestoreSessionResponse](s, sessions+"GetRestoreSession", &pb.GetRestoreSessionRequest{RestoreSessionId: unknown}).GetRestoreSession(); got.GetPolicyId() != "p" {
		t.Errorf("got %v", got)
	}
	status := servicetest.Must[pb.GetBackupRestoreResponse](s, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest)).GetBackupRestore().GetServiceStatus()
	if status.GetDisableReason() != pb.DisableReason_DISABLE_REASON_CONTROLLER_SERVICE_APP_DELETED {
		t.Errorf("got %v", status)
	}
}
