package traces

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Whatever a library puts into a span, only what is listed leaves the process.
func TestOnlyListedAttributesAreShown(t *testing.T) {
	secret := attribute.String("url.full", canary)
	span := show(tracetest.SpanStub{
		Attributes: []attribute.KeyValue{secret, methodKey.String("GET"), attribute.String("network.peer.address", canary)},
		Events:     []sdktrace.Event{{Name: canary, Attributes: []attribute.KeyValue{secret}}},
		Links:      []sdktrace.Link{{Attributes: []attribute.KeyValue{secret}}},
		Status:     sdktrace.Status{Code: codes.Error, Description: canary},
	}.Snapshot())
	text := fmt.Sprint(span.Attributes(), span.Events(), span.Links(), span.Status())
	if strings.Contains(text, canary) {
		t.Errorf("shown: %s", text)
	}
	if len(span.Attributes()) != 1 || len(span.Links()) != 1 || span.Status().Code != codes.Error {
		t.Errorf("too little is shown: %s", text)
	}
}
