package servicetest

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// Server is a server on an upstream, and a client of it. Both connections are real ones. They end with the test.
type Server struct {
	// TB is the test that started the server. Methods report to it.
	TB testing.TB
	// Emulator is the upstream; nil when the upstream is something else.
	Emulator *emulator.Emulator
	// Endpoint is the URL of the upstream with its version, such as `http://127.0.0.1:1234/v1.0`.
	Endpoint string
	Services *service.Server
	// Conn is the client's connection. A test may replace it by another one.
	Conn *grpc.ClientConn
	// Log has all that the server logged.
	Log *Log
	// Tenant is the `x-tenant-id` of every call; empty sends none. It is emulator.TenantA at first.
	Tenant string

	// User is the number of the user of Tenant on whose behalf every call is made; 0 sends no assertion.
	User int

	// nextTenants counts the calls of NextTenant.
	nextTenants int
}

// Option changes the options with which the services are made.
type Option func(*service.Options)

// New starts a server on an emulator whose clock stands still.
func New(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	return NewBehind(tb, func(e http.Handler) http.Handler { return e }, options...)
}

// NewBehind starts a server on what front makes of an emulator whose clock stands still. It can be a handler that sees
// all requests first.
func NewBehind(tb testing.TB, front func(http.Handler) http.Handler, options ...Option) *Server {
	tb.Helper()
	e := emulator.New(emulator.Options{Stopped: true})
	return NewOnEmulator(tb, ClearText, e, httptest.NewUnstartedServer(front(e)), options...)
}

// NewOnEmulator starts a server on an emulator. The upstream serves the emulator or something in front of it, and is
// started here.
func NewOnEmulator(tb testing.TB, transport Transport, e *emulator.Emulator, upstream *httptest.Server, options ...Option) *Server {
	tb.Helper()
	o := transport.Start(tb, upstream)
	o.Backoff = 10 * time.Millisecond
	s := start(tb, o, options...)
	s.Emulator = e
	return s
}

// NewOnHandler starts a server on an upstream that serves all requests with one handler. The server sends each request
// once: a repeat would get the same response.
func NewOnHandler(tb testing.TB, handler http.HandlerFunc, options ...Option) *Server {
	tb.Helper()
	return NewOnHandlerOver(tb, ClearText, handler, options...)
}

// NewRepeating is NewOnHandler with a server that repeats requests, as in production.
func NewRepeating(tb testing.TB, handler http.HandlerFunc, options ...Option) *Server {
	tb.Helper()
	o := ClearText.Start(tb, httptest.NewUnstartedServer(handler))
	o.Backoff = 10 * time.Millisecond
	return start(tb, o, options...)
}

// NewOnHandlerOver is NewOnHandler with a choice of the transport.
func NewOnHandlerOver(tb testing.TB, transport Transport, handler http.HandlerFunc, options ...Option) *Server {
	tb.Helper()
	o := transport.Start(tb, httptest.NewUnstartedServer(handler))
	o.Repeats = -1
	return start(tb, o, options...)
}

// NewOnEndpoint starts a server on an upstream that runs already, or that cannot be reached. The server sends each
// request once.
func NewOnEndpoint(tb testing.TB, endpoint string, options ...Option) *Server {
	tb.Helper()
	return NewMade(tb, service.New, endpoint, options...)
}

// Maker makes the services, as service.New does.
type Maker func(service.Options) (*service.Server, error)

// NewMade is NewOnEndpoint with services that newServices makes.
func NewMade(tb testing.TB, newServices Maker, endpoint string, options ...Option) *Server {
	tb.Helper()
	return startMade(tb, newServices, graph.Options{Endpoint: endpoint, Repeats: -1}, options...)
}

// start starts a server with a client of the upstream.
func start(tb testing.TB, upstream graph.Options, options ...Option) *Server {
	tb.Helper()
	return startMade(tb, service.New, upstream, options...)
}

// messagePath reports whether the tests are to run without the wire path, as a server does with --wire-path=off.
func messagePath() bool { return os.Getenv("BACKUPSTORAGE_WIRE_PATH") == "off" }

func startMade(tb testing.TB, newServices Maker, upstream graph.Options, options ...Option) *Server {
	tb.Helper()
	upstream.Tokens, upstream.UserAgent = graph.Unsigned{}, "test"
	client, err := graph.New(upstream)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	s := &Server{TB: tb, Endpoint: upstream.Endpoint, Log: new(Log), Tenant: emulator.TenantA}
	o := service.Options{Graph: client, Logger: slog.New(slog.NewJSONHandler(s.Log, nil)), MessagePath: messagePath()}
	for _, option := range options {
		option(&o)
	}
	services, address, stop, err := serve(newServices, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	s.Services = services
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	// Not s.Conn, which a test may replace.
	tb.Cleanup(func() { _ = conn.Close() })
	s.Conn = conn
	return s
}

// Serve makes the services and serves them on a free port of loopback until stop is called.
func Serve(options service.Options) (services *service.Server, address string, stop func(), err error) {
	return serve(service.New, options)
}

func serve(newServices Maker, options service.Options) (services *service.Server, address string, stop func(), err error) {
	if services, err = newServices(options); err != nil {
		return nil, "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	limited := services.Listen(listener)
	server := grpc.NewServer(services.GRPCOptions()...)
	services.Register(server)
	go func() { _ = server.Serve(limited) }()
	return services, listener.Addr().String(), server.Stop, nil
}

// NextTenant changes to a tenant that was not used before. The server sends nothing for a while for a tenant that was
// throttled.
func (s *Server) NextTenant() {
	s.nextTenants++
	s.Tenant = fmt.Sprintf("%08x-0000-4000-8000-000000000001", s.nextTenants)
}
