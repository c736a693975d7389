package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/audit"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/hub"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
	"github.com/m365backup/backupstorage/service/internal/pagetoken"
	"github.com/m365backup/backupstorage/service/internal/rights"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// Options configures a Server.
type Options struct {
	// Graph is the client of the upstream. Required.
	Graph *graph.Client
	// PageTokenKeys are keys of 32 bytes for page tokens: the first seals, all open. Without keys the server makes a
	// random one, which fits a single replica.
	PageTokenKeys [][]byte
	// DefaultTenant is the tenant of calls that name none, a GUID; empty refuses such calls.
	DefaultTenant string
	// AllowAppOnly lets operations pass without x-user-assertion that Graph allows on behalf of a user only: for an
	// emulator that is to be lenient.
	AllowAppOnly bool
	// Logger takes one line a call. Required.
	Logger *slog.Logger
	// MaxCalls is how many calls may be under way at once; 0 means 1,000. A tenant gets another place while it has fewer
	// than are free: alone it gets half of them.
	MaxCalls int
	// MaxWaits is how many streams, waits and watches may be under way at once, besides MaxCalls; 0 means 20,000. Tenants
	// share them like calls, and a connection has at most 50.
	MaxWaits int
	// OneTenant is set where only one tenant is possible: it may take all places.
	OneTenant bool
	// MaxResponseBytes is how many bytes of responses all calls hold together, from Graph and to clients that have not
	// taken them yet; 0 means 256 MiB. Tenants share them like places.
	MaxResponseBytes int64
	// MaxRequestBytes is how many bytes of requests that are not decoded yet all connections bring together; 0 means 256
	// MiB. A connection that brings more than its share is paused, and closed after 5 s.
	MaxRequestBytes int64
	// Callers says who calls and what they may do; nil lets everybody who reaches the server do everything.
	Callers *Callers
	// Audit takes a line before and one after each write, and for each denied call; nil for none. With AuditReads reads
	// that show people or content have one too.
	Audit      *audit.Log
	AuditReads bool
	// LogTenants is how tenants stand in the lines of calls; empty leaves them out.
	LogTenants LogTenants
	// Connections bounds the connections that Listen accepts.
	Connections ConnectionLimits
	// MessagePath reads all responses into messages before they are encoded, as it reads those of writes. It is for an
	// incident in which the wire path is in doubt: a page costs twice the CPU.
	MessagePath bool
	// Idempotency keeps the records of idempotency keys; without Keys a call with a key is refused.
	Idempotency Idempotency
	// Observers are told of each call.
	Observers []Observer
	// Tracer makes spans of calls; nil makes none.
	Tracer Tracer
}

// Observer is told of each call.
type Observer = interceptor.Observer

// Tracer makes the spans of calls.
type Tracer = interceptor.Tracer

// CallInfo is what a call came to.
type CallInfo = interceptor.CallInfo

// Shed says why the server had no room for a call.
type Shed = interceptor.Shed

// Sheds are all reasons to refuse a call for lack of room.
var Sheds = interceptor.Sheds

// UnauthenticatedCauses are the values of CallInfo.Denied for callers that are not known.
func UnauthenticatedCauses() []string { return interceptor.UnauthenticatedCauses() }

// DeniedCauses are the values of CallInfo.Denied for callers that are known.
func DeniedCauses() []string { return interceptor.DeniedCauses() }

// CallerKnown reports whether the headers of a call showed who makes it. It is for a Tracer.
func CallerKnown(ctx context.Context) bool { return interceptor.CallerKnown(ctx) }

// ConnectionLimits bounds the connections of a server.
type ConnectionLimits = wire.Limits

// Listener is a listener with bounded connections.
type Listener = wire.Listener

// Server holds the services and the interceptors around them.
type Server struct {
	core        *core
	chain       *interceptor.Chain
	bytes       *wire.Bytes
	inbound     *wire.Inbound
	connections ConnectionLimits
	keepalive   keepalive.ServerParameters
}

// New wires the services. It fails when an option is missing or wrong.
func New(options Options) (*Server, error) {
	c, err := contract.Read()
	if err != nil {
		return nil, err
	}
	return newServer(options, c, apierror.New(c.Reasons))
}

