// Package metrics counts what operators watch, for Prometheus to scrape.
//
// Every label has a closed set of values: none of them is a tenant, a caller, a path, an address, or a name that a
// stranger chose. All series are there from the start, so that their number stays the same and a rate has a zero to
// start from.
package metrics

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
)

// Build is which build of the server runs.
type Build struct {
	// Version is as `server --version` says it, Revision the commit, or `unknown`.
	Version, Revision string
}

// Upstream is the kind of upstream.
type Upstream string

// The kinds of upstream.
const (
	Emulator Upstream = "emulator"
	Graph    Upstream = "graph"
	// Other is any upstream that is neither, such as a test double.
	Other Upstream = "other"
)

// other is the value of a label for what has no value of its own.
const other = "other"

// Metrics counts calls and requests. It is an observer of the server and of the Graph client. It is safe for concurrent
// use.
type Metrics struct {
	registry *prometheus.Registry

	calls map[string]*callSeries
	// unknown are the calls of methods that the contract does not have.
	unknown *callSeries
	errors  map[string]prometheus.Counter
	shed    map[service.Shed]prometheus.Counter
	outcome prometheus.Counter
	// denied are the calls that were refused for who calls, by reason and why.
	denied map[denial]prometheus.Counter

	requests    [2][len(statusClasses)]prometheus.Observer
	retries     map[graph.Repeat]prometheus.Counter
	connections map[graph.Cause]prometheus.Counter
	tokens      map[string]prometheus.Counter
}

var (
	_ service.Observer = (*Metrics)(nil)
	_ graph.Observer   = (*Metrics)(nil)
)

// callSeries are the series of one method.
type callSeries struct {
	started  prometheus.Counter
	handled  [codes.Unauthenticated + 1]prometheus.Counter
	duration prometheus.Observer
}

// denial is a reason to refuse a call for who calls, and why.
type denial struct{ reason, why string }

// statusClasses are the first digits of HTTP statuses, with `none` for an attempt without a response.
var statusClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// kinds of requests to Graph: those that change nothing, and the others.
var kinds = [...]string{"read", "write"}

// New returns metrics in which everything is zero.
func New(build Build, upstream Upstream) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.info("backupstorage_build_info", "The build that runs; always 1.",
		prometheus.Labels{"version": build.Version, "revision": build.Revision, "go_version": runtime.Version()})
	m.info("backupstorage_upstream_info", "The upstream of the server; always 1.", prometheus.Labels{"upstream": string(upstream)})
	m.addCalls()
	m.addRequests()
	return m
}

// addCalls adds the families that the log interceptor fills.
func (m *Metrics) addCalls() {
	started := m.counters("grpc_server_started_total", "Calls that began.", "grpc_service", "grpc_method")
	handled := m.counters("grpc_server_handled_total", "Calls whose handler has ended, by gRPC code.", "grpc_service", "grpc_method", "grpc_code")
	durations := m.histograms("backupstorage_call_duration_seconds", "Time that the handler of a call took, but for streams, waits and watches.",
		[]float64{0.01, 0.05, 0.2, 1, 5, 30, 120}, "grpc_method")
	// Their clients say how long they take: among the others they would look like slow ones.
	lasted := m.histograms("backupstorage_wait_duration_seconds", "Time that a stream, a wait or a watch lasted.",
		[]float64{1, 5, 15, 45, 120, 600}, "grpc_method")
	add := func(service, method string, durations *prometheus.HistogramVec) *callSeries {
		s := &callSeries{started: started.WithLabelValues(service, method), duration: durations.WithLabelValues(method)}
		for code := range s.handled {
			s.handled[code] = handled.WithLabelValues(service, method, codes.Code(code).String())
		}
		return s
	}
	m.calls = make(map[string]*callSeries)
	for _, one := range methods() {
		of := durations
		if one.lasts {
			of = lasted
		}
		m.calls[one.full] = add(one.service, one.method, of)
	}
	m.unknown = add(other, other, durations)

	failures := m.counters("backupstorage_errors_total", "Failed calls, by reason and by who has to act.", "reason", "fault")
	m.errors = make(map[string]prometheus.Counter)
	for reason, fault := range reasons() {
		m.errors[reason] = failures.WithLabelValues(reason, fault)
	}
	shed := m.counters("backupstorage_calls_shed_total", "Calls that the server had no room for.", "why")
	m.shed = make(map[service.Shed]prometheus.Counter)
	for _, why := range service.Sheds {
		m.shed[why] = shed.WithLabelValues(string(why))
	}
	m.denied = make(map[denial]prometheus.Counter)
	refused := func(reason pb.ErrorReason, name, help string, causes []string) {
		family := m.counters(name, help, "why")
		for _, why := range causes {
			m.denied[denial{reason.String(), why}] = family.WithLabelValues(why)
		}
	}
	refused(pb.ErrorReason_CALLER_UNAUTHENTICATED, "backupstorage_unauthenticated_total", "Calls without an identity that is accepted.", service.UnauthenticatedCauses())
	refused(pb.ErrorReason_CALLER_NOT_ALLOWED, "backupstorage_denied_total", "Calls that their caller has no right to.", service.DeniedCauses())
	m.outcome = m.counters("backupstorage_outcome_unknown_total", "Writes that failed and may have been done.").WithLabelValues()
}

