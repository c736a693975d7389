package service_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
)

// A call that lasts ends when its token does, or the right that it needs, with a typed error and a line in the log. The
// whole, with the server's own 10 s: go test ./service -run RightsEnd -long -v.
func TestRightsEndWhatLasts(t *testing.T) {
	// A time of 0 is the server's own.
	look, limit := 100*time.Millisecond, 10*time.Second
	if *longProofs {
		look, limit = 0, 10*time.Second+500*time.Millisecond
	}
	for name, test := range map[string]struct {
		expiry time.Duration
		rights string
		reason string
	}{
		// The server accepts a token for a minute longer than it is valid.
		"the token ends":    {-58 * time.Second, rightsText, "CALLER_UNAUTHENTICATED"},
		"rights taken away": {time.Hour, strings.ReplaceAll(rightsText, "#reader", "#nobody"), "CALLER_NOT_ALLOWED"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t)
			issuer.use(t, strings.Replace(rightsText, "PERMISSIONS", "BackupRestore-Configuration.Read.All", 1))
			policy := &onePolicy{status: "updating"}
			units := &unitPages{pages: 1000, perPage: 1, took: 50 * time.Millisecond}
			s := timedServer(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "protectionUnits") {
					units.ServeHTTP(w, r)
					return
				}
				policy.ServeHTTP(w, r)
			}, 0, 0, look, func(o *service.Options) { o.Callers = issuer.callers })
			// The end of a token is a whole second.
			expires := time.Now().Add(test.expiry).Truncate(time.Second)
			token := issuer.token("reader", func(claims map[string]any) { claims["exp"] = expires.Unix() })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", grantedTenant, "authorization", "Bearer "+token)
			ends := make(chan error, 3)
			go func() {
				_, _, err := receive(ctx, s, "", -1)
				ends <- err
			}()
			go func() {
				_, err := pb.NewProtectionPolicyServiceClient(s.Conn).WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{
					ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{policyActive},
				})
				ends <- err
			}()
			go func() {
				stream, err := pb.NewWatchServiceClient(s.Conn).WatchProtectionPolicy(ctx, &pb.WatchProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
				for err == nil {
					_, err = stream.Recv()
				}
				ends <- err
			}()
			eventually(t, "three that last", func() bool { return s.Services.WaitsInFlight() == 3 && units.requests.Load() > 2 })
			issuer.use(t, strings.Replace(test.rights, "PERMISSIONS", "BackupRestore-Configuration.Read.All", 1))
			gone := time.Now()
			if end := expires.Add(time.Minute); test.reason == "CALLER_UNAUTHENTICATED" && end.After(gone) {
				gone = end
			}
			for range 3 {
				if err := <-ends; failureOf(err).reason != test.reason {
					t.Errorf("%v", err)
				}
			}
			took := time.Since(gone)
			if t.Logf("all three ended %v after the right did", took.Round(10*time.Millisecond)); took > limit {
				t.Errorf("more than %v", limit)
			}
			if n := strings.Count(s.Log.String(), test.reason); n != 3 {
				t.Errorf("%d lines in the log", n)
			}
		})
	}
}

// Who may not read a resource may not wait for it either.
func TestWaitsNeedTheRightOfTheirReads(t *testing.T) {
	s := newIdentified(t)
	for name, reason := range map[string]string{"reader": "", "late": "CALLER_NOT_ALLOWED", "elsewhere": "CALLER_NOT_ALLOWED"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", grantedTenant, "authorization", "Bearer "+s.token(name, nil))
		_, err := pb.NewProtectionPolicyServiceClient(s.Conn).WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
		if got := failureOf(err).reason; (got == "CALLER_NOT_ALLOWED") != (reason == "CALLER_NOT_ALLOWED") {
			t.Errorf("%s: a wait ends with %v", name, err)
		}
		stream, err := pb.NewProtectionUnitStreamServiceClient(s.Conn).StreamMailboxProtectionUnits(ctx, new(pb.ListMailboxProtectionUnitsRequest))
		if err == nil {
			_, err = stream.Recv()
		}
		if got := failureOf(err).reason; (got == "CALLER_NOT_ALLOWED") != (reason == "CALLER_NOT_ALLOWED") {
			t.Errorf("%s: a stream ends with %v", name, err)
		}
	}
}
