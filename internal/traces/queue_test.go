package traces

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// stuck is an exporter that does what export says.
type stuck struct{ export func(context.Context) error }

func (s stuck) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	return s.export(ctx)
}

func (stuck) Shutdown(context.Context) error { return nil }

// In a bubble time stands still unless all wait: so it shows that no span waits for the collector.
func TestNoSpanWaitsForTheCollector(t *testing.T) {
	for _, test := range []struct {
		name   string
		export func(context.Context) error
	}{
		{"down", func(context.Context) error { return errors.New("canary") }},
		{"hanging", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				traces := newTraces(t.Context(), Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))}, sampling{ratio: 1}, stuck{test.export})
				const each = 10_000
				const minutes = 10
				for minute := range minutes {
					began := time.Now()
					for range each {
						_, span := traces.tracer.Start(t.Context(), "span")
						span.End()
						if waiting := traces.queue.waiting.Load(); waiting > maxQueued {
							t.Fatalf("%d spans wait", waiting)
						}
					}
					if took := time.Since(began); took != 0 {
						t.Errorf("minute %d: the spans waited %v", minute, took)
					}
					time.Sleep(time.Minute)
				}
				traces.Close()
				synctest.Wait()
				if dropped := traces.Dropped(); dropped == 0 || dropped+uint64(traces.queue.waiting.Load()) != each*minutes {
					t.Errorf("%d spans were dropped and %d wait, want %d together", dropped, traces.queue.waiting.Load(), each*minutes)
				}
				lines := strings.Count(log.String(), "spans were dropped")
				if lines < minutes-1 || lines > minutes+1 || strings.Contains(log.String(), "canary") {
					t.Errorf("%d lines in %d minutes: %s", lines, minutes, log.String())
				}
			})
		})
	}
}