func newServer(options Options, c *contract.Contract, translator *apierror.Translator) (*Server, error) {
	if options.Graph == nil || options.Logger == nil {
		return nil, errors.New("service: Graph and Logger are required")
	}
	if options.DefaultTenant != "" && !graph.IsGUID(options.DefaultTenant) {
		return nil, fmt.Errorf("default tenant %q is not a GUID", options.DefaultTenant)
	}
	if options.MaxCalls < 0 {
		return nil, fmt.Errorf("MaxCalls is %d and must not be negative", options.MaxCalls)
	}
	if options.MaxCalls == 0 {
		options.MaxCalls = 1000
	}
	if options.MaxWaits < 0 {
		return nil, fmt.Errorf("MaxWaits is %d and must not be negative", options.MaxWaits)
	}
	if options.MaxWaits == 0 {
		options.MaxWaits = DefaultWaits
	}
	if options.MaxResponseBytes == 0 {
		options.MaxResponseBytes = DefaultResponseBytes
	}
	if options.MaxRequestBytes == 0 {
		options.MaxRequestBytes = DefaultRequestBytes
	}
	inbound := wire.NewInbound(options.MaxRequestBytes)
	options.Connections.Inbound = inbound
	pages, err := pagetoken.New(options.PageTokenKeys...)
	if err != nil {
		return nil, err
	}
	tenants := tenants{fallback: strings.ToLower(options.DefaultTenant)}
	bytes := wire.NewBytes(options.MaxResponseBytes)
	return &Server{
		bytes: bytes, inbound: inbound, connections: options.Connections,
		keepalive: keepaliveParameters,
		core: &core{
			graph: options.Graph, pages: pages, contract: c, translator: translator, notes: newNotes(options.Logger),
			tenants: tenants, allowAppOnly: options.AllowAppOnly, messagePath: options.MessagePath, hub: hub.New(spread), bytes: bytes,
			stopping: make(chan struct{}), keys: keys{Idempotency: options.Idempotency},
			times: times{wait: maxWait, stream: interceptor.MaxStream, look: lookEvery},
		},
		chain: interceptor.New(interceptor.Options{
			Contract: c, Translator: translator, Logger: options.Logger, MaxCalls: options.MaxCalls, MaxWaits: options.MaxWaits,
			OneTenant: options.OneTenant, Bytes: bytes, Observers: options.Observers, Tracer: options.Tracer,
			Tenant:  tenants.of,
			Callers: options.Callers.interceptors(), LogTenants: options.LogTenants,
			Audit: interceptor.Audit{Log: options.Audit, Reads: options.AuditReads, Rules: rights.NewRules(c.Operations())},
		}),
	}, nil
}

// spread keeps pollers that began together from asking together for ever.
func spread() float64 { return 0.95 + rand.Float64()/10 }

// DefaultWaits is how many streams, waits and watches may be under way at once unless told otherwise.
const DefaultWaits = 20_000

// DefaultConnections is how many connections a server has at most unless told otherwise.
const DefaultConnections = wire.DefaultConnections

// DefaultResponseBytes is how many bytes of responses all calls hold together unless told otherwise.
const DefaultResponseBytes = 256 << 20

// DefaultRequestBytes is how many bytes of requests that are not decoded yet all connections bring together unless told
// otherwise.
const DefaultRequestBytes = 256 << 20

const (
	// maxReceive has room for a bulk request, which Graph lets have 10,000 addresses or URLs, of 800 bytes each.
	maxReceive = 8 << 20
	// maxHeaderList has room for the largest assertion of a user.
	maxHeaderList = 16 << 10
	// streamWindow and connWindow are how many bytes of messages a client sends ahead, of a call and of all calls of a
	// connection. gRPC would measure what the network can carry instead, with a ping for each message: alone, a call costs
	// a quarter more.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	// maxStreams keeps one connection from taking all the calls that the server takes.
	maxStreams = 250
	// streamWorkers is how many goroutines take calls one after another. When all of them work, a call gets one of its
	// own: its stack grows several times on the way of the call, which is a third of the instructions.
	streamWorkers = 64
)

// The times of connections.
var (
	// Load balancers spread connections, not calls: connections that end now and then are spread anew. A handler does not
	// hear of the age of its connection: the grace has room for the longest stream, which ends by its own clock.
	keepaliveParameters = keepalive.ServerParameters{
		MaxConnectionIdle: 5 * time.Minute, MaxConnectionAge: 5 * time.Minute, MaxConnectionAgeGrace: 11 * time.Minute,
	}
	// A client may ping every 10 s, with calls and without. gRPC counts each ping that comes before MinTime as a strike,
	// and closes the connection after a few: clients whose timers are early would lose calls at a MinTime of 10 s.
	keepalivePolicy = keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}
	// handshakeTime is what a client that connects has for the beginning of HTTP/2.
	handshakeTime = 5 * time.Second
)

// GRPCOptions are the options of the gRPC server that the services are registered with: the interceptors, the limits,
// and a typed error for methods that do not exist.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(s.chain.Unary),
		grpc.ChainStreamInterceptor(s.chain.Stream),
		grpc.UnknownServiceHandler(s.chain.UnknownMethod),
		grpc.InTapHandle(s.chain.Tap),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.ForceServerCodecV2(wire.Codec{}),
		experimental.BufferPool(s.inbound),
		grpc.NumStreamWorkers(streamWorkers),
		// Stop waits for the handlers, so that each has the time to log what became of its call.
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(s.keepalive),
		grpc.KeepaliveEnforcementPolicy(keepalivePolicy),
	}
}

