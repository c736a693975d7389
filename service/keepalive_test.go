package service_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
)

const (
	// slowMethod is a method that takes slowTime.
	slowMethod = "/test.Slow/Call"
	slowTime   = 50 * time.Second
)

// serveSlow serves slowMethod in memory, with the options of the server. In a bubble of synctest no time is lost.
func serveSlow(t *testing.T) *bufconn.Listener {
	t.Helper()
	client, err := graph.New(graph.Options{Endpoint: "http://127.0.0.1:1/v1.0", Tokens: graph.Unsigned{}, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	services, err := service.New(service.Options{Graph: client, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(services.GRPCOptions()...)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Slow", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Call",
		Handler: func(_ any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			select {
			case <-time.After(slowTime):
				return new(emptypb.Empty), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}}}, nil)
	listener := bufconn.Listen(1 << 20)
	go server.Serve(listener)
	t.Cleanup(func() {
		server.Stop()
		client.Close()
	})
	return listener
}

// A client with a keepalive of 10 s, also without calls, is idle for 50 s and then makes a call of 50 s.
func TestKeepaliveOf10sKeepsASlowCallAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := serveSlow(t)
		var connections atomic.Int32
		conn, err := grpc.NewClient("passthrough:memory",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				connections.Add(1)
				return listener.DialContext(ctx)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Connect()
		time.Sleep(slowTime)
		if err := conn.Invoke(t.Context(), slowMethod, new(emptypb.Empty), new(emptypb.Empty)); err != nil {
			t.Errorf("the call: %v", err)
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%d connections, want 1 for all the time", n)
		}
	})
}

// Pings that come at least 5 s apart never end a connection, with a call under way and without. More frequent ones do.
func TestPingsThatEndAConnection(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		want  http2.ErrCode
	}{
		{10 * time.Second, http2.ErrCodeNo},
		{5100 * time.Millisecond, http2.ErrCodeNo},
		{4900 * time.Millisecond, http2.ErrCodeEnhanceYourCalm},
	} {
		for _, calls := range []int{0, 1} {
			t.Run(fmt.Sprintf("every %v, calls under way: %d", c.every, calls), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, err := serveSlow(t).Dial()
					if err != nil {
						t.Fatal(err)
					}
					p := newPinger(t, conn)
					for range calls {
						p.call()
					}
					for began := time.Now(); time.Since(began) < slowTime-time.Second; time.Sleep(c.every) {
						p.framer.WritePing(false, [8]byte{})
					}
					conn.Close()
					if got := <-p.goAway; got != c.want {
						t.Errorf("GOAWAY with %v, want %v", got, c.want)
					}
				})
			})
		}
	}
}

// pinger is an HTTP/2 client without a keepalive of its own. That of grpc-go waits 10 s or more between pings.
type pinger struct {
	framer *http2.Framer
	// goAway gets the code of the server's GOAWAY when the connection has ended, NO_ERROR if there was none.
	goAway chan http2.ErrCode
}

func newPinger(t *testing.T, conn net.Conn) *pinger {
	t.Helper()
	p := &pinger{framer: http2.NewFramer(conn, conn), goAway: make(chan http2.ErrCode, 1)}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	p.framer.WriteSettings()
	go func() {
		code := http2.ErrCodeNo
		for {
			frame, err := p.framer.ReadFrame()
			if err != nil {
				p.goAway <- code
				return
			}
			if goAway, ok := frame.(*http2.GoAwayFrame); ok {
				code = goAway.ErrCode
			}
		}
	}()
	return p
}

// call begins a call of slowMethod.
func (p *pinger) call() {
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", slowMethod}, {":authority", "test"},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndHeaders: true})
	p.framer.WriteData(1, true, make([]byte, 5)) // An empty message.
}
