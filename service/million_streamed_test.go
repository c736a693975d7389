//go:build !race

// With the race detector a million units take minutes, and the memory is its own.

package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// What a stream holds does not depend on how many units there are. The whole, from 10,000 to 1,000,000 units:
// go test ./service -run HoldAFewPages -long -v.
func TestStreamsHoldAFewPages(t *testing.T) {
	times, many, slack := 1, 101, uint64(2<<20)
	if *longProofs {
		times, many, slack = 10, 1001, 0
	}
	// The most of many looks is more than that of few.
	few, least := uint64(0), uint64(1<<62)
	for range times {
		before, most := liveWhileStreaming(t, 11)
		few, least = max(few, most), min(least, before)
	}
	_, all := liveWhileStreaming(t, many)
	t.Logf("live heap %.2f MB before; at most %.2f MB for 11 pages of 999 units, %.2f MB for %d", float64(least)/1e6, float64(few)/1e6, float64(all)/1e6, many)
	// Few looks see less than many, and a few megabytes are no difference then.
	if all > few*12/10+slack {
		t.Errorf("%d bytes for 11 pages, %d for %d", few, all, many)
	}
}

// liveWhileStreaming returns the most that was live on the heap after a collection while pages of 999 units were
// streamed, and what was live before. It looks after each page.
func liveWhileStreaming(t *testing.T, pages int) (before, most uint64) {
	t.Helper()
	u := &unitPages{pages: pages, perPage: 999}
	s := servicetest.NewOnHandler(t, u.ServeHTTP)
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", s.Tenant), 5*time.Minute)
	defer cancel()
	live := func() uint64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	// What pools keep from before is gone after two collections.
	live()
	before = live()
	// The client is in the same process: a window that grows with the length of the stream would be its own.
	conn, err := grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := pb.NewProtectionUnitStreamServiceClient(conn).StreamMailboxProtectionUnits(ctx, &pb.ListMailboxProtectionUnitsRequest{})
	units := 0
	for err == nil {
		var page *pb.ListMailboxProtectionUnitsResponse
		if page, err = stream.Recv(); err == nil {
			units += len(page.GetProtectionUnits())
			most = max(most, live())
		}
	}
	if !errors.Is(err, io.EOF) || units != pages*999 {
		t.Fatalf("%d units, %v", units, err)
	}
	return before, most
}

// cuttable is a connection of a client that a test cuts.
type cuttable struct {
	*grpc.ClientConn
	mu   sync.Mutex
	conn net.Conn
}

func dialCuttable(t *testing.T, address string) *cuttable {
	t.Helper()
	c := new(cuttable)
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conn = conn
			return conn, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c.ClientConn = conn
	return c
}

// cut breaks the connection off without a word: the server gets a reset, and what was on its way is lost.
func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
}

// A million units, each once, while the connection is cut again and again and another of three replicas goes on. The
// whole, with cuts every 3 s: go test ./service -run MillionUnits -long -v.
func TestMillionUnitsStreamedThroughCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("a million units take seconds; the whole: go test ./service -run Million")
	}
	const units = 1_000_000
	e := emulator.New(emulator.Options{Stopped: true})
	if err := e.Seed(emulator.Seed{Tenant: emulator.TenantA, Users: units + 1, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{{Workload: emulator.Exchange, Units: units}}}); err != nil {
		t.Fatal(err)
	}
	endpoint := upstreamOf(t, e)
	key := func(o *service.Options) { o.PageTokenKeys = [][]byte{[]byte("0123456789abcdef0123456789abcdef")} }
	var replicas []*servicetest.Server
	for range 3 {
		replicas = append(replicas, servicetest.NewOnEndpoint(t, endpoint, key))
	}
	// Each page takes so long that a stream is cut many times.
	life, pause := 500*time.Millisecond, time.Duration(0)
	if *longProofs {
		life, pause = 3*time.Second, 30*time.Millisecond
	}
	request := &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: emulator.SeededPolicyID(emulator.TenantA, emulator.Exchange)}
	seen := make(map[string]struct{}, units)
	listed, cuts := 0, 0
	for start := time.Now(); ; cuts++ {
		conn := dialCuttable(t, replicas[cuts%len(replicas)].Conn.Target())
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantA), 2*time.Minute)
		cut := time.AfterFunc(life, conn.cut)
		stream, err := pb.NewProtectionUnitStreamServiceClient(conn).StreamExchangeProtectionPolicyUnits(ctx, request)
		for err == nil {
			var page *pb.ListExchangeProtectionPolicyUnitsResponse
			if page, err = stream.Recv(); err == nil {
				for _, unit := range page.GetProtectionUnits() {
					listed++
					seen[unit.GetUser().GetDirectoryObjectId()] = struct{}{}
				}
				request.PageToken = page.GetNextPageToken()
				if pause > 0 {
					// A client that does something with its pages.
					<-time.After(pause)
				}
			}
		}
		late := !cut.Stop()
		cancel()
		if errors.Is(err, io.EOF) {
			t.Logf("%d units in %v by %d replicas, cut %d times", listed, time.Since(start).Round(time.Millisecond), len(replicas), cuts)
			break
		}
		if !late || failureOf(err).reason != "" {
			t.Fatal(err)
		}
	}
	if listed != units || len(seen) != units || cuts < 3 {
		t.Errorf("%d units of %d mailboxes, cut %d times", listed, len(seen), cuts)
	}
}
