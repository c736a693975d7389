package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// Options configures a Server.
type Options struct {
	// Graph is the client of the upstream. Required.
	Graph *graph.Client
	// PageTokens seals page tokens. Required.
	PageTokens *graph.PageTokens
	// DefaultTenant is the tenant of calls that name none, a GUID; empty refuses such calls.
	DefaultTenant string
	// AllowAppOnly lets operations pass without x-user-assertion that Graph allows on behalf of a user only: for upstreams
	// that check no token, such as the emulator.
	AllowAppOnly bool
	// Logger takes one line a call. Required.
	Logger *slog.Logger
	// MaxCalls is how many calls may be under way at once, of one tenant nine tenths of them; 0 means 1,000.
	MaxCalls int
}

// Server holds the services and the interceptors around them.
type Server struct {
	core     *core
	logger   *slog.Logger
	around   []named
	underWay *underWay
}

// New wires the services. It fails when an option is missing or wrong.
func New(options Options) (*Server, error) {
	if options.Graph == nil || options.PageTokens == nil || options.Logger == nil {
		return nil, errors.New("service: Graph, PageTokens and Logger are required")
	}
	if options.DefaultTenant != "" && !graph.IsGUID(options.DefaultTenant) {
		return nil, fmt.Errorf("default tenant %q is no GUID", options.DefaultTenant)
	}
	if options.MaxCalls < 0 {
		return nil, fmt.Errorf("at most %d calls make no sense", options.MaxCalls)
	}
	if options.MaxCalls == 0 {
		options.MaxCalls = 1000
	}
	reasons, err := newReasons()
	if err != nil {
		return nil, err
	}
	operations, err := newOperations(reasons)
	if err != nil {
		return nil, err
	}
	s := &Server{
		core: &core{
			graph:      options.Graph,
			pages:      options.PageTokens,
			operations: operations,
			translator: newTranslator(reasons),
			tenants:    tenants{byDefault: strings.ToLower(options.DefaultTenant)},

			allowAppOnly: options.AllowAppOnly,
		},
		logger:   options.Logger,
		underWay: newUnderWay(options.MaxCalls),
	}
	s.around = s.interceptors()
	return s, nil
}

const (
	// maxReceive has room for a bulk request, which Graph lets have 10,000 addresses or URLs, of 800 bytes each.
	maxReceive = 8 << 20
	// maxHeaderList has room for the largest assertion of a user.
	maxHeaderList = 16 << 10
	// maxStreams keeps one connection from taking all the calls that the server takes.
	maxStreams = 100
)

// The times of connections.
var (
	// Balancers spread connections, not calls: those that end now and then are spread anew. A call may take two minutes.
	keepaliveParameters = keepalive.ServerParameters{
		MaxConnectionIdle: 5 * time.Minute, MaxConnectionAge: 5 * time.Minute, MaxConnectionAgeGrace: longestTime,
	}
	// A client may ask whether an idle connection is still there, though not all the time.
	keepalivePolicy = keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}
	// handshakeTime is what a client that connects has for the beginning of HTTP/2.
	handshakeTime = 5 * time.Second
)

// GRPCOptions are the options of the gRPC server that the services are registered with: the interceptors, the limits,
// and a typed answer for methods that do not exist.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(s.intercept),
		grpc.UnknownServiceHandler(s.unknownMethod),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepaliveParameters),
		grpc.KeepaliveEnforcementPolicy(keepalivePolicy),
	}
}

// intercept puts the chain around the methods of the contract. Health and reflection answer in their own words, and
// are neither logged nor counted.
func (s *Server) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if s.core.operations.byMethod[info.FullMethod] == nil {
		return handler(ctx, request)
	}
	return s.chain(ctx, request, info, handler)
}

func (s *Server) chain(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	for i := len(s.around) - 1; i >= 0; i-- {
		intercept, next := s.around[i].intercept, handler
		handler = func(ctx context.Context, request any) (any, error) { return intercept(ctx, request, info, next) }
	}
	return handler(ctx, request)
}

// unknownMethod answers calls of methods that do not exist the way every other call is answered.
func (s *Server) unknownMethod(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	_, err := s.chain(stream.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
		return nil, status.Error(codes.Unimplemented, "unknown method")
	})
	return err
}

// Services are the full names of the services, for health and for what lists them.
func (s *Server) Services() []string { return s.core.operations.services }

// Register registers all services of the contract.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
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
}
