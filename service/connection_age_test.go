package service_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// aged is a server whose connections reach their age after two seconds: a tenth more or less, as gRPC spreads them.
func aged(t *testing.T, grace, wait, stream time.Duration) *servicetest.Server {
	t.Helper()
	policy := &onePolicy{status: "updating"}
	units := &unitPages{pages: 10_000, perPage: 1, took: 20 * time.Millisecond}
	return servicetest.NewMade(t, func(o service.Options) (*service.Server, error) {
		return service.NewAged(o, 2*time.Second, grace, wait, stream)
	}, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "protectionUnits") {
			units.ServeHTTP(w, r)
			return
		}
		policy.ServeHTTP(w, r)
	})))
}

// ended is how a call that lasts ended.
type ended struct {
	what   string
	reason string
	code   codes.Code
	// knows is where a stream goes on, or what a wait returned.
	knows string
	took  time.Duration
}

// beginLate begins a stream, a watch and a wait one second before their connection reaches its age, and returns how
// they ended.
func beginLate(t *testing.T, s *servicetest.Server) (ends []ended) {
	t.Helper()
	// The connection is made now, and there is no other one.
	if _, err := pb.NewProtectionPolicyServiceClient(s.Conn).GetProtectionPolicy(s.Context(), &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second)
	all, began := make(chan ended, 3), time.Now()
	end := func(what string, err error, knows string) {
		all <- ended{what, failureOf(err).reason, status.Code(err), knows, time.Since(began)}
	}
	go func() {
		_, token, err := receive(s.Context(), s, "", -1)
		end("stream", err, token)
	}()
	go func() {
		watch, err := pb.NewWatchServiceClient(s.Conn).WatchProtectionPolicy(s.Context(), &pb.WatchProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
		revision := ""
		for err == nil {
			var message *pb.WatchProtectionPolicyResponse
			if message, err = watch.Recv(); err == nil {
				revision = message.GetRevision()
			}
		}
		end("watch", err, revision)
	}()
	go func() {
		got, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{Until: []pb.ProtectionPolicyStatus{policyActive}})
		knows := ""
		if err == nil {
			knows = got.GetResult().String() + " " + got.GetProtectionPolicy().GetStatus().String()
		}
		end("wait", err, knows)
	}()
	for range 3 {
		ends = append(ends, <-all)
	}
	return ends
}

// What begins just before its connection reaches its age ends by itself and typed, before the connection is cut. The
// times have the proportions of those of the server.
func TestWhatBeginsBeforeTheAgeEndsByItself(t *testing.T) {
	t.Parallel()
	s := aged(t, 2200*time.Millisecond, 1800*time.Millisecond, 2*time.Second)
	for _, e := range beginLate(t, s) {
		switch {
		case e.took < 1500*time.Millisecond,
			e.what == "wait" && (e.code != codes.OK || e.knows != "WAIT_RESULT_TIMED_OUT PROTECTION_POLICY_STATUS_UPDATING"),
			e.what != "wait" && (e.reason != "STREAM_RESUME" || e.knows == ""):
			t.Errorf("%+v", e)
		}
	}
	// Each goes on over the next connection.
	if ids, _, err := receive(s.Context(), s, "", 2); err != nil || len(ids) != 2 {
		t.Errorf("%v, %v", ids, err)
	}
}

// With less grace than a stream lasts, the connection is cut and nobody says why: what the test above would see.
func TestLessGraceThanAStreamLastsIsSeen(t *testing.T) {
	t.Parallel()
	for _, e := range beginLate(t, aged(t, 200*time.Millisecond, 3*time.Second, 3*time.Second)) {
		if e.code != codes.Unavailable || e.reason != "" {
			t.Errorf("%+v", e)
		}
	}
}

// The server's own times are in that order: a stream ends itself, then its deadline would end it, then its connection.
func TestConnectionsOutliveWhatLasts(t *testing.T) {
	if interceptor.MaxStream >= interceptor.StreamTime || interceptor.StreamTime >= service.GraceOfConnections || interceptor.MaxTime >= service.GraceOfConnections {
		t.Errorf("a stream ends after %v, its deadline is %v, other calls have %v, and connections a grace of %v",
			interceptor.MaxStream, interceptor.StreamTime, interceptor.MaxTime, service.GraceOfConnections)
	}
}
