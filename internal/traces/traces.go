// Package traces makes spans of calls and of their requests to Graph, and sends them to an OpenTelemetry collector.
//
// It is on only when an OTEL_ variable asks for it. No span has a tenant, an id, a URL, an address, or a text of Graph
// or of the caller: shown.go lists the attributes that leave the process. Nothing of a trace is sent to Graph. A
// collector that is down, slow or refuses costs no call anything: spans that find no room are dropped and counted.
package traces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"

	"github.com/go-logr/logr"
)

// The variables that switch traces on or off. The exporter and the SDK read these and others by themselves, such as
// OTEL_EXPORTER_OTLP_HEADERS and OTEL_SERVICE_NAME.
const (
	disabledVariable       = "OTEL_SDK_DISABLED"
	exporterVariable       = "OTEL_TRACES_EXPORTER"
	endpointVariable       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	protocolVariable       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	tracesProtocolVariable = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// closeTime is how long the process waits at its end for the last spans to be sent.
const closeTime = time.Second

// Options configures Traces.
type Options struct {
	// Version is that of the server.
	Version string
	// Getenv returns a variable of the environment.
	Getenv func(string) string
	// Logger gets at most one line a minute, when spans cannot be sent.
	Logger *slog.Logger
	// Trusted reports whether a caller's traceparent may be the parent of the call. It is called before anything else is
	// known of the call, with what the connection says. Nil trusts nobody: a traceparent becomes a link.
	Trusted func(context.Context) bool
}

// Traces makes and sends spans. It is the tracer of the server and an observer of the Graph client. It is safe for
// concurrent use.
type Traces struct {
	provider *sdktrace.TracerProvider
	queue    *queue
	tracer   trace.Tracer
	// handler makes the spans of calls.
	handler  stats.Handler
	sampling sampling
	trusted  func(context.Context) bool
}

// Asked reports whether the environment asks for traces. The error is one line about a variable that asks for something
// that there is not.
func Asked(getenv func(string) string) (bool, error) {
	exporter, endpoint := getenv(exporterVariable), getenv(endpointVariable)+getenv(tracesEndpointVariable)
	switch {
	case strings.EqualFold(getenv(disabledVariable), "true"), exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("environment variable %s must be otlp or none", exporterVariable)
	}
	for _, name := range []string{protocolVariable, tracesProtocolVariable} {
		if protocol := getenv(name); protocol != "" && protocol != "grpc" {
			return false, fmt.Errorf("environment variable %s must be grpc", name)
		}
	}
	for _, name := range []string{endpointVariable, tracesEndpointVariable} {
		text := getenv(name)
		if text == "" {
			continue
		}
		// The value is not printed: it can contain a password.
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return false, fmt.Errorf("environment variable %s must be an http or https URL", name)
		}
	}
	if _, err := readSampling(getenv); err != nil {
		return false, err
	}
	return true, nil
}

// Start begins to make spans, if the environment asks for it; else it returns nil. It does not wait for the collector.
func Start(ctx context.Context, o Options) (*Traces, error) {
	if asked, err := Asked(o.Getenv); err != nil || !asked {
		return nil, err
	}
	// The SDK would write its own lines to standard error, with texts of the collector.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, errors.New("traces cannot be sent: an OTEL_EXPORTER_OTLP variable is wrong")
	}
	s, err := readSampling(o.Getenv)
	return newTraces(ctx, o, s, exporter), err
}

func newTraces(ctx context.Context, o Options, s sampling, exporter sdktrace.SpanExporter) *Traces {
	// What is wrong in the environment is left out.
	about, _ := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "backupstorage"), attribute.String("service.version", o.Version)), resource.WithFromEnv())
	t := &Traces{queue: newQueue(exporter, o.Logger), sampling: s, trusted: o.Trusted}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(t.queue), sdktrace.WithResource(about), sdktrace.WithSampler(s.sampler()))
	t.tracer = t.provider.Tracer("github.com/m365backup/backupstorage")
	t.handler = otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(t.provider),
		// Its metrics have the names of methods as callers send them.
		otelgrpc.WithMeterProvider(metricnoop.NewMeterProvider()),
		otelgrpc.WithPropagators(parentOnly{}),
		// A trusted caller is one for whom nothing was decided.
		otelgrpc.WithPublicEndpointFn(func(ctx context.Context, _ *stats.RPCTagInfo) bool { return ctx.Value(decidedKey{}) != nil }),
	)
	return t
}

// TraceID returns the id of the trace of a call that is sampled, empty for any other.
func (*Traces) TraceID(ctx context.Context) string {
	c := trace.SpanContextFromContext(ctx)
	// A remote one is the caller's.
	if !c.IsValid() || c.IsRemote() || !c.IsSampled() {
		return ""
	}
	return c.TraceID().String()
}

// Dropped returns how many spans were dropped because the collector did not take them.
func (t *Traces) Dropped() uint64 { return t.queue.dropped.Load() }

// Close sends the spans that are left, for at most a second.
func (t *Traces) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	// Nobody could do anything about an error now.
	_ = t.provider.Shutdown(ctx)
	t.queue.close()
}

// parentOnly reads a caller's traceparent, and neither its tracestate nor its baggage: they can have any text.
type parentOnly struct{ propagation.TraceContext }

// Extract returns a context with the caller's span.
func (p parentOnly) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	ctx = p.TraceContext.Extract(ctx, carrier)
	c := trace.SpanContextFromContext(ctx)
	if !c.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, c.WithTraceState(trace.TraceState{}))
}