// addRequests adds the families that the Graph client fills.
func (m *Metrics) addRequests() {
	requests := m.histograms("backupstorage_graph_request_duration_seconds", "Time of an attempt at a request to Graph, with its whole response.",
		[]float64{0.05, 0.2, 0.5, 1, 5, 20, 60}, "kind", "status_class")
	for k, kind := range kinds {
		for c, class := range statusClasses {
			m.requests[k][c] = requests.WithLabelValues(kind, class)
		}
	}
	retries := m.counters("backupstorage_graph_retries_total", "Requests that were sent to Graph again.", "why")
	m.retries = make(map[graph.Repeat]prometheus.Counter)
	for _, why := range graph.Repeats {
		m.retries[why] = retries.WithLabelValues(string(why))
	}
	failures := m.counters("backupstorage_graph_connection_failures_total", "Attempts that got no response from Graph because of the network.", "cause")
	m.connections = make(map[graph.Cause]prometheus.Counter)
	for _, cause := range connectionCauses {
		m.connections[cause] = failures.WithLabelValues(string(cause))
	}
	tokens := m.counters("backupstorage_tokens_failed_total", "Requests that were not sent to Graph since there was no token.", "why")
	m.tokens = make(map[string]prometheus.Counter)
	for _, why := range tokenFailures() {
		m.tokens[why] = tokens.WithLabelValues(why)
	}
}

// Handler serves the metrics, also as protobuf with native histograms.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: true})
}

// Gather returns all families.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) { return m.registry.Gather() }

// CallBegan counts a call.
func (m *Metrics) CallBegan(method string) { m.of(method).started.Inc() }

// CallEnded counts what a call came to.
func (m *Metrics) CallEnded(c service.CallInfo) {
	s := m.of(c.Method)
	code := c.Code
	if int(code) >= len(s.handled) {
		code = codes.Unknown
	}
	s.handled[code].Inc()
	s.duration.Observe(c.Duration.Seconds())
	if c.Reason == "" {
		return
	}
	if counter := m.errors[c.Reason]; counter != nil {
		counter.Inc()
	}
	if counter := m.shed[c.Shed]; counter != nil {
		counter.Inc()
	}
	if counter := m.denied[denial{c.Reason, c.Denied}]; counter != nil {
		counter.Inc()
	}
	if c.OutcomeUnknown {
		m.outcome.Inc()
	}
}

func (m *Metrics) of(method string) *callSeries {
	if s := m.calls[method]; s != nil {
		return s
	}
	return m.unknown
}

// Attempted counts an attempt at a request to Graph.
func (m *Metrics) Attempted(_ context.Context, a graph.Attempt) {
	kind := 1
	if a.Request.Safe {
		kind = 0
	}
	class := a.Status / 100
	if class >= len(statusClasses) || class < 0 {
		class = 0
	}
	m.requests[kind][class].Observe(a.Ended.Sub(a.Began).Seconds())
	if a.Failed != nil && a.Failed.Kind == graph.KindUnreachable {
		counter := m.connections[a.Failed.Cause]
		if counter == nil {
			counter = m.connections[other]
		}
		counter.Inc()
	}
}

// Repeated counts a request that is sent again.
func (m *Metrics) Repeated(why graph.Repeat) {
	if counter := m.retries[why]; counter != nil {
		counter.Inc()
	}
}

// NoToken counts a request for which there is no token.
func (m *Metrics) NoToken(err *graph.TokenError) { m.tokens[tokenFailure(err)].Inc() }

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

// histograms have few classic buckets, and native ones for those who scrape protobuf.
func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		// A factor of 1.1 is at most 10 % off. Each series has at most 100 buckets, which bounds the memory.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) info(name, help string, labels prometheus.Labels) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	g.Set(1)
	m.registry.MustRegister(g)
}
