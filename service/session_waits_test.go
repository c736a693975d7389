package service_test

import (
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// Who waits for COMPLETED hears at once of a session that fails: while it waits, and when it comes later.
func TestWaitsForCompletedEndWhenTheSessionFails(t *testing.T) {
	s := servicetest.New(t)
	backedUp(s)
	l := workloads[0]
	s.Fault(emulator.Fault{Operation: "POST /restoreSessions/{sessionId}/activate", InBand: &emulator.InBandError{Code: "UnknownError"}})
	session := l.running(s, toNew, 1)
	wait := func() (*pb.WaitRestoreSessionResponse, error) {
		return pb.NewRestoreSessionServiceClient(s.Conn).WaitRestoreSession(s.Context(), &pb.WaitRestoreSessionRequest{
			RestoreSessionId: session, Until: []pb.RestoreSessionStatus{pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED},
		})
	}
	type end struct {
		response *pb.WaitRestoreSessionResponse
		err      error
		at       time.Time
	}
	ends := make(chan end, 1)
	go func() {
		response, err := wait()
		ends <- end{response, err, time.Now()}
	}()
	// The clock of the emulator stands still until the wait has seen the session as it runs.
	eventually(t, "the first poll", func() bool { return s.Services.Polls().Polls > 0 })
	select {
	case early := <-ends:
		t.Fatalf("%v, %v before the session failed", early.response, early.err)
	default:
	}
	failed := time.Now()
	s.Emulator.Clock().Advance(time.Hour)
	check := func(what string, e end, limit time.Duration) {
		t.Helper()
		got := e.response.GetRestoreSession()
		if e.err != nil || e.response.GetResult() != terminal || got.GetStatus() != pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_FAILED {
			t.Errorf("%s: %v, %v", what, e.response, e.err)
		}
		if took := e.at.Sub(failed); took > limit {
			t.Errorf("%s took %v", what, took)
		}
	}
	// The next poll comes 1 to 5 s after the first.
	check("a wait under way", <-ends, 8*time.Second)
	failed = time.Now()
	response, err := wait()
	check("a wait that comes later", end{response, err, time.Now()}, 3*time.Second)
}
