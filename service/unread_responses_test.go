package service_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// stalledClient is an HTTP/2 client that never opens its window: it takes headers and no byte of a response.
type stalledClient struct {
	t    testing.TB
	conn net.Conn
	// mu guards the writing side of framer, and next.
	mu     sync.Mutex
	framer *http2.Framer
	next   uint32
	// closed is closed when the server has closed the connection.
	closed chan struct{}
}

func newStalledClient(tb testing.TB, address string) *stalledClient {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &stalledClient{t: tb, conn: conn, framer: http2.NewFramer(conn, conn), next: 1, closed: make(chan struct{})}
	io.WriteString(conn, http2.ClientPreface)
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	// No goroutine writes before.
	go func() {
		defer close(c.closed)
		for {
			frame, err := c.framer.ReadFrame()
			if err != nil {
				return
			}
			if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
				c.mu.Lock()
				c.framer.WriteSettingsAck()
				c.mu.Unlock()
			}
		}
	}()
	return c
}

// call begins a call and does not wait for its response.
func (c *stalledClient) call(method string, request proto.Message, timeout time.Duration) {
	c.t.Helper()
	if !c.try(method, request, timeout, emulator.TenantA) {
		c.t.Fatal("the connection has ended")
	}
}

// try is call for any tenant. It reports whether the connection is still there.
func (c *stalledClient) try(method string, request proto.Message, timeout time.Duration, tenant string) bool {
	c.t.Helper()
	body, err := proto.Marshal(request)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	message = append(message, body...)
	c.writeHeaders(method, c.next, timeout, tenant)
	err = c.framer.WriteData(c.next, true, message)
	c.next += 2
	return err == nil
}

// writeHeaders begins a stream. The caller holds mu.
func (c *stalledClient) writeHeaders(method string, stream uint32, timeout time.Duration, tenant string) {
	var headers strings.Builder
	encoder := hpack.NewEncoder(&headers)
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "test"}, {"content-type", "application/grpc"},
		{"te", "trailers"}, {"grpc-timeout", fmt.Sprintf("%dm", timeout.Milliseconds())}, {"x-tenant-id", tenant},
	} {
		encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(headers.String()), EndHeaders: true})
}

// largeList responds with a list of policies of about the given size.
func largeList(size int) http.HandlerFunc {
	const one = `{"@odata.type":"#microsoft.graph.exchangeProtectionPolicy","id":"61ec3a77-a61a-4e53-80be-5d0e4cc088d3","displayName":"`
	item := one + strings.Repeat("x", 1000) + `"}`
	body := `{"value":[` + strings.Repeat(item+",", size/len(item)) + item + `]}`
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

const listPolicies = "/m365.backupstorage.v1.ProtectionPolicyService/ListProtectionPolicies"

// awaitHeld waits until the server holds that many bytes of responses.
func awaitHeld(t *testing.T, s *servicetest.Server, want int64) {
	t.Helper()
	for began := time.Now(); s.Services.HeldBytes() < want; runtime.Gosched() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d bytes are held, want %d", s.Services.HeldBytes(), want)
		}
	}
}

// A client that does not take its responses keeps the places of its calls, so that it cannot make the server hold more
// than that; it loses its connection 5 s after their deadline, and with it everything that was held.
func TestUnreadResponsesAreBounded(t *testing.T) {
	const limit = 4
	s := servicetest.NewOnHandler(t, largeList(300_000), func(o *service.Options) { o.MaxCalls, o.OneTenant = limit, true })
	stalled := newStalledClient(t, s.Conn.Target())
	for range limit {
		stalled.call(listPolicies, new(pb.ListProtectionPoliciesRequest), time.Second)
	}
	began := time.Now()
	// A call of the other client that came between those would take the place of one of them.
	awaitHeld(t, s, limit*250_000)
	overloaded, held := false, int64(0)
	for time.Since(began) < 20*time.Second {
		_, err := pb.NewProtectionPolicyServiceClient(s.Conn).ListProtectionPolicies(s.Context(), new(pb.ListProtectionPoliciesRequest))
		held = max(held, s.Services.HeldBytes())
		if err == nil && overloaded {
			break
		}
		if err != nil {
			overloaded = true
		}
	}
	took := time.Since(began)
	if !overloaded || took < 5*time.Second || took > 9*time.Second {
		t.Errorf("overloaded: %v; the places were free again after %v, want 6 s to 8 s", overloaded, took)
	}
	if held < limit*300_000/2 || held > 3*limit*400_000 {
		t.Errorf("%d bytes were held", held)
	}
	select {
	case <-stalled.closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still there")
	}
	if left := s.Services.HeldBytes(); left != 0 {
		t.Errorf("%d bytes are still held", left)
	}
}

