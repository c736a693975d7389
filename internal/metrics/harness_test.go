package metrics_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/metrics"
	"github.com/m365backup/backupstorage/service"
)

const tenant = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"

// watched is a server with metrics, on an upstream that the test scripts.
type watched struct {
	*metrics.Metrics
	graph    *graph.Client
	services *service.Server
	listener *service.Listener
	conn     *grpc.ClientConn
	address  string
	// respond is what the upstream does.
	respond atomic.Pointer[http.HandlerFunc]
	// tokens gives the tokens; nil gives unsigned ones.
	tokens func() (string, error)
}

// Token is a graph.TokenSource.
func (w *watched) Token(ctx context.Context, request graph.TokenRequest) (string, error) {
	if w.tokens != nil {
		return w.tokens()
	}
	return graph.Unsigned{}.Token(ctx, request)
}

// enabled is the response to a call that is OK.
func enabled(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"serviceStatus":{"status":"enabled"}}`)
}

// fails responds with a status and a code of Graph's.
func fails(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, `{"error":{"code":"`+code+`","message":"m"}}`)
	}
}

// sequence responds with one handler after another, the last one for ever.
func sequence(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(int(n.Add(1)), len(handlers))-1](w, r)
	}
}

func (w *watched) upstream(handler http.HandlerFunc) { w.respond.Store(&handler) }

// start starts a server with metrics. The options change those of the services.
func start(t *testing.T, options ...func(*service.Options)) *watched {
	t.Helper()
	w := &watched{Metrics: metrics.New(metrics.Build{Version: "v1.2.3", Revision: "abc"}, metrics.Other)}
	w.upstream(enabled)
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*w.respond.Load())(rw, r) }))
	t.Cleanup(upstream.Close)
	var err error
	w.graph, err = graph.New(graph.Options{
		Endpoint: upstream.URL + "/v1.0", Tokens: w, UserAgent: "test", Backoff: time.Millisecond, Observers: []graph.Observer{w.Metrics},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.graph.Close)
	o := service.Options{
		Graph: w.graph, Logger: slog.New(slog.DiscardHandler), AllowAppOnly: true, Observers: []service.Observer{w.Metrics},
	}
	for _, option := range options {
		option(&o)
	}
	if w.services, err = service.New(o); err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.listener, w.address = w.services.Listen(inner), inner.Addr().String()
	server := grpc.NewServer(w.services.GRPCOptions()...)
	w.services.Register(server)
	go func() { _ = server.Serve(w.listener) }()
	t.Cleanup(server.Stop)
	w.conn = w.dial(t, "test")
	return w
}

func (w *watched) dial(t *testing.T, userAgent string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(userAgent))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// as is the context of a call for a tenant.
func as(ctx context.Context, tenant string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
}

// get makes a small call.
func (w *watched) get(t *testing.T, tenant string) error {
	t.Helper()
	_, err := pb.NewBackupRestoreServiceClient(w.conn).GetBackupRestore(as(t.Context(), tenant), new(pb.GetBackupRestoreRequest))
	return err
}

// value returns the value of a series: of a histogram how many it has observed. Labels are pairs of name and value. It
// fails the test when there is no such series.
func value(t *testing.T, m *metrics.Metrics, name string, labels ...string) float64 {
	t.Helper()
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if has(metric, labels) {
				switch {
				case metric.Counter != nil:
					return metric.Counter.GetValue()
				case metric.Gauge != nil:
					return metric.Gauge.GetValue()
				}
				return float64(metric.Histogram.GetSampleCount())
			}
		}
	}
	t.Fatalf("there is no series %s{%s}", name, strings.Join(labels, " "))
	return 0
}

func has(metric *dto.Metric, labels []string) bool {
	if len(metric.GetLabel()) != len(labels)/2 {
		return false
	}
	for i := 0; i < len(labels); i += 2 {
		found := false
		for _, pair := range metric.GetLabel() {
			found = found || pair.GetName() == labels[i] && pair.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}
