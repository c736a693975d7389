package service_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// waitForSessions has so many wait for each session for a while, over connections of 50. It returns how many requests
// the emulator got for that.
func waitForSessions(t *testing.T, s *servicetest.Server, ids []string, each int) int {
	t.Helper()
	var conns []*grpc.ClientConn
	for range (len(ids)*each + 49) / 50 {
		conn, err := grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	mark := s.Mark()
	var waits sync.WaitGroup
	for i := range len(ids) * each {
		waits.Go(func() {
			got, err := pb.NewRestoreSessionServiceClient(conns[i/50]).WaitRestoreSession(s.Context(), &pb.WaitRestoreSessionRequest{
				RestoreSessionId: ids[i%len(ids)], MaxWait: durationpb.New(4 * time.Second),
				Until: []pb.RestoreSessionStatus{pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED},
			})
			if err != nil || got.GetResult() != timedOut || got.GetRestoreSession().GetId() != ids[i%len(ids)] {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	waits.Wait()
	polls := 0
	for _, r := range s.Requests(mark) {
		if r.Method == http.MethodGet && strings.Contains(r.Path, "/restoreSessions") {
			polls++
		}
	}
	return polls
}

// A thousand who wait for ten sessions cost as many requests as ten: the emulator's ledger has them.
func TestManyWaitsCostAsMuchAsFew(t *testing.T) {
	s := servicetest.New(t)
	backedUp(s)
	var ids []string
	for range 10 {
		// The clock of the emulator stands still, and so do they.
		ids = append(ids, workloads[0].running(s, toNew, 1))
	}
	few := waitForSessions(t, s, ids, 1)
	eventually(t, "nobody waits", func() bool { return s.Services.Polls().Readers == 0 })
	many := waitForSessions(t, s, ids, 100)
	t.Logf("10 waits: %d polls; 1,000 waits: %d", few, many)
	// The last poll of one of both may come just before or after the end.
	if few == 0 || many > few+2 {
		t.Errorf("10 waits cost %d polls, 1,000 cost %d", few, many)
	}
}

// Each user has a poller of its own, and so has the application.
func TestUsersHaveTheirOwnPollers(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP)
	var waits sync.WaitGroup
	for user := range 11 {
		for range 3 {
			ctx := metadata.AppendToOutgoingContext(context.Background(), "x-tenant-id", s.Tenant)
			if user > 0 {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", emulator.UserAssertion(s.Tenant, user))
			}
			waits.Go(func() {
				_, err := pb.NewProtectionPolicyServiceClient(s.Conn).WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{
					ProtectionPolicyId: unknownPolicy, MaxWait: durationpb.New(500 * time.Millisecond), Until: []pb.ProtectionPolicyStatus{policyActive},
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	waits.Wait()
	if n := policy.count(); n != 11 {
		t.Errorf("%d polls for ten users and the application", n)
	}
}
