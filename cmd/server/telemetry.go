package main

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/internal/admin"
	"github.com/m365backup/backupstorage/internal/audit"
	"github.com/m365backup/backupstorage/internal/metrics"
	"github.com/m365backup/backupstorage/internal/reload"
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
}

// startTelemetry makes metrics when there is an admin port, and traces when the environment asks for them. blockedFor
// says how long Graph blocks a tenant's requests.
func startTelemetry(ctx context.Context, c *config, logger *slog.Logger, blockedFor func(tenant string) time.Duration) (*telemetry, error) {
	t := &telemetry{build: buildVersion()}
	if c.AdminListen != "" {
		t.metrics = metrics.New(metrics.Build{Version: t.build.Version, Revision: t.build.Revision}, c.upstreamKind())
		t.tenants = troubled.New(blockedFor)
	}
	var err error
	t.traces, err = traces.Start(ctx, traces.Options{Version: t.build.Version, Getenv: c.getenv, Logger: logger, Trusted: service.CallerKnown})
	return t, err
}

// upstreamKind says of which kind the upstream is.
func (c *config) upstreamKind() metrics.Upstream {
	switch {
	case c.GraphEndpoint == onEmulator:
		return metrics.Emulator
	case c.isGraph():
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

// counted are the parts of the server that count.
type counted struct {
	client       *graph.Client
	services     *service.Server
	listener     *service.Listener
	web          *webPort
	files        *reload.Reader
	audit        *audit.Log
	certificates expiries
	redis        *sharedRedis
	// log is where the log goes.
	log any
}

// expiries says of certificates when those that are in use expire.
type expiries map[metrics.Certificate]func() time.Time

func (e expiries) now() map[metrics.Certificate]time.Time {
	all := make(map[metrics.Certificate]time.Time)
	for which, at := range e {
		all[which] = at()
	}
	return all
}

// certificates are all whose end an operator has to know: those of TLS, and the others of the configuration.
func (c *config) certificates(ofTLS expiries, tokens graph.TokenSource, callers *service.Callers) expiries {
	all := expiries{metrics.CertificateGraphCA: func() time.Time { return c.rootsExpire }}
	maps.Copy(all, ofTLS)
	if source, ok := tokens.(*credential.Source); ok {
		all[metrics.CertificateCredential] = source.CertificateExpiry
	}
	if callers != nil {
		all[metrics.CertificateIssuerCA] = callers.CAExpiry
	}
	return all
}

// watch adds the numbers that the parts of the server count.
func (t *telemetry) watch(of counted) {
	if t.metrics == nil {
		return
	}
	s := metrics.Sources{
		CallsInFlight: of.services.CallsInFlight, HeldBytes: of.services.HeldBytes, InboundBytes: of.services.InboundBytes,
		WaitsInFlight: of.services.WaitsInFlight, Watched: func() int { return of.services.Polls().Watched },
		Polls:        func() uint64 { return of.services.Polls().Polls },
		UnknownCodes: of.services.UnknownCodes, UnreadValues: of.services.UnreadValues, UnknownMembers: of.services.UnknownMembers,
		KeyedCalls:         of.services.KeyedCalls,
		Connections:        func() int { return of.listener.Connections() + of.web.connections() },
		ConnectionsRefused: of.sum((*service.Listener).Refused), ConnectionsCut: of.sum((*service.Listener).Cut),
		ConnectionsPaused: of.sum((*service.Listener).Paused), Throttled: of.client.Throttled,
		Reloads: func() map[metrics.Reload]uint64 { return reloads(of.files) },
	}
	if of.audit != nil {
		s.AuditFailures, s.AuditSuppressed = of.audit.Failures, of.audit.Suppressed
	}
	s.CertificateExpiry = of.certificates.now
	if q, ok := of.log.(*logQueue); ok {
		s.DroppedLines = q.droppedLines
	}
	if of.redis != nil {
		s.RedisUp, s.RedisCommands, s.RedisTook, s.ThrottleSlots = of.redis.client.Up, of.redis.commands, of.redis.client.Took, of.redis.throttles.Slots
	}
	if t.traces != nil {
		s.DroppedSpans = t.traces.Dropped
	}
	t.metrics.Watch(s)
}

// sum adds what gRPC's listener counts and what those of the web port do.
func (c counted) sum(of func(*service.Listener) uint64) func() uint64 {
	return func() uint64 {
		n := of(c.listener)
		if c.web != nil {
			n += of(c.web.listener) + of(c.web.taken)
		}
		return n
	}
}

// reloads are the files that were read again.
func reloads(files *reload.Reader) map[metrics.Reload]uint64 {
	all := make(map[metrics.Reload]uint64)
	for what, n := range files.Successes() {
		all[metrics.Reload{What: what, OK: true}] = n
	}
	for what, n := range files.Failures() {
		all[metrics.Reload{What: what}] = n
	}
	return all
}

func (t *telemetry) close() {
	if t.traces != nil {
		t.traces.Close()
	}
}
