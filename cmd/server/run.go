package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // Clients may compress.
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// run serves until the context ends, and then drains. It writes the banner to out and the log to log.
func run(ctx context.Context, c *config, out, log io.Writer) error {
	logger := slog.New(slog.NewJSONHandler(log, nil))
	var client *graph.Client
	// An emulator that begins anew throttles nobody.
	onReset := func() { client.ResetThrottles() }
	upstream, stopUpstream, err := startUpstream(c, logger, onReset)
	if err != nil {
		return err
	}
	defer stopUpstream()
	tokens, stopTokens, err := c.tokens(logger)
	if err != nil {
		return err
	}
	defer stopTokens()
	shown, err := startTelemetry(ctx, c, logger, func(tenant string) time.Duration { return client.BlockedFor(tenant) })
	if err != nil {
		return err
	}
	defer shown.close()
	client, err = c.client(upstream, tokens, shown, logger)
	if err != nil {
		return err
	}
	defer client.Close()
	if len(c.pageTokenKeys) == 0 {
		logger.Info("page tokens are sealed with a random key: only this process can read them; with several replicas set --page-token-key")
	}
	services, err := c.services(client, shown, logger)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	watches := newWatches()
	server := grpc.NewServer(append(services.GRPCOptions(), grpc.StreamInterceptor(watches.intercept))...)
	services.Register(server)
	healthy := health.NewServer()
	for _, name := range append(services.Services(), "") {
		healthy.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(server, healthy)
	if c.reflection {
		reflection.Register(server)
	}
	limited := services.Listen(listener)
	shown.watch(client, services, limited, log)
	stopAdmin, err := serveAdmin(c, shown, healthy, logger)
	if err != nil {
		_ = limited.Close()
		return err
	}
	defer stopAdmin()
	served := make(chan error, 1)
	go func() { served <- server.Serve(limited) }()
	banner(out, c, listener.Addr().String(), upstream)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain(server, healthy, watches, c, logger)
	return nil
}

// oneTenant reports whether the credential has tokens for its own tenant alone.
func (c *config) oneTenant() bool {
	return credential.Mode(c.credential.mode) == credential.ManagedIdentity
}

// client returns the client of the upstream.
func (c *config) client(upstream string, tokens graph.TokenSource, shown *telemetry, logger *slog.Logger) (*graph.Client, error) {
	return graph.New(graph.Options{
		Endpoint: upstream, Tokens: tokens, UserAgent: userAgentOf(shown.build.Version), RootCAs: c.roots,
		MaxReads: c.maxReads(), OneTenant: c.oneTenant(), Logger: logger, Observers: shown.graphObservers(),
	})
}

// services returns the services on a client of the upstream.
func (c *config) services(client *graph.Client, shown *telemetry, logger *slog.Logger) (*service.Server, error) {
	tenant := c.defaultTenant
	if tenant == "" && c.graphEndpoint == onEmulator {
		tenant = emulator.TenantA
	}
	return service.New(service.Options{
		Graph: client, PageTokenKeys: c.pageTokenKeys, DefaultTenant: tenant, AllowAppOnly: !c.credential.real(), Logger: logger, MaxCalls: c.maxCalls,
		OneTenant:        c.oneTenant(),
		Connections:      service.ConnectionLimits{Connections: c.maxConnections, ConnectionsPerPeer: c.maxConnectionsPerPeer},
		MaxResponseBytes: c.responseBytes(debug.SetMemoryLimit(-1)),
		Observers:        shown.callObservers(), Tracer: shown.tracer(),
	})
}

// banner prints the addresses of the server and of its upstream, and a command to try. Scripts wait for its first line.
func banner(out io.Writer, c *config, address, upstream string) {
	try := "list"
	if c.graphEndpoint == onEmulator {
		upstream, try = "the built-in emulator at "+upstream, "m365.backupstorage.v1.BackupRestoreService/GetBackupRestore"
	}
	fmt.Fprintf(out, "Serving gRPC on %s, on %s\n", address, upstream)
	if c.reflection {
		fmt.Fprintf(out, "Try: grpcurl -plaintext %s %s\n", address, try)
	} else {
		fmt.Fprintln(out, "Reflection is off: grpcurl needs -protoset FILE, which clients/README.md explains")
	}
}

// drain stops the server in three steps: it sets health to NOT_SERVING for load balancers, waits for the calls under
// way, and ends those that are left.
func drain(server *grpc.Server, healthy *health.Server, watches *watches, c *config, logger *slog.Logger) {
	logger.Info("stopping: health says NOT_SERVING")
	healthy.Shutdown()
	// Load balancers ask for health at their own interval, so this wait runs to its end. A second signal ends the process.
	time.Sleep(c.drainWait)
	watches.end()
	stopped := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(c.drainTimeout):
		logger.Warn("drain timeout reached: ending the calls that are still under way")
		end(server)
	}
}

// lastWords is how long the handlers of calls that were cut have to log what became of them.
const lastWords = 2 * time.Second

// end cuts the calls that are under way. A write that was cut has a line in the log with outcome=unknown.
func end(server *grpc.Server) {
	ended := make(chan struct{})
	go func() {
		// It waits for the handlers.
		server.Stop()
		close(ended)
	}()
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

// startUpstream returns the URL of the upstream and the function that stops it. It starts the emulator if that is the
// upstream.
func startUpstream(c *config, logger *slog.Logger, onReset func()) (endpoint string, stop func(), err error) {
	if c.graphEndpoint != onEmulator {
		return c.graphEndpoint, func() {}, nil
	}
	e := emulator.New(emulator.Options{OnReset: onReset})
	if c.emulatorFaults != "" {
		file, err := os.Open(c.emulatorFaults)
		if err != nil {
			return "", nil, fmt.Errorf("--emulator-faults: %w", err)
		}
		defer file.Close()
		if _, err := e.LoadFaults(file); err != nil {
			return "", nil, fmt.Errorf("--emulator-faults %s: %w", c.emulatorFaults, err)
		}
	}
	listener, err := net.Listen("tcp", c.emulatorListen)
	if err != nil {
		return "", nil, fmt.Errorf("--emulator-listen: %w", err)
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the emulator stopped", slog.String("error", err.Error()))
		}
	}()
	return "http://" + listener.Addr().String() + "/v1.0", func() { _ = server.Close() }, nil
}
