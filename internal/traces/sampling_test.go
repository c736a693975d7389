package traces

import (
	"context"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
)

// tag begins calls with a forged traceparent that wants to be sampled, or does not, and returns how many were.
func tag(t *testing.T, s sampling, trusted bool, flag string, calls int) (sampled int) {
	t.Helper()
	traces := newTraces(t.Context(), Options{
		Logger: slog.New(slog.DiscardHandler), Trusted: func(context.Context) bool { return trusted },
	}, s, stuck{func(context.Context) error { return nil }})
	defer traces.Close()
	for range calls {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", forged[:len(forged)-2]+flag))
		ctx, end := traces.Begin(ctx, "/a/B")
		span := trace.SpanFromContext(ctx)
		if in := span.SpanContext().TraceID().String() == forgedTrace; in && !trusted {
			t.Fatal("a stranger chose the trace")
		}
		if traces.TraceID(ctx) != "" {
			sampled++
		}
		if end != nil {
			end(nil)
		}
		if span.IsRecording() {
			t.Fatal("the span did not end")
		}
	}
	return sampled
}

func TestWhoDecidesWhatIsSampled(t *testing.T) {
	const calls = 2000
	for _, test := range []struct {
		name     string
		sampling sampling
		trusted  bool
		flag     string
		min, max int
	}{
		{"all", sampling{1, true}, false, "00", calls, calls},
		{"none, a stranger wants it", sampling{0, true}, false, "01", 0, 0},
		{"a tenth", sampling{0.1, true}, false, "01", calls / 20, calls / 5},
		{"none, a trusted caller wants it", sampling{0, true}, true, "01", calls, calls},
		{"all, a trusted caller does not want it", sampling{1, true}, true, "00", 0, 0},
		{"none, and no caller decides", sampling{0, false}, true, "01", 0, 0},
	} {
		if n := tag(t, test.sampling, test.trusted, test.flag, calls); n < test.min || n > test.max {
			t.Errorf("%s: %d of %d calls are sampled, want %d to %d", test.name, n, calls, test.min, test.max)
		}
	}
}

// A call that is not sampled allocates nothing.
func TestCallsThatAreNotSampledCostNothing(t *testing.T) {
	traces := newTraces(t.Context(), Options{Logger: slog.New(slog.DiscardHandler)}, sampling{}, stuck{func(context.Context) error { return nil }})
	defer traces.Close()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", forged))
	if n := testing.AllocsPerRun(1000, func() {
		if _, end := traces.Begin(ctx, "/a/B"); end != nil {
			t.Fatal("the call is sampled")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
