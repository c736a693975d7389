package traces

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
)

const (
	tenant = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	canary = "canary7f3e"
	// graphID is an id of a request, as Graph makes them.
	graphID = "5d2f8a9e-3c0b-4f7e-8a55-1b9e1c7d6f20"
	// forged is the traceparent of a caller that wants its calls to be sampled, forgedTrace its trace.
	forgedTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	forged      = "00-" + forgedTrace + "-00f067aa0ba902b7-01"
)

// collector takes spans, or does what respond says.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	respond func(context.Context) error
	// forget keeps no span.
	forget bool

	mu    sync.Mutex
	spans []*tracepb.Span
	text  strings.Builder
}

func (c *collector) Export(ctx context.Context, request *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	if c.respond != nil {
		if err := c.respond(ctx); err != nil {
			return nil, err
		}
	}
	if c.forget {
		return new(collectorpb.ExportTraceServiceResponse), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(&c.text, request)
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return new(collectorpb.ExportTraceServiceResponse), nil
}

// serve starts a collector and sets the environment so that traces go there.
func (c *collector) serve(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
}

// maxHeaders is of how many requests to Graph the headers are kept.
const maxHeaders = 10

// traced is a server with traces.
type traced struct {
	*Traces
	conn *grpc.ClientConn
	log  *logBuffer
	// header has the headers of the first requests to Graph.
	mu     sync.Mutex
	header []http.Header
}

// assertion is one of a user in the tenant, with a canary as its signature, which nobody checks.
func assertion() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"tid":"`+tenant+`","oid":"`+canary+`"}`)) + "." + canary
}

// logBuffer is a log that can be written and read at the same time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts a server on an upstream, with traces if the environment asks for them.
func start(t *testing.T, upstream http.HandlerFunc) *traced {
	t.Helper()
	w := &traced{log: new(logBuffer)}
	logger := slog.New(slog.NewJSONHandler(w.log, nil))
	var err error
	w.Traces, err = Start(t.Context(), Options{
		Version: "v1", Getenv: os.Getenv, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	graphServer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		if len(w.header) < maxHeaders {
			w.header = append(w.header, r.Header.Clone())
		}
		w.mu.Unlock()
		upstream(rw, r)
	}))
	t.Cleanup(graphServer.Close)
	clientOptions := graph.Options{Endpoint: graphServer.URL + "/v1.0", Tokens: graph.Unsigned{}, UserAgent: "test", Backoff: time.Millisecond}
	serviceOptions := service.Options{Logger: logger, AllowAppOnly: true}
	if w.Traces != nil {
		clientOptions.Observers, serviceOptions.Tracer = []graph.Observer{w.Traces}, w.Traces
	}
	client, err := graph.New(clientOptions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	serviceOptions.Graph = client
	services, err := service.New(serviceOptions)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(services.GRPCOptions()...)
	services.Register(server)
	limited := services.Listen(listener)
	go func() { _ = server.Serve(limited) }()
	t.Cleanup(server.Stop)
	w.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close() })
	return w
}

// get asks for a policy. Metadata are pairs of key and value.
func (w *traced) get(ctx context.Context, pairs ...string) error {
	ctx = metadata.AppendToOutgoingContext(ctx, append([]string{"x-tenant-id", tenant}, pairs...)...)
	_, err := pb.NewProtectionPolicyServiceClient(w.conn).GetProtectionPolicy(ctx, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: canary})
	return err
}

// textOf returns an attribute of a span as text, empty for none.
func textOf(span *tracepb.Span, key string) string {
	for _, one := range span.GetAttributes() {
		if one.GetKey() == key {
			return strings.TrimSpace(fmt.Sprint(one.GetValue()))
		}
	}
	return ""
}

// A call has a span, and within it one for each attempt. None of them says who or what it is about.
func TestSpansOfOneCall(t *testing.T) {
	c := new(collector)
	c.serve(t)
	var n atomic.Int64
	w := start(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if n.Add(1) == 1 {
			rw.Header().Set("Request-Id", graphID)
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		rw.Header().Set("Request-Id", canary)
		rw.WriteHeader(http.StatusNotFound)
		io.WriteString(rw, `{"error":{"code":"PolicyNotFound","message":"`+canary+`","target":"`+canary+`"}}`)
	})
	if w.get(t.Context(), "traceparent", forged, "tracestate", canary+"="+canary, "baggage", canary+"="+canary, "x-user-assertion", assertion()) == nil {
		t.Fatal("a policy that does not exist was found")
	}
	if err := w.conn.Invoke(t.Context(), "/"+canary+".Service/"+canary, new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse)); err == nil {
		t.Fatal("an unknown method was found")
	}
	w.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) != 3 {
		t.Fatalf("%d spans, want the call and two attempts: %s", len(c.spans), c.text.String())
	}
	slices.SortFunc(c.spans, func(a, b *tracepb.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	call := c.spans[0]
	if call.GetName() != "m365.backupstorage.v1.ProtectionPolicyService/GetProtectionPolicy" || len(call.GetParentSpanId()) != 0 {
		t.Errorf("the first span is %v", call)
	}
	for i, want := range []string{"503", "404"} {
		span := c.spans[i+1]
		if !bytes.Equal(span.GetParentSpanId(), call.GetSpanId()) || !bytes.Equal(span.GetTraceId(), call.GetTraceId()) {
			t.Errorf("attempt %d is not within the call", i)
		}
		for key, value := range map[string]string{
			"http.response.status_code": "int_value:" + want, "http.request.resend_count": fmt.Sprintf("int_value:%d", i),
			"http.request.method": `string_value:"GET"`, "url.template": `string_value:"/protectionPolicies/{protection_policy_id}"`,
			"backupstorage.throttled": "bool_value:false",
		} {
			if got := textOf(span, key); got != value {
				t.Errorf("attempt %d: %s is %s, want %s", i, key, got, value)
			}
		}
	}
	if got := textOf(c.spans[1], "backupstorage.graph_request_id"); !strings.Contains(got, graphID) {
		t.Errorf("the first attempt has the request id %s", got)
	}
	if text := c.text.String(); strings.Contains(text, canary) || strings.Contains(text, tenant) || strings.Contains(text, "127.0.0.1") {
		t.Errorf("a span says who or what it is about: %s", text)
	}
	if !strings.Contains(w.log.String(), fmt.Sprintf(`"traceId":"%x"`, call.GetTraceId())) {
		t.Errorf("the line of the call has no traceId: %s", w.log)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, header := range w.header {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3"} {
			if header.Get(name) != "" {
				t.Errorf("Graph got %s", name)
			}
		}
	}
}

// Who is not authenticated cannot put a call into a trace, nor have it sampled: the traceparent becomes a link.
func TestForgedTraceparentIsALink(t *testing.T) {
	for _, test := range []struct {
		name    string
		sampler string
		spans   int
	}{{"sampled", "always_on", 2}, {"sampled by default", "", 2}, {"not sampled", "parentbased_always_off", 0}} {
		t.Run(test.name, func(t *testing.T) {
			c := new(collector)
			c.serve(t)
			t.Setenv("OTEL_TRACES_SAMPLER", test.sampler)
			w := start(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
			if w.get(t.Context(), "traceparent", forged) == nil {
				t.Fatal("a policy that does not exist was found")
			}
			w.Close()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.spans) != test.spans {
				t.Fatalf("%d spans, want %d", len(c.spans), test.spans)
			}
			links := 0
			for _, span := range c.spans {
				if fmt.Sprintf("%x", span.GetTraceId()) == forgedTrace {
					t.Errorf("%s is in the forged trace", span.GetName())
				}
				for _, link := range span.GetLinks() {
					if links++; fmt.Sprintf("%x", link.GetTraceId()) != forgedTrace || link.GetTraceState() != "" {
						t.Errorf("the link is %v", link)
					}
				}
			}
			if links != min(test.spans, 1) {
				t.Errorf("%d links", links)
			}
			if strings.Contains(w.log.String(), forgedTrace) {
				t.Errorf("the log has the forged trace: %s", w.log)
			}
		})
	}
}

// Who is trusted may be the parent of a call.
func TestTrustedTraceparentIsTheParent(t *testing.T) {
	c := new(collector)
	c.serve(t)
	exported := make(chan struct{}, 10)
	c.respond = func(context.Context) error { exported <- struct{}{}; return nil }
	traces, err := Start(t.Context(), Options{
		Getenv: os.Getenv, Logger: slog.New(slog.DiscardHandler), Trusted: func(context.Context) bool { return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, end := traces.Begin(metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", forged, "tracestate", canary+"=1")), "/a/B")
	end(nil)
	traces.Close()
	<-exported
	if len(c.spans) != 1 || fmt.Sprintf("%x", c.spans[0].GetTraceId()) != forgedTrace || strings.Contains(c.text.String(), canary) {
		t.Errorf("got %s", c.text.String())
	}
}

// Traces are off unless the environment asks for them, and a wrong variable is one line without its value.
func TestEnvironmentSwitchesTraces(t *testing.T) {
	const secret = "canary-of-a-secret"
	for _, test := range []struct {
		env   map[string]string
		asked bool
		says  string
	}{
		{env: nil},
		{env: map[string]string{endpointVariable: "http://127.0.0.1:4317"}, asked: true},
		{env: map[string]string{tracesEndpointVariable: "https://collector.example"}, asked: true},
		{env: map[string]string{exporterVariable: "otlp"}, asked: true},
		{env: map[string]string{exporterVariable: "none", endpointVariable: "http://127.0.0.1:4317"}},
		{env: map[string]string{disabledVariable: "true", endpointVariable: "http://127.0.0.1:4317"}},
		{env: map[string]string{exporterVariable: "otlp", samplerVariable: "traceidratio", argumentVariable: "0.01"}, asked: true},
		{env: map[string]string{exporterVariable: "otlp", samplerVariable: "traceidratio", argumentVariable: "NaN"}, says: argumentVariable},
		{env: map[string]string{exporterVariable: "otlp", samplerVariable: secret}, says: samplerVariable},
		{env: map[string]string{exporterVariable: secret}, says: exporterVariable},
		{env: map[string]string{exporterVariable: "otlp", protocolVariable: "http/protobuf"}, says: protocolVariable},
		{env: map[string]string{endpointVariable: "127.0.0.1:4317/" + secret}, says: endpointVariable},
	} {
		asked, err := Asked(func(name string) string { return test.env[name] })
		if asked != test.asked || (err != nil) != (test.says != "") {
			t.Errorf("%v: %v, %v", test.env, asked, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), secret)) {
			t.Errorf("%v: %v", test.env, err)
		}
	}
}

// maxHeap is how much the spans that wait for three collectors may take.
const maxHeap = 16 << 20

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// maxSlower is how many times as long a call may take with a broken collector as with one that is well, at the 99th
// percentile. A busy machine doubles a percentile by itself.
const maxSlower = 3

// maxCall is how long a call may take. It is less than the time of anything that waits for a collector: the exporter
// gives up after 10 s, and tries again after 5 s.
const maxCall = 3 * time.Second

// A poll is sent for those who wait: its span is within that of one of them, as if the wait had sent it itself.
func TestPollsAreInTheSpanOfTheirWait(t *testing.T) {
	c := new(collector)
	c.serve(t)
	var polls atomic.Int64
	w := start(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		state := "updating"
		if polls.Add(1) > 2 {
			state = "active"
		}
		fmt.Fprintf(rw, `{"@odata.type":"#microsoft.graph.exchangeProtectionPolicy","id":%q,"status":%q}`, canary, state)
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", tenant, "x-user-assertion", assertion())
	_, err := pb.NewProtectionPolicyServiceClient(w.conn).WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{
		ProtectionPolicyId: canary, Until: []pb.ProtectionPolicyStatus{pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.spans, func(a, b *tracepb.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	if len(c.spans) != 4 || c.spans[0].GetName() != "m365.backupstorage.v1.ProtectionPolicyService/WaitProtectionPolicy" {
		t.Fatalf("%d spans, want the wait and its polls: %s", len(c.spans), c.text.String())
	}
	for _, poll := range c.spans[1:] {
		if !bytes.Equal(poll.GetParentSpanId(), c.spans[0].GetSpanId()) || poll.GetName() != "Graph GET" ||
			!strings.Contains(textOf(poll, "url.template"), "{protection_policy_id}") {
			t.Errorf("a poll has the span %v", poll)
		}
	}
	if text := c.text.String(); strings.Contains(text, canary) || strings.Contains(text, tenant) {
		t.Errorf("a span says who or what it is about: %s", text)
	}
}
