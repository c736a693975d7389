package service_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// world is a server on an upstream, and a client, over real connections.
type world struct {
	t        *testing.T
	emulator *emulator.Emulator
	upstream string
	services *service.Server
	conn     *grpc.ClientConn
	log      *syncBuffer
	// tenant goes with every call; empty sends none. moved counts how often it was changed.
	tenant string
	moved  int
}

// option changes how a world is made.
type option func(*service.Options)

// newWorld starts a server on an emulator whose clock stands still.
func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	return newWorldBehind(t, func(e http.Handler) http.Handler { return e }, options...)
}

// newWorldBehind starts a server on an emulator that stands behind something else.
func newWorldBehind(t *testing.T, front func(http.Handler) http.Handler, options ...option) *world {
	t.Helper()
	e := emulator.New(emulator.Options{Stopped: true})
	return newWorldOver(t, plain, e, httptest.NewUnstartedServer(front(e)), options...)
}

// newWorldOver starts a server on an emulator that an upstream, which it starts too, stands for.
func newWorldOver(t *testing.T, how link, e *emulator.Emulator, upstream *httptest.Server, options ...option) *world {
	t.Helper()
	o := how.start(t, upstream)
	o.Backoff = 10 * time.Millisecond
	w := newWorldWith(t, o, options...)
	w.emulator = e
	return w
}

// link is what the server and its upstream speak.
type link string

const (
	plain link = "HTTP/1.1 in clear text"
	// secure is how Graph is spoken to: writes go over HTTP/2, reads over HTTP/1.1.
	secure link = "TLS"
)

// start starts an upstream, and returns what the client has to know of it.
func (how link) start(t *testing.T, upstream *httptest.Server) graph.Options {
	t.Helper()
	t.Cleanup(upstream.Close)
	if how == plain {
		upstream.Start()
		return graph.Options{Endpoint: upstream.URL + "/v1.0"}
	}
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(upstream.Certificate())
	return graph.Options{Endpoint: upstream.URL + "/v1.0", RootCAs: roots}
}

// newWorldOn starts a server on any upstream, to which it sends each call once: an upstream that gives the same answer
// again and again would make it wait for nothing.
func newWorldOn(t *testing.T, upstream string, options ...option) *world {
	t.Helper()
	return newWorldWith(t, graph.Options{Endpoint: upstream, Repeats: -1}, options...)
}

func newWorldWith(t *testing.T, upstream graph.Options, options ...option) *world {
	t.Helper()
	return newWorldMade(t, service.New, upstream, options...)
}

// newWorldMade makes the server by a function like service.New.
func newWorldMade(t *testing.T, make func(service.Options) (*service.Server, error), upstream graph.Options, options ...option) *world {
	t.Helper()
	upstream.Tokens, upstream.UserAgent = graph.Unsigned{}, "test"
	client, err := graph.New(upstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, upstream: upstream.Endpoint, log: new(syncBuffer), tenant: emulator.TenantA}
	o := service.Options{Graph: client, Logger: slog.New(slog.NewJSONHandler(w.log, nil)), AllowAppOnly: true}
	for _, change := range options {
		change(&o)
	}
	if w.services, err = make(o); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(w.services.GRPCOptions()...)
	w.services.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	w.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	// Tests may go on with another connection.
	conn := w.conn
	t.Cleanup(func() { conn.Close() })
	return w
}

// moves goes on in another tenant: one that was throttled is left alone for a while.
func (w *world) moves() {
	w.moved++
	w.tenant = fmt.Sprintf("%08x-0000-4000-8000-000000000001", w.moved)
}

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	w.t.Cleanup(cancel)
	if w.tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", w.tenant)
	}
	return ctx
}

// outcome is what a client saw of a call.
type outcome struct {
	status  *statuspb.Status
	header  metadata.MD
	trailer metadata.MD
}

func (o *outcome) code() codes.Code { return codes.Code(o.status.GetCode()) }

// reason is the reason of the ErrorInfo, which has to come first; empty when there is none.
func (o *outcome) reason() string { return reasonOf(o.status) }

