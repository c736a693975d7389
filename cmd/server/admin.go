package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/m365backup/backupstorage/internal/admin"
)

const (
	// defaultAdmin is the default of --admin-listen.
	defaultAdmin = "127.0.0.1:50052"
	// adminConnections is how many connections the admin port has at most: probes, scrapes and an operator.
	adminConnections = 256
)

// checkAdmin refuses flags of the admin port that cannot be used.
func (c *config) checkAdmin() error {
	if c.AdminListen == "" {
		if c.AdminHosts != "" || c.AdminPprof {
			return errors.New("--admin-hosts and --admin-pprof have no effect without --admin-listen: remove them")
		}
		return nil
	}
	if !isAddress(c.AdminListen) {
		return fmt.Errorf("--admin-listen must be an address with a port, such as %s", defaultAdmin)
	}
	return nil
}

// adminServer is the admin port. It listens from the beginning, and serves once the server runs.
type adminServer struct {
	listener net.Listener
	logger   *slog.Logger
}

// listenAdmin opens the admin port, nil when there is none.
func (c *config) listenAdmin(logger *slog.Logger) (*adminServer, error) {
	if c.AdminListen == "" {
		return nil, nil
	}
	listener, err := listenAdmin(c.AdminListen, logger)
	if err != nil {
		return nil, err
	}
	return &adminServer{listener, logger}, nil
}

// close closes an admin port that never served.
func (a *adminServer) close() error {
	if a == nil {
		return nil
	}
	return a.listener.Close()
}

// serve serves the admin port until stop is called.
func (a *adminServer) serve(c *config, t *telemetry, healthy *health.Server) (stop func()) {
	if a == nil {
		return func() {}
	}
	server := admin.Server(admin.Handler(admin.Options{
		Metrics: t.metrics.Handler(), Ready: func() error { return ready(healthy) }, Version: t.build, Tenants: t.tenants,
		Config: func(out io.Writer) error { return printConfig(out, c) }, Pprof: c.AdminPprof,
		Hosts: slices.DeleteFunc(strings.Split(c.AdminHosts, ","), func(h string) bool { return h == "" }),
	}))
	server.ErrorLog = slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug)
	a.logger.Info("admin port", slog.String("address", a.listener.Addr().String()))
	go func() {
		if err := server.Serve(netutil.LimitListener(a.listener, adminConnections)); !errors.Is(err, http.ErrServerClosed) {
			a.logger.Error("the admin port stopped", slog.String("error", err.Error()))
		}
	}()
	return func() { _ = server.Close() }
}

// listenAdmin listens on an address. A second server on a desk finds the default port taken, and takes another one.
func listenAdmin(address string, logger *slog.Logger) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if address == defaultAdmin && errors.Is(err, syscall.EADDRINUSE) {
		logger.Warn("the default admin port is taken, another one is used; set --admin-listen to choose it", slog.String("taken", address))
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("--admin-listen: %w", err)
	}
	return listener, nil
}

// ready returns why the server takes no calls, by what it says over gRPC.
func ready(healthy *health.Server) error {
	response, err := healthy.Check(context.Background(), new(healthpb.HealthCheckRequest))
	if err != nil || response.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return errors.New("not ready: health says NOT_SERVING, because the server stops or the upstream is not that of --expect-upstream")
	}
	return nil
}
