package service_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// Thousands of waits at once, of ten tenants and for a tenth as many units, cost memory and goroutines, and other calls
// little of their time. The whole: go test ./service -run ThousandsOfWaits -long -v.
func TestThousandsOfWaitsHoldUpNobody(t *testing.T) {
	connections := 20
	if *longProofs {
		connections = 200
	}
	s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		fmt.Fprintf(w, `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":%q,"status":"protectRequested"}`, id)
	}, func(o *service.Options) { o.OneTenant = true })
	tenant := func(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000001", n%10) }
	calls := 300
	if *longProofs {
		calls = 3000
	}
	latencies(t, s, 100) // The first calls make connections.
	quiet := latencies(t, s, calls)
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	var last *grpc.ClientConn
	for n := range connections {
		conn, err := grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := pb.NewProtectionUnitServiceClient(conn)
		last = conn
		for k := range 50 {
			waits.Go(func() {
				call := metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant(n))
				for {
					got, err := client.WaitProtectionUnit(call, &pb.WaitProtectionUnitRequest{
						ProtectionUnitId: fmt.Sprintf("unit-%d", (n*50+k)/10),
						Until:            []pb.ProtectionUnitStatus{pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED},
					})
					if ctx.Err() != nil {
						return
					}
					if err != nil || got.GetResult() != timedOut {
						t.Errorf("%v, %v", got, err)
						return
					}
				}
			})
		}
	}
	all := connections * 50
	eventually(t, fmt.Sprintf("%d waits", all), func() bool { return s.Services.WaitsInFlight() == all })
	eventually(t, "all are polled", func() bool { return s.Services.Polls().Polls >= uint64(all/10) })
	runtime.GC()
	runtime.ReadMemStats(&during)
	// The client is in the same process, so the server has less than half of it.
	took, running := during.HeapAlloc+during.StackInuse-before.HeapAlloc-before.StackInuse, runtime.NumGoroutine()-goroutines
	t.Logf("%d waits on %d connections, with the client's side: %.1f MB of heap and stack, %d goroutines; each %.1f kB and %.1f", all, connections,
		float64(took)/1e6, running, float64(took)/float64(all)/1000, float64(running)/float64(all))
	busy := latencies(t, s, calls)
	t.Logf("other calls: p99 %v without them, %v with them, %.2f times as long", quiet, busy, busy.Seconds()/quiet.Seconds())
	if *longProofs && busy > 2*quiet {
		t.Errorf("the p99 of other calls is more than %v", 2*quiet)
	}
	start := time.Now()
	_, err := pb.NewProtectionUnitServiceClient(last).WaitProtectionUnit(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant(0)), &pb.WaitProtectionUnitRequest{
		ProtectionUnitId: "one",
	})
	t.Logf("the 51st wait of a connection: %s after %v", failureOf(err).reason, time.Since(start).Round(10*time.Microsecond))
	if f := failureOf(err); f.reason != "SERVER_OVERLOADED" || f.delay <= 0 {
		t.Errorf("the 51st wait of a connection: %v", err)
	}
	if perWait := int(during.HeapAlloc-before.HeapAlloc) / all; perWait > 100_000 {
		t.Errorf("%d bytes for each wait", perWait)
	}
	cancel()
	waits.Wait()
	eventually(t, "no waits", func() bool { return s.Services.WaitsInFlight() == 0 })
}

// latencies returns the p99 of n short calls, one after the other.
func latencies(t *testing.T, s *servicetest.Server, n int) time.Duration {
	t.Helper()
	client := pb.NewProtectionUnitServiceClient(s.Conn)
	var took []time.Duration
	for range n {
		start := time.Now()
		if _, err := client.GetProtectionUnit(s.Context(), &pb.GetProtectionUnitRequest{ProtectionUnitId: "one"}); err != nil {
			t.Error(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[n*99/100]
}
