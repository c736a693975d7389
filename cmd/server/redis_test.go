package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

// Two servers with one Redis: what Graph throttles at one of them, the other does not send either. Without Redis they
// serve on.
func TestReplicasShareWhatGraphThrottles(t *testing.T) {
	var requests, throttling atomic.Int64
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if requests.Add(1); throttling.Load() > 0 {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(`{"serviceStatus":{"status":"enabled"}}`))
	}))
	defer graph.Close()
	shared := miniredis.RunT(t)
	shared.RequireAuth("canary")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var replicas []*running
	for range 2 {
		replicas = append(replicas, start(t, "--graph-endpoint", graph.URL+"/v1.0", "--admin-listen", "127.0.0.1:0", "--redis-url", "redis://"+shared.Addr(), "--redis-password-file", password))
	}
	call := func(r *running, tenant string) string {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", tenant)
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := pb.NewBackupRestoreServiceClient(r.conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
		return reasonOf(err)
	}
	for _, r := range replicas {
		if reason := call(r, someGUID); reason != "" {
			t.Fatal(reason)
		}
		redistest.Eventually(t, "Redis is up", func() bool { return strings.Contains(r.log.String(), "Redis is up") })
	}
	redistest.Eventually(t, "both listen", func() bool {
		for _, n := range shared.PubSubNumSub(strings.TrimPrefix(graph.URL, "http://") + ":none:throttle") {
			return n == 2
		}
		return false
	})
	throttling.Store(1)
	if reason := call(replicas[0], someGUID); reason != "TOO_MANY_REQUESTS" {
		t.Fatal(reason)
	}
	redistest.Eventually(t, "the other replica knows", func() bool { return strings.Contains(replicas[1].log.String(), "Graph throttles a tenant") })
	before := requests.Load()
	if reason := call(replicas[1], someGUID); reason != "TOO_MANY_REQUESTS" || requests.Load() != before {
		t.Errorf("%s, and %d requests went out", reason, requests.Load()-before)
	}
	throttling.Store(0)
	shared.Close()
	for _, r := range replicas {
		if reason := call(r, "33333333-0000-4000-8000-000000000001"); reason != "" {
			t.Errorf("without Redis: %s", reason)
		}
		if log := r.log.String(); strings.Contains(log, "canary") {
			t.Error("the log has the password")
		}
	}
}