// Listen bounds the connections of a listener. Without it responses that a client does not take are held for as long as
// its connection, and connections bring as many bytes of requests as they like.
func (s *Server) Listen(inner net.Listener) *Listener { return wire.Listen(inner, s.connections) }

// ReplacePageTokenKeys puts other keys in the place of Options.PageTokenKeys. It fails when one has not 32 bytes; then
// the old ones stay.
func (s *Server) ReplacePageTokenKeys(keys [][]byte) error { return s.core.pages.Replace(keys...) }

// HeldBytes returns how many bytes of responses are held now.
func (s *Server) HeldBytes() int64 { return s.bytes.Held() }

// CallsInFlight returns how many calls are under way. A call is until its response is out.
func (s *Server) CallsInFlight() int { return s.chain.CallsInFlight() }

// WaitsInFlight returns how many streams, waits and watches are under way.
func (s *Server) WaitsInFlight() int { return s.chain.WaitsInFlight() }

// PollCounts is what polling does, and has done.
type PollCounts = hub.Counts

// Polls returns who waits for what, and how many polls there were since the server was made.
func (s *Server) Polls() PollCounts { return s.core.hub.Counts() }

// Drain ends what lasts: streams with STREAM_RESUME, waits with what they know. It is called once, before the server
// stops; calls that come later end at once.
func (s *Server) Drain() {
	close(s.core.stopping)
	s.core.hub.Close()
}

// InboundBytes returns how many bytes of requests have arrived and are not decoded yet.
func (s *Server) InboundBytes() int64 { return s.inbound.Used() }

// Services are the full names of the services, for health and for what lists them.
func (s *Server) Services() []string { return s.core.contract.Services }

// UnknownCodes returns how many errors had a code that the contract does not know since the server was made, by where
// they stood: `call` for failed calls, `resource` for errors inside a resource, `detail` for the separate errors in
// either. It always has all three.
func (s *Server) UnknownCodes() map[string]uint64 { return s.core.translator.UnknownCodes() }

// UnreadValues returns how many values of Graph's responses could not be read since the server was made: their fields
// were unset.
func (s *Server) UnreadValues() uint64 { return s.core.notes.unread.Load() }

// UnknownMembers returns how many members of enums in Graph's responses the contract did not have since the server was
// made: their fields were `UNKNOWN_FUTURE_VALUE`.
func (s *Server) UnknownMembers() uint64 { return s.core.notes.member.Load() }

// KeyedCalls returns how many calls with an idempotency key there were since the server was made, by what became of
// them. It always has all of KeyedOutcomes.
func (s *Server) KeyedCalls() map[string]uint64 { return s.core.keys.counts.all() }

// Guard returns a registrar for services that are not of the contract, such as health: calls that are refused for their
// headers end before their message is read.
func (s *Server) Guard(registrar grpc.ServiceRegistrar) grpc.ServiceRegistrar {
	return s.chain.Guard(registrar)
}

// Register registers all services of the contract.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	registrar = s.Guard(registrar)
	pb.RegisterBackupRestoreServiceServer(registrar, backupRestoreService{core: s.core})
	pb.RegisterProtectionPolicyServiceServer(registrar, protectionPolicyService{core: s.core})
	pb.RegisterProtectionUnitServiceServer(registrar, protectionUnitService{core: s.core})
	pb.RegisterServiceAppServiceServer(registrar, serviceAppService{core: s.core})
	pb.RegisterInclusionRuleServiceServer(registrar, inclusionRuleService{core: s.core})
	pb.RegisterProtectionUnitBulkAdditionJobServiceServer(registrar, protectionUnitBulkAdditionJobService{core: s.core})
	pb.RegisterRestorePointServiceServer(registrar, restorePointService{core: s.core})
	pb.RegisterRestoreSessionServiceServer(registrar, restoreSessionService{core: s.core})
	pb.RegisterRestoreArtifactServiceServer(registrar, restoreArtifactService{core: s.core})
	pb.RegisterRestoreArtifactBulkAdditionRequestServiceServer(registrar, restoreArtifactBulkAdditionRequestService{core: s.core})
	pb.RegisterBrowseSessionServiceServer(registrar, browseSessionService{core: s.core})
	pb.RegisterProtectionUnitStreamServiceServer(registrar, protectionUnitStreamService{core: s.core})
	pb.RegisterRestoreArtifactStreamServiceServer(registrar, restoreArtifactStreamService{core: s.core})
	pb.RegisterWatchServiceServer(registrar, watchService{core: s.core})
}
