package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/m365backup/backupstorage/internal/metrics"
)

// What is off is not there, so that it costs calls nothing.
func TestTelemetryThatIsOff(t *testing.T) {
	for _, test := range []struct {
		name           string
		arguments      []string
		env            variables
		calls, request int
		traced         bool
	}{
		{"all off", []string{"--admin-listen", ""}, nil, 0, 0, false},
		{"no variable of OpenTelemetry", nil, nil, 2, 1, false},
		{"traces alone", []string{"--admin-listen", ""}, variables{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, 0, 1, true},
		{"all on", nil, variables{"OTEL_TRACES_EXPORTER": "otlp"}, 2, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := readConfig(test.arguments, test.env, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			shown, err := startTelemetry(t.Context(), c, slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer shown.close()
			if n := len(shown.callObservers()); n != test.calls {
				t.Errorf("%d observers of calls, want %d", n, test.calls)
			}
			if n := len(shown.graphObservers()); n != test.request {
				t.Errorf("%d observers of requests, want %d", n, test.request)
			}
			if (shown.tracer() != nil) != test.traced {
				t.Errorf("traced: %v, want %v", !test.traced, test.traced)
			}
		})
	}
}

func TestUpstreamHasAKind(t *testing.T) {
	for endpoint, want := range map[string]metrics.Upstream{
		onEmulator: metrics.Emulator, "https://graph.microsoft.com/v1.0": metrics.Graph, "https://Graph.Microsoft.com./v1.0": metrics.Graph,
		"http://127.0.0.1:8080/v1.0": metrics.Other, "https://graph.microsoft.com.evil.example/v1.0": metrics.Other,
	} {
		if got := (&config{graphFlags: graphFlags{GraphEndpoint: endpoint}}).upstreamKind(); got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
}
