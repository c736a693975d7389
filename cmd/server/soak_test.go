package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// soakTime is how long the soak takes; BACKUPSTORAGE_SOAK changes it.
const soakTime = 5 * time.Second

const (
	goodTenant = "60000000-0000-4000-8000-000000000000"
	listMethod = "/m365.backupstorage.v1.ProtectionPolicyService/ListProtectionPolicies"
)

// badTenant is one of the tenants for which the upstream misbehaves.
func badTenant(n int) string { return fmt.Sprintf("b0000000-0000-4000-8000-%012d", n) }

// tenantOf returns the tenant of a request by its unsigned token.
func tenantOf(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), ".")
	payload, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var claims struct{ Tid string }
	if json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Tid
}

// misbehave hangs, trickles, resets and lies in turn.
func misbehave(n uint64, w http.ResponseWriter, r *http.Request, done <-chan struct{}) {
	hijack := func() net.Conn {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		return conn
	}
	switch n % 12 {
	case 0:
		// net/http sees that a client is gone only when the body has been read.
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-done:
		}
	case 1:
		for {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	case 2:
		conn := hijack()
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	case 3:
		w.Header().Set("Content-Length", "100000")
		io.WriteString(w, `{"value":[`)
	case 4:
		io.WriteString(w, `{"value":[{"id":7},{]}`)
	case 5:
		w.Header().Set("Content-Length", strconv.Itoa(1<<40))
	case 6:
		io.WriteString(w, `{"value":[],"@odata.nextLink":"https://evil.example/x"}`)
	case 7:
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html>"+strings.Repeat("x", 100_000))
	case 8:
		conn := hijack()
		io.WriteString(conn, "nonsense\r\n\r\n")
		conn.Close()
	case 9:
		io.WriteString(w, `{"value":[`+strings.Repeat(`{},`, 3_000_000)+`{}]}`)
	case 10:
		w.WriteHeader(http.StatusServiceUnavailable)
	case 11:
		// A large list, which the stalled readers do not take.
		io.WriteString(w, `{"value":[`+strings.Repeat(`{"id":"x","displayName":"`+strings.Repeat("y", 1000)+`"},`, 1000)+`{"id":"x"}]}`)
	}
}

// A process whose upstream hangs, trickles, resets and lies for most tenants, with clients that stall, and a log that
// nobody reads: the good tenant is served, health stays true, and memory stays flat. The whole is
//
//	BACKUPSTORAGE_SOAK=10m go test ./cmd/server -run Soak -v -timeout 15m
func TestSoakOfFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("the whole is: BACKUPSTORAGE_SOAK=10m go test ./cmd/server -run Soak -v -timeout 15m")
	}
	length := soakTime
	if text := os.Getenv("BACKUPSTORAGE_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	var requests atomic.Uint64
	done := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tenantOf(r) != goodTenant {
			misbehave(requests.Add(1), w, r, done)
			return
		}
		io.WriteString(w, `{"value":[{"id":"61ec3a77-a61a-4e53-80be-5d0e4cc088d3"}]}`)
	}))
	t.Cleanup(upstream.Close)
	t.Cleanup(func() {
		close(done)
		upstream.CloseClientConnections()
	})

	server, _ := process(t, "BACKUPSTORAGE_GRAPH_ENDPOINT="+upstream.URL+"/v1.0", "BACKUPSTORAGE_MAX_CALLS=200", "BACKUPSTORAGE_MAX_RESPONSE_BYTES=67108864")
	unread, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	server.Stderr = write
	conn, stop := begin(t, server)
	write.Close()

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var load sync.WaitGroup
	for n := range 8 {
		load.Go(func() { badCalls(ctx, conn, n) })
	}
	for n := range 2 {
		load.Go(func() { stalledReader(ctx, conn.Target(), n) })
	}
	seen := goodCalls(ctx, t, conn, server.Process.Pid)
	load.Wait()

	slices.Sort(seen.took)
	p99 := seen.took[len(seen.took)*99/100]
	t.Logf("good tenant: %d calls, %d failed, p99 %v; requests of the others: %d; memory: %v MiB", len(seen.took), seen.failed, p99, requests.Load(), seen.memory)
	if seen.failed > 0 || p99 > time.Second {
		t.Errorf("of %d calls of the good tenant %d failed, p99 %v", len(seen.took), seen.failed, p99)
	}
	if n := len(seen.memory); n >= 40 {
		// The first third is the warm-up.
		warm, last := slices.Max(seen.memory[n/4:n/2]), slices.Max(seen.memory[n*3/4:])
		if last > warm*3/2+32 || last > 700 {
			t.Errorf("memory grows: %v MiB", seen.memory)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

// badCalls makes calls of the bad tenants, reads and writes, until the context ends.
func badCalls(ctx context.Context, conn *grpc.ClientConn, n int) {
	policies := pb.NewProtectionPolicyServiceClient(conn)
	for i := 0; ctx.Err() == nil; i++ {
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		call, _ = as(call, badTenant((n+i)%20), "")
		if i%3 == 0 {
			_, _ = policies.CreateExchangeProtectionPolicy(call, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "x"})
		} else {
			_, _ = policies.ListProtectionPolicies(call, new(pb.ListProtectionPoliciesRequest))
		}
		cancel()
	}
}

// stalledReader makes calls on a connection of its own and reads no response, until the context ends.
func stalledReader(ctx context.Context, target string, n int) {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
	if err != nil {
		return
	}
	defer conn.Close()
	for i := 0; ctx.Err() == nil; i++ {
		call, _ := as(ctx, badTenant(100+n), "")
		stream, err := conn.NewStream(call, &grpc.StreamDesc{ServerStreams: true}, listMethod)
		if err == nil {
			_ = stream.SendMsg(new(pb.ListProtectionPoliciesRequest))
			_ = stream.CloseSend()
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sight is what the good tenant saw.
type sight struct {
	took   []time.Duration
	failed int
	// memory is that of the process in MiB, now and then.
	memory []int
}

// goodCalls makes calls of the good tenant, and asks for health, until the context ends.
func goodCalls(ctx context.Context, t *testing.T, conn *grpc.ClientConn, pid int) sight {
	t.Helper()
	var s sight
	health := healthpb.NewHealthClient(conn)
	lastMemory := time.Now()
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		call, _ = as(call, goodTenant, "")
		began := time.Now()
		_, err := pb.NewProtectionPolicyServiceClient(conn).ListProtectionPolicies(call, new(pb.ListProtectionPoliciesRequest))
		s.took = append(s.took, time.Since(began))
		if err != nil {
			s.failed++
			t.Logf("good tenant: %v", status.Convert(err))
			if status.Code(err) == codes.Unavailable && s.failed > 20 {
				t.Fatal("the good tenant is not served")
			}
		}
		if got, err := health.Check(call, new(healthpb.HealthCheckRequest)); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health: %v, %v", got, err)
		}
		cancel()
		if time.Since(lastMemory) > time.Second {
			lastMemory = time.Now()
			s.memory = append(s.memory, memoryOf(t, pid))
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return s
}

// memoryOf returns how much memory a process has, in MiB; 0 where there is no /proc.
func memoryOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize() >> 20
}
