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

// Within puts the requests of a context into the span of a call: a poll is sent for those who wait, and with the
// context of none of them. A call that has ended takes no more.
func (*Traces) Within(ctx, call context.Context) context.Context {
	span := trace.SpanFromContext(call)
	if !span.IsRecording() {
		return ctx
	}
	// It was decided that the call gets spans.
	return context.WithValue(trace.ContextWithSpan(ctx, span), decidedKey{}, true)
}

// Repeated does nothing: the next attempt has the number of those before it.
func (*Traces) Repeated(graph.Repeat) {}

// NoToken does nothing: the log has the cause.
func (*Traces) NoToken(*graph.TokenError) {}
