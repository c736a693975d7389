package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // Clients may compress.
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/graph/emulator/program"
	"github.com/m365backup/backupstorage/internal/jsonlog"
	"github.com/m365backup/backupstorage/internal/reload"
	"github.com/m365backup/backupstorage/service"
)

// run serves until the context ends, and then drains. It writes the banner to out and the log to log.
func run(ctx context.Context, c *config, out, log io.Writer) error {
	logger := slog.New(jsonlog.New(log))
	files := reload.NewReader(c.ReloadInterval, logger)
	var client *graph.Client
	// An emulator that begins anew throttles nobody.
	onReset := func() { client.ResetThrottles() }
	upstream, emulator, stopUpstream, err := startUpstream(c, logger, onReset)
	if err != nil {
		return err
	}
	defer stopUpstream()
	tokens, stopTokens, err := c.tokens(logger, files)
	if err != nil {
		return err
	}
	defer stopTokens()
	shown, err := startTelemetry(ctx, c, logger, func(tenant string) time.Duration { return client.BlockedFor(tenant) })
	if err != nil {
		return err
	}
	defer shown.close()
	shared, err := c.openRedis(files, logger)
	if err != nil {
		return err
	}
	defer shared.close()
	client, err = c.client(upstream, tokens, shown, shared, logger)
	if err != nil {
		return err
	}
	defer client.Close()
	var services *service.Server
	keys, err := c.openKeys(files, func(keys [][]byte) error { return services.ReplacePageTokenKeys(keys) })
	if err != nil {
		return err
	}
	callers, err := c.openCallers(files, logger)
	if err != nil {
		return err
	}
	lines, stopAudit, err := c.openAudit(logger)
	if err != nil {
		return err
	}
	defer stopAudit()
	options := c.serviceOptions(client, logger)
	options.PageTokenKeys, options.Callers, options.Audit = keys, callers, lines
	options.Idempotency = c.openIdempotency(shared, logger)
	options.Observers, options.Tracer = shown.callObservers(), shown.tracer()
	services, err = service.New(options)
	if err != nil {
		return err
	}
	transport, expiry, err := c.TLS.open(files)
	if err != nil {
		return err
	}
	listener, err := c.listen()
	if err != nil {
		return err
	}
	adminPort, err := c.listenAdmin(logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	webPort, err := c.openWeb(services, files, emulator, listener.Addr(), logger)
	if err != nil {
		return errors.Join(err, listener.Close(), adminPort.close())
	}
	// From here on nothing fails any more: a start that fails writes its one line alone.
	if len(keys) == 0 {
		logger.Info("page tokens are sealed with a random key: only this process can read them; with several replicas set --page-token-key-file")
	}
	defer inBackground(files.Run)()
	watches := newWatches()
	server := grpc.NewServer(c.serverOptions(services, watches, logHandshakes(transport, logger))...)
	services.Register(server)
	healthy, readiness := health.NewServer(), c.readiness(logger)
	for _, name := range append(services.Services(), "") {
		healthy.SetServingStatus(name, readiness)
	}
	healthpb.RegisterHealthServer(services.Guard(server), shortNames{healthy})
	if c.Reflection {
		registerReflection(server)
	}
	limited := services.Listen(listener)
	served := make(chan error, 1)
	go func() { served <- server.Serve(limited) }()
	webPort.serve(services, c.serverOptions(services, watches, nil))
	shown.watch(counted{client, services, limited, webPort, files, lines, c.certificates(expiry, tokens, callers), shared, log})
	defer adminPort.serve(c, shown, healthy)()
	banner(out, c, listener.Addr(), upstream, webPort.url())
	select {
	case err := <-served:
		webPort.end()
		return err
	case <-ctx.Done():
	}
	drain(&servers{server, webPort}, healthy, watches, services, c, logger)
	return nil
}

// oneTenant reports whether the credential has tokens for its own tenant alone, as a managed identity has.
func (c *config) oneTenant() bool {
	return credential.Mode(c.Credential.Mode) == credential.ManagedIdentity
}

// client returns the client of the upstream.
func (c *config) client(upstream string, tokens graph.TokenSource, shown *telemetry, shared *sharedRedis, logger *slog.Logger) (*graph.Client, error) {
	return graph.New(graph.Options{
		Endpoint: upstream, Tokens: tokens, UserAgent: userAgentOf(shown.build.Version), RootCAs: c.roots,
		MaxReads: c.maxReads(), OneTenant: c.oneTenant(), Logger: logger, Observers: shown.graphObservers(),
		Shared: shared.shared(),
	})
}

// serviceOptions are the options of the services that the flags alone decide.
func (c *config) serviceOptions(client *graph.Client, logger *slog.Logger) service.Options {
	return service.Options{
		Graph: client, DefaultTenant: c.DefaultTenant, AllowAppOnly: c.EmulatorLenient, Logger: logger, MaxCalls: c.MaxCalls, MaxWaits: c.MaxWaits,
		OneTenant: c.oneTenant(), LogTenants: service.LogTenants(c.LogTenants), AuditReads: c.AuditReads,
		Connections:      service.ConnectionLimits{Connections: c.MaxConnections, ConnectionsPerPeer: c.MaxConnectionsPerPeer},
		MaxResponseBytes: c.responseBytes(debug.SetMemoryLimit(-1)),
		MaxRequestBytes:  requestBytes(debug.SetMemoryLimit(-1)),
		MessagePath:      c.WirePath == wirePathOff,
	}
}

// inBackground runs something until the function that it returns is called, which waits for its end.
func inBackground(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// serverOptions are the options of the gRPC server; transport is nil without TLS.
func (c *config) serverOptions(services *service.Server, watches *watches, transport credentials.TransportCredentials) []grpc.ServerOption {
	var options []grpc.ServerOption
	if transport != nil {
		options = append(options, grpc.Creds(transport))
	}
	if c.GraphEndpoint == onEmulator {
		// Before all others, so that refused calls are marked too.
		options = append(options, grpc.ChainUnaryInterceptor(markUnary), grpc.ChainStreamInterceptor(markStream))
	}
	options = append(options, grpc.ChainStreamInterceptor(watches.intercept))
	return append(options, services.GRPCOptions()...)
}

// readiness is what health says while the server runs. It warns of an upstream that is not Microsoft Graph.
func (c *config) readiness(logger *slog.Logger) healthpb.HealthCheckResponse_ServingStatus {
	if c.GraphEndpoint == onEmulator {
		logger.Warn("the upstream is the built-in emulator: nothing that calls do reaches Microsoft Graph")
	}
	if c.ExpectUpstream != "" && !c.isGraph() {
		logger.Warn("health says NOT_SERVING: --expect-upstream is graph, and the upstream is not Microsoft Graph")
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

// banner prints the addresses of the server and of its upstream, and a command to try. Scripts wait for its first line.
// All is written at once.
func banner(out io.Writer, c *config, listens net.Addr, upstream, webAt string) {
	try := "list"
	if c.GraphEndpoint == onEmulator {
		upstream, try = "the built-in emulator at "+upstream, "m365.backupstorage.v1.BackupRestoreService/GetBackupRestore"
	}
	address, flags := listens.String(), "-plaintext "
	if c.TLS.on() {
		flags = "-cacert CA_FILE "
	}
	if c.TLS.ClientAuth == clientAuthRequired || c.RightsFile != "" && c.TLS.ClientAuth == clientAuthOptional {
		flags += "-cert CERTIFICATE_FILE -key KEY_FILE "
	}
	if c.RightsFile != "" && c.TLS.ClientAuth == clientAuthNone {
		flags += "-H \"authorization: Bearer TOKEN\" "
	}
	target := address
	if listens.Network() == "unix" {
		address, flags = unixScheme+address, flags+"-unix "
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Serving gRPC on %s, on %s\n", address, upstream)
	if c.Reflection {
		fmt.Fprintf(&text, "Try: grpcurl %s%s %s\n", flags, target, try)
	} else {
		fmt.Fprintln(&text, "Reflection is off: grpcurl needs -protoset FILE, which clients/README.md explains")
	}
	if webAt != "" {
		fmt.Fprintf(&text, "Serving browsers and curl on %s\n", webAt)
	}
	// Nothing depends on it.
	_, _ = io.WriteString(out, text.String())
}

// servers are what takes calls.
type servers struct {
	grpc *grpc.Server
	web  *webPort
}

// stop takes no further calls, and waits for those under way.
func (s *servers) stop() {
	var stopping sync.WaitGroup
	stopping.Go(s.grpc.GracefulStop)
	stopping.Go(s.web.stop)
	stopping.Wait()
}

// cut ends the calls under way. It waits for their handlers.
func (s *servers) cut() {
	var ending sync.WaitGroup
	ending.Go(s.grpc.Stop)
	ending.Go(s.web.end)
	ending.Wait()
}

// drain stops the server in three steps: it sets health to NOT_SERVING for load balancers, waits for the calls under
// way, and ends those that are left.
func drain(server *servers, healthy *health.Server, watches *watches, services *service.Server, c *config, logger *slog.Logger) {
	logger.Info("stopping: health says NOT_SERVING")
	healthy.Shutdown()
	// Load balancers ask for health at their own interval, so this wait runs to its end. A second signal ends the process.
	time.Sleep(c.DrainWait)
	watches.end()
	services.Drain()
	stopped := make(chan struct{})
	go func() {
		server.stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(c.DrainTimeout):
		logger.Warn("drain timeout reached: ending the calls that are still under way")
		end(server)
	}
}

// lastWords is how long the handlers of calls that were cut have to log what became of them.
const lastWords = 2 * time.Second

// end cuts the calls that are under way. A write that was cut has a line in the log with outcome=unknown.
func end(server *servers) {
	ended := make(chan struct{})
	go func() {
		server.cut()
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
// upstream, and returns it too.
func startUpstream(c *config, logger *slog.Logger, onReset func()) (endpoint string, emulator http.Handler, stop func(), err error) {
	if c.GraphEndpoint != onEmulator {
		return c.GraphEndpoint, nil, func() {}, nil
	}
	if c.EmulatorLenient {
		logger.Warn("the emulator is lenient: names are shown and operations pass that Graph keeps for users")
	}
	built := program.Config{
		FlagPrefix: "emulator-", Listen: c.EmulatorListen, Scenario: c.EmulatorScenario, Faults: c.EmulatorFaults,
	}
	if c.EmulatorSeed != "" {
		built.Seed = []string{c.EmulatorSeed}
	}
	running, err := built.Start(slog.NewLogLogger(logger.Handler(), slog.LevelDebug), onReset)
	if err != nil {
		return "", nil, nil, err
	}
	go func() {
		if err := <-running.Ended(); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the emulator stopped", slog.String("error", err.Error()))
		}
	}()
	return running.URL + "/v1.0", running, running.Stop, nil
}