// What a connection held is free as soon as it ends.
func TestEndOfAConnectionFreesItsResponses(t *testing.T) {
	s := servicetest.NewOnHandler(t, largeList(300_000), func(o *service.Options) { o.MaxCalls, o.OneTenant = 2, true })
	list := func() error {
		_, err := pb.NewProtectionPolicyServiceClient(s.Conn).ListProtectionPolicies(s.Context(), new(pb.ListProtectionPoliciesRequest))
		return err
	}
	for round := range 5 {
		stalled := newStalledClient(t, s.Conn.Target())
		for began := time.Now(); list() == nil; {
			// One that came while the other client had the place was refused.
			stalled.call(listPolicies, new(pb.ListProtectionPoliciesRequest), time.Minute)
			if time.Since(began) > 10*time.Second {
				t.Fatalf("round %d: the stalled client holds no place", round)
			}
		}
		stalled.conn.Close()
		for began := time.Now(); list() != nil; {
			if time.Since(began) > 3*time.Second {
				t.Fatalf("round %d: the places are not free: %v", round, list())
			}
		}
	}
}

// Large responses share a bound: reads that find no room are refused with a typed error and can come again, and what is
// held stays within the bound.
func TestLargeResponsesShareABound(t *testing.T) {
	const bound = 40 << 20
	s := servicetest.NewOnHandler(t, largeList(3<<20), func(o *service.Options) { o.MaxResponseBytes, o.OneTenant = bound, true })
	var calls sync.WaitGroup
	var ok, refused atomic.Int64
	done := make(chan struct{})
	most := int64(0)
	for range 40 {
		calls.Go(func() {
			o := s.CallContext(s.Context(), "ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), new(pb.ListProtectionPoliciesResponse))
			switch {
			case o.Status == nil:
				ok.Add(1)
			case o.Reason() == "SERVER_OVERLOADED" && servicetest.Detail[*errdetails.RetryInfo](o.Status) != nil && o.Pushback()[0] != "-1":
				refused.Add(1)
			default:
				t.Errorf("got %v, pushback %v", o.Status, o.Pushback())
			}
		})
	}
	go func() {
		defer close(done)
		calls.Wait()
	}()
	for running := true; running; {
		most = max(most, s.Services.HeldBytes())
		select {
		case <-done:
			running = false
		default:
			runtime.Gosched()
		}
	}
	// What is marshalled is there already, so that the bound can be passed by a response for each call that had room.
	if most > bound*3/2 || ok.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d bytes were held, %d calls were OK, %d refused", most, ok.Load(), refused.Load())
	}
	if left := s.Services.HeldBytes(); left != 0 {
		t.Errorf("%d bytes are still held", left)
	}
}

// What is held for a client that does not read is the bytes of the responses, not the messages that they were made of,
// which are several times as large.
func TestUnreadResponsesAreHeldAsBytes(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	// Small items, of which a message takes many times the space of its bytes.
	body := `{"value":[` + strings.Repeat(`{"id":"61ec3a77-a61a-4e53-80be-5d0e4cc088d3","status":"active"},`, 20_000) + `{"id":"x"}]}`
	s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }, func(o *service.Options) { o.OneTenant = true })
	stalled := newStalledClient(t, s.Conn.Target())
	before := heap()
	const calls = 20
	for range calls {
		stalled.call(listPolicies, new(pb.ListProtectionPoliciesRequest), time.Minute)
	}
	one, err := pb.NewProtectionPolicyServiceClient(s.Conn).ListProtectionPolicies(s.Context(), new(pb.ListProtectionPoliciesRequest))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(proto.Size(one))
	awaitHeld(t, s, calls*size)
	if grown := heap() - before; grown > 2*calls*size {
		t.Errorf("%d responses of %d bytes take %d bytes, %.1f times as much", calls, size, grown, float64(grown)/float64(calls*size))
	}
	runtime.KeepAlive(one)
}