func reasonOf(s *statuspb.Status) string {
	if len(s.GetDetails()) == 0 {
		return ""
	}
	info := new(errdetails.ErrorInfo)
	if s.GetDetails()[0].UnmarshalTo(info) != nil {
		return ""
	}
	return info.GetReason()
}

// detail returns the detail of the given type, nil when there is none.
func detail[T proto.Message](s *statuspb.Status) (found T) {
	for _, d := range s.GetDetails() {
		if d.MessageIs(found) {
			message, err := d.UnmarshalNew()
			if err == nil {
				found, _ = message.(T)
			}
		}
	}
	return found
}

func (o *outcome) pushback() []string { return o.trailer.Get("grpc-retry-pushback-ms") }

// call calls an rpc by its short name, such as `ProtectionPolicyService/GetProtectionPolicy`.
func (w *world) call(method string, request, response proto.Message) *outcome {
	w.t.Helper()
	return w.callWith(w.context(), method, request, response)
}

func (w *world) callWith(ctx context.Context, method string, request, response proto.Message) *outcome {
	w.t.Helper()
	o := new(outcome)
	err := w.conn.Invoke(ctx, "/m365.backupstorage.v1."+method, request, response, grpc.Header(&o.header), grpc.Trailer(&o.trailer))
	if err != nil {
		o.status = status.Convert(err).Proto()
	}
	return o
}

// must calls an rpc that has to succeed.
func must[T any, R interface {
	*T
	proto.Message
}](w *world, method string, request proto.Message) R {
	w.t.Helper()
	response := R(new(T))
	if o := w.call(method, request, response); o.status != nil {
		w.t.Fatalf("%s: %v", method, o.status)
	}
	return response
}

// requests returns the requests that the emulator has seen since the ledger stood at since.
func (w *world) requests(since uint64) []emulator.Entry {
	var entries []emulator.Entry
	for _, entry := range w.emulator.Ledger(since).Entries {
		if entry.Kind == emulator.EntryRequest {
			entries = append(entries, entry)
		}
	}
	return entries
}

// mark returns where the ledger stands.
func (w *world) mark() uint64 { return w.emulator.Ledger(0).Last }

// fault adds a rule that acts once.
func (w *world) fault(f emulator.Fault) {
	w.t.Helper()
	if f.Times == 0 {
		f.Times = 1
	}
	if _, err := w.emulator.AddFault(f); err != nil {
		w.t.Fatal(err)
	}
}

// mailboxes are new units for the users from first to last of the world's tenant.
func (w *world) mailboxes(first, last int) []*pb.NewMailboxProtectionUnit {
	var units []*pb.NewMailboxProtectionUnit
	for n := first; n <= last; n++ {
		units = append(units, &pb.NewMailboxProtectionUnit{DirectoryObjectId: emulator.UserID(w.tenant, n)})
	}
	return units
}

func (w *world) drives(first, last int) []*pb.NewDriveProtectionUnit {
	var units []*pb.NewDriveProtectionUnit
	for n := first; n <= last; n++ {
		units = append(units, &pb.NewDriveProtectionUnit{DirectoryObjectId: emulator.UserID(w.tenant, n)})
	}
	return units
}

func (w *world) sites(first, last int) []*pb.NewSiteProtectionUnit {
	var units []*pb.NewSiteProtectionUnit
	for n := first; n <= last; n++ {
		units = append(units, &pb.NewSiteProtectionUnit{SiteId: emulator.SiteID(w.tenant, n)})
	}
	return units
}

// raw sends a request to the upstream past the server, for what the contract cannot say.
func (w *world) raw(method, path, body string) (status int, answer string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.context(), method, w.upstream+graph.Root+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := graph.Unsigned{}.Token(w.context(), graph.TokenRequest{Tenant: w.tenant})
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	var read bytes.Buffer
	if _, err := read.ReadFrom(response.Body); err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, read.String()
}

// syncBuffer is a log that is written to and read at once.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
