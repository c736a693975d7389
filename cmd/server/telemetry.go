package main

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/admin"
	"github.com/m365backup/backupstorage/internal/metrics"
	"github.com/m365backup/backupstorage/internal/traces"
	"github.com/m365backup/backupstorage/internal/troubled"
	"github.com/m365backup/backupstorage/service"
)

// telemetry is what shows operators how the server does. What is off is nil, and costs calls nothing.
type telemetry struct {
	build   admin.Version
	metrics *metrics.Metrics
	tenants *troubled.Table
	traces  *traces.Traces
	// sources are the numbers that others count.
	sources metrics.Sources
}

// startTelemetry makes metrics when there is an admin port, and traces when the environment asks for them. blockedFor
// says how long Graph blocks a tenant's requests.
func startTelemetry(ctx context.Context, c *config, logger *slog.Logger, blockedFor func(tenant string) time.Duration) (*telemetry, error) {
	t := &telemetry{build: buildVersion()}
	if c.adminListen != "" {
		t.metrics = metrics.New(metrics.Build{Version: t.build.Version, Revision: t.build.Revision}, c.upstreamKind())
		t.tenants = troubled.New(blockedFor)
	}
	var err error
	t.traces, err = traces.Start(ctx, traces.Options{Version: t.build.Version, Getenv: c.getenv, Logger: logger})
	return t, err
}

// upstreamKind says of which kind the upstream is.
func (c *config) upstreamKind() metrics.Upstream {
	u, err := url.Parse(c.graphEndpoint)
	switch {
	case c.graphEndpoint == onEmulator:
		return metrics.Emulator
	case err == nil && host(u) == publicGraph:
		return metrics.Graph
	}
	return metrics.Other
}

func (t *telemetry) graphObservers() (all []graph.Observer) {
	if t.metrics != nil {
		all = append(all, t.metrics)
	}
	if t.traces != nil {
		all = append(all, t.traces)
	}
	return all
}

func (t *telemetry) callObservers() []service.Observer {
	if t.metrics == nil {
		return nil
	}
	return []service.Observer{t.metrics, t.tenants}
}

func (t *telemetry) tracer() service.Tracer {
	// A nil pointer would be a tracer.
	if t.traces == nil {
		return nil
	}
	return t.traces
}

// watch adds the numbers that the parts of the server count.
func (t *telemetry) watch(client *graph.Client, services *service.Server, listener *service.Listener, log any) {
	if t.metrics == nil {
		return
	}
	s := t.sources
	s.CallsInFlight, s.HeldBytes = services.CallsInFlight, services.HeldBytes
	s.UnknownCodes, s.UnreadValues, s.UnknownMembers = services.UnknownCodes, services.UnreadValues, services.UnknownMembers
	s.Connections, s.ConnectionsRefused, s.ConnectionsCut = listener.Connections, listener.Refused, listener.Cut
	s.Throttled = client.Throttled
	if q, ok := log.(*logQueue); ok {
		s.DroppedLines = q.droppedLines
	}
	if t.traces != nil {
		s.DroppedSpans = t.traces.Dropped
	}
	t.metrics.Watch(s)
}

func (t *telemetry) close() {
	if t.traces != nil {
		t.traces.Close()
	}
}
