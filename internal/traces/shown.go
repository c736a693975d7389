package traces

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// shownKeys are the attributes that leave the process. Libraries set others, with addresses and texts.
var shownKeys = []attribute.Key{
	"rpc.system.name", "rpc.method", "rpc.response.status_code",
	methodKey, templateKey, statusKey, resendKey, throttledKey, requestIDKey, causeKey,
}

// shown is a span without what may name a tenant, a person or a resource.
type shown struct {
	sdktrace.ReadOnlySpan
	attributes []attribute.KeyValue
}

func show(span sdktrace.ReadOnlySpan) shown {
	s := shown{ReadOnlySpan: span}
	for _, one := range span.Attributes() {
		if slices.Contains(shownKeys, one.Key) {
			s.attributes = append(s.attributes, one)
		}
	}
	return s
}

// Attributes returns those that are shown.
func (s shown) Attributes() []attribute.KeyValue { return s.attributes }

// Status returns the status without its description, which is the message of the gRPC Status.
func (s shown) Status() sdktrace.Status { return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code} }

// Events returns none: they would have texts of errors.
func (shown) Events() []sdktrace.Event { return nil }

// Links returns the links with nothing but their ids.
func (s shown) Links() []sdktrace.Link {
	links := slices.Clone(s.ReadOnlySpan.Links())
	for i := range links {
		links[i].Attributes = nil
	}
	return links
}
