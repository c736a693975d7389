package main

import (
	"context"
	"errors"
	"fmt"
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
	if c.adminListen == "" {
		if c.adminHosts != "" || c.adminPprof {
			return errors.New("--admin-hosts and --admin-pprof have no effect without --admin-listen: remove them")
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(c.adminListen); err != nil || !isPort(port) {
		return fmt.Errorf("--admin-listen %s must be an address with a port, such as %s", c.adminListen, defaultAdmin)
	}
	return nil
}

// serveAdmin serves the admin port, if there is one, until stop is called.
func serveAdmin(c *config, t *telemetry, healthy *health.Server, logger *slog.Logger) (stop func(), err error) {
	if c.adminListen == "" {
		return func() {}, nil
	}
	listener, err := listenAdmin(c.adminListen, logger)
	if err != nil {
		return nil, err
	}
	server := admin.Server(admin.Handler(admin.Options{
		Metrics: t.metrics.Handler(), Ready: func() error { return ready(healthy) }, Version: t.build, Tenants: t.tenants,
		Pprof: c.adminPprof, Hosts: slices.DeleteFunc(strings.Split(c.adminHosts, ","), func(h string) bool { return h == "" }),
	}))
	server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	logger.Info("admin port", slog.String("address", listener.Addr().String()))
	go func() {
		if err := server.Serve(netutil.LimitListener(listener, adminConnections)); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the admin port stopped", slog.String("error", err.Error()))
		}
	}()
	return func() { _ = server.Close() }, nil
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
		return errors.New("not ready: the server stops")
	}
	return nil
}
