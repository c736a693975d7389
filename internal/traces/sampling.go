package traces

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"
)

// The variables that say how many calls are sampled.
const (
	samplerVariable  = "OTEL_TRACES_SAMPLER"
	argumentVariable = "OTEL_TRACES_SAMPLER_ARG"
)

// sampling says which calls are sampled.
type sampling struct {
	// ratio is the share of calls, from 0 to 1.
	ratio float64
	// parent says that the flag of a trusted caller decides instead.
	parent bool
}

// readSampling reads the sampler of the environment: by default all calls.
func readSampling(getenv func(string) string) (sampling, error) {
	s := sampling{ratio: 1}
	switch name := getenv(samplerVariable); name {
	case "", "parentbased_always_on":
		s.parent = true
	case "always_on":
	case "parentbased_always_off":
		s.ratio, s.parent = 0, true
	case "always_off":
		s.ratio = 0
	case "parentbased_traceidratio", "traceidratio":
		s.parent = name == "parentbased_traceidratio"
		text := getenv(argumentVariable)
		if text == "" {
			return s, nil
		}
		ratio, err := strconv.ParseFloat(text, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return s, fmt.Errorf("environment variable %s must be a number from 0 to 1", argumentVariable)
		}
		s.ratio = ratio
	default:
		return s, fmt.Errorf("environment variable %s must be always_on, always_off or traceidratio, with or without parentbased_ before it", samplerVariable)
	}
	return s, nil
}

// sampler is that of the provider. A call for which the front has decided is sampled with all that belongs to it.
func (s sampling) sampler() sdktrace.Sampler {
	root := sdktrace.TraceIDRatioBased(s.ratio)
	if s.parent {
		root = sdktrace.ParentBased(root)
	}
	return decidedOr{root}
}

type decidedKey struct{}

type decidedOr struct{ sdktrace.Sampler }

func (d decidedOr) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.ParentContext.Value(decidedKey{}) != nil {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	}
	return d.Sampler.ShouldSample(p)
}

// Begin begins the span of a call, if it gets one. That is decided before anything is made: most calls get none, and
// cost nothing. For a stranger's call chance decides, whatever its traceparent says; for that of a trusted caller the
// sampler does.
func (t *Traces) Begin(ctx context.Context, method string) (_ context.Context, end func(err error)) {
	trusted := t.trusted != nil && t.trusted(ctx)
	// The number need not be secret: it decides what is seen, and not what is allowed.
	if !trusted && rand.Float64() >= t.sampling.ratio {
		return ctx, nil
	}
	outer := ctx
	if !trusted {
		ctx = context.WithValue(ctx, decidedKey{}, true)
	}
	ctx = t.handler.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: method})
	if !trace.SpanFromContext(ctx).IsRecording() {
		return outer, nil
	}
	return ctx, func(err error) { t.handler.HandleRPC(ctx, &stats.End{Error: err}) }
}
