package traces

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/m365backup/backupstorage/graph"
)

// The attributes of a request to Graph.
const (
	methodKey    = attribute.Key("http.request.method")
	templateKey  = attribute.Key("url.template")
	statusKey    = attribute.Key("http.response.status_code")
	resendKey    = attribute.Key("http.request.resend_count")
	throttledKey = attribute.Key("backupstorage.throttled")
	requestIDKey = attribute.Key("backupstorage.graph_request_id")
	causeKey     = attribute.Key("backupstorage.cause")
)

var _ graph.Observer = (*Traces)(nil)

// Attempted makes the span of an attempt at a request to Graph, within that of its call.
func (t *Traces) Attempted(ctx context.Context, a graph.Attempt) {
	// Most spans are not sampled, and then nothing is made.
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	attributes := make([]attribute.KeyValue, 0, 7)
	attributes = append(attributes, methodKey.String(a.Request.Method), templateKey.String(a.Request.Template),
		resendKey.Int(a.Resends), throttledKey.Bool(a.Throttled()))
	if a.Status != 0 {
		attributes = append(attributes, statusKey.Int(a.Status))
	}
	if graph.IsGUID(a.RequestID) {
		// Graph's ids are GUIDs. Another text may be anything.
		attributes = append(attributes, requestIDKey.String(a.RequestID))
	}
	if a.Failed != nil && a.Failed.Cause != "" {
		attributes = append(attributes, causeKey.String(string(a.Failed.Cause)))
	}
	_, span := t.tracer.Start(ctx, "Graph "+a.Request.Method,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(a.Began), trace.WithAttributes(attributes...))
	if a.Failed != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(a.Ended))
}

// Repeated does nothing: the next attempt has the number of those before it.
func (*Traces) Repeated(graph.Repeat) {}

// NoToken does nothing: the log has the cause.
func (*Traces) NoToken(*graph.TokenError) {}
