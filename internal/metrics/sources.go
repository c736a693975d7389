package metrics

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/m365backup/backupstorage/graph"
)

// Sources are the functions that return what is counted elsewhere. They are called with every scrape. A family whose
// function is nil does not exist. The keys of a map are the values of a label: they must be constants of the program.
type Sources struct {
	CallsInFlight func() int
	// WaitsInFlight are the streams, waits and watches under way, Watched the resources that are waited for, and Polls
	// how often Graph was asked for one of them, or for a list of them.
	WaitsInFlight, Watched func() int
	Polls                  func() uint64
	// HeldBytes are the bytes of responses that calls hold.
	HeldBytes func() int64
	// Connections are those of clients, ConnectionsRefused and ConnectionsCut those that were closed: because there
	// were too many, or because their client did not take a response.
	Connections                        func() int
	ConnectionsRefused, ConnectionsCut func() uint64
	Throttled                          func() graph.Throttled
	// UnknownCodes are the unknown error codes of Graph, by where they stood.
	UnknownCodes                 func() map[string]uint64
	UnreadValues, UnknownMembers func() uint64
	// KeyedCalls are the calls with an idempotency key, by what became of them.
	KeyedCalls func() map[string]uint64
	// DroppedLines are the lines of the log that nobody read in time.
	DroppedLines func() uint64
	// DroppedSpans are the spans that no collector took.
	DroppedSpans func() uint64

	// Reloads are the files that were read again while the server runs, by what they are and by result.
	Reloads func() map[Reload]uint64
	// CertificateExpiry is when certificates expire, by which one; zero when there is none.
	CertificateExpiry func() map[Certificate]time.Time
	// InboundBytes are the bytes of requests that have arrived and are not decoded yet, ConnectionsPaused the
	// connections that were closed because they brought too many of them.
	InboundBytes      func() int64
	ConnectionsPaused func() uint64
	// RedisUp reports whether commands are sent to the Redis that replicas share. RedisCommands are the commands, by
	// result: ok, or the cause of the failure. RedisTook is the time that they took together.
	RedisUp       func() bool
	RedisCommands func() map[string]uint64
	RedisTook     func() time.Duration
	// ThrottleSlots are the slots that this replica got of those that all replicas share.
	ThrottleSlots func() uint64
	// AuditFailures are the audit lines that were not written, AuditSuppressed the denied calls that got none of their
	// own.
	AuditFailures, AuditSuppressed func() uint64
}

// Certificate says which certificates expire. Of several in a file the first end counts.
type Certificate string

// The certificates that an operator can let run out.
const (
	// CertificateServer is that of the server itself.
	CertificateServer Certificate = "server"
	// CertificateClientCA are those by which client certificates are verified.
	CertificateClientCA Certificate = "client-ca"
	// CertificateCredential is that of the application, with which tokens for Graph are requested.
	CertificateCredential Certificate = "graph-credential"
	// CertificateGraphCA are those by which Graph and the token authority are verified, in place of the machine's.
	CertificateGraphCA Certificate = "graph-ca"
	// CertificateIssuerCA are those by which issuers of callers' tokens are verified.
	CertificateIssuerCA Certificate = "issuer-ca"
)

// Certificates are all values of Certificate.
var Certificates = []Certificate{CertificateServer, CertificateClientCA, CertificateCredential, CertificateGraphCA, CertificateIssuerCA}

// Reload is an attempt to read a file again.
type Reload struct {
	// What is the kind of file, such as `tls`; OK whether it could be used.
	What string
	OK   bool
}

// Watch adds the families of sources. It is called once.
func (m *Metrics) Watch(s Sources) {
	c := new(watcher)
	c.gauge("backupstorage_calls_in_flight", "Calls under way; one is until its client has taken the response.", number(s.CallsInFlight))
	c.gauge("backupstorage_waits_in_flight", "Streams, waits and watches under way.", number(s.WaitsInFlight))
	c.gauge("backupstorage_watched_resources", "Resources that waits and watches wait for.", number(s.Watched))
	c.counter("backupstorage_polls_total", "Reads of Graph on behalf of waits and watches.", number(s.Polls))
	c.gauge("backupstorage_response_bytes_held", "Bytes of responses that calls hold.", number(s.HeldBytes))
	c.gauge("backupstorage_connections", "Connections of clients.", number(s.Connections))
	c.counter("backupstorage_connections_refused_total", "Connections that were closed because there were too many.", number(s.ConnectionsRefused))
	c.counter("backupstorage_connections_cut_total", "Connections that were closed because their client did not take a response.", number(s.ConnectionsCut))
	c.gauge("backupstorage_request_bytes_inbound", "Bytes of requests that have arrived and are not decoded yet.", number(s.InboundBytes))
	c.counter("backupstorage_connections_paused_total", "Connections that were closed because they brought more bytes of requests than the server takes.", number(s.ConnectionsPaused))
	if s.Throttled != nil {
		c.labelled(prometheus.GaugeValue, "backupstorage_throttled_scopes", "Throttles of Graph that are in force: their requests are blocked or paced.", "kind", func() map[string]float64 {
			n := s.Throttled()
			return map[string]float64{
				"tenant-reads": float64(n.TenantReads), "tenant-writes": float64(n.TenantWrites),
				"application-reads": float64(n.ApplicationReads), "application-writes": float64(n.ApplicationWrites),
			}
		})
	}
	c.labelled(prometheus.CounterValue, "backupstorage_unknown_graph_codes_total", "Errors of Graph with a code that the contract does not have, by where it stood.", "where", counts(s.UnknownCodes))
	c.counter("backupstorage_unread_values_total", "Values in responses of Graph that could not be read.", number(s.UnreadValues))
	c.counter("backupstorage_unknown_enum_members_total", "Members of enums in responses of Graph that the contract does not have.", number(s.UnknownMembers))
	c.labelled(prometheus.CounterValue, "backupstorage_keyed_calls_total", "Calls with an idempotency key, by what became of them.", "outcome", counts(s.KeyedCalls))
	c.counter("backupstorage_log_lines_dropped_total", "Lines of the log that were dropped because nobody read it.", number(s.DroppedLines))
	c.counter("backupstorage_spans_dropped_total", "Spans that the collector did not take.", number(s.DroppedSpans))
	c.watchCallers(s)
	c.watchRedis(s)
	m.registry.MustRegister(c)
}

// watchCallers adds what TLS, identities, rights and the audit log count.
func (c *watcher) watchCallers(s Sources) {
	if s.Reloads != nil {
		c.add("backupstorage_reloads_total", "Files that were read again while the server runs.", []string{"what", "result"}, func(d *prometheus.Desc, out chan<- prometheus.Metric) {
			sums := make(map[[2]string]float64)
			for r, n := range s.Reloads() {
				sums[[2]string{plain(r.What), map[bool]string{true: "ok", false: "failed"}[r.OK]}] += float64(n)
			}
			for labels, n := range sums {
				out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, labels[0], labels[1])
			}
		})
	}
	if s.CertificateExpiry != nil {
		c.labelled(prometheus.GaugeValue, "backupstorage_certificate_expiry_timestamp_seconds", "When a certificate expires, in seconds since 1970; of several in a file the first. Only those that are in use.", "which", func() map[string]float64 {
			all := make(map[string]float64)
			for which, at := range s.CertificateExpiry() {
				// One that is not there must not look as if it had expired long ago.
				if !at.IsZero() && slices.Contains(Certificates, which) {
					all[string(which)] = float64(at.Unix())
				}
			}
			return all
		})
	}
	c.counter("backupstorage_audit_failures_total", "Audit lines that could not be written, or not in time.", number(s.AuditFailures))
	c.counter("backupstorage_audit_suppressed_total", "Denied calls without an audit line of their own, because there were too many.", number(s.AuditSuppressed))
}

// watchRedis adds what the Redis that replicas share counts.
func (c *watcher) watchRedis(s Sources) {
	if s.RedisUp == nil {
		return
	}
	c.gauge("backupstorage_redis_up", "1 while Redis can be used, else 0.", func() float64 { return map[bool]float64{true: 1}[s.RedisUp()] })
	c.labelled(prometheus.CounterValue, "backupstorage_redis_commands_total", "Commands to Redis, by result.", "result", counts(s.RedisCommands))
	c.counter("backupstorage_redis_command_seconds_total", "Time that commands to Redis took together.", func() float64 { return s.RedisTook().Seconds() })
	c.counter("backupstorage_throttle_slots_leased_total", "Slots that this replica got of those that all replicas share.", number(s.ThrottleSlots))
}

// watcher collects what is counted elsewhere.
type watcher struct {
	descriptions []*prometheus.Desc
	collect      []func(chan<- prometheus.Metric)
}

// Describe sends the descriptions of all families.
func (c *watcher) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descriptions {
		out <- d
	}
}

// Collect sends all values.
func (c *watcher) Collect(out chan<- prometheus.Metric) {
	for _, collect := range c.collect {
		collect(out)
	}
}

func (c *watcher) add(name, help string, labels []string, collect func(*prometheus.Desc, chan<- prometheus.Metric)) {
	d := prometheus.NewDesc(name, help, labels, nil)
	c.descriptions = append(c.descriptions, d)
	c.collect = append(c.collect, func(out chan<- prometheus.Metric) { collect(d, out) })
}

func (c *watcher) gauge(name, help string, value func() float64) {
	c.single(prometheus.GaugeValue, name, help, value)
}

func (c *watcher) counter(name, help string, value func() float64) {
	c.single(prometheus.CounterValue, name, help, value)
}

func (c *watcher) single(kind prometheus.ValueType, name, help string, value func() float64) {
	if value == nil {
		return
	}
	c.add(name, help, nil, func(d *prometheus.Desc, out chan<- prometheus.Metric) {
		out <- prometheus.MustNewConstMetric(d, kind, value())
	})
}

// maxValues bounds the values of a label that a source chooses.
const maxValues = 16

func (c *watcher) labelled(kind prometheus.ValueType, name, help, label string, values func() map[string]float64) {
	if values == nil {
		return
	}
	c.add(name, help, []string{label}, func(d *prometheus.Desc, out chan<- prometheus.Metric) {
		sums := make(map[string]float64)
		all := values()
		for i, value := range slices.Sorted(maps.Keys(all)) {
			text := plain(value)
			if i >= maxValues {
				text = other
			}
			sums[text] += all[value]
		}
		for value, n := range sums {
			out <- prometheus.MustNewConstMetric(d, kind, n, value)
		}
	})
}

var plainText = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// plain returns the value of a label, `other` for one that is no constant of ours.
func plain(value string) string {
	if plainText.MatchString(value) {
		return value
	}
	return other
}

// number makes a function of float64, nil of nil.
func number[N int | int64 | uint64](of func() N) func() float64 {
	if of == nil {
		return nil
	}
	return func() float64 { return float64(of()) }
}

func counts(of func() map[string]uint64) func() map[string]float64 {
	if of == nil {
		return nil
	}
	return func() map[string]float64 {
		all := make(map[string]float64)
		for value, n := range of() {
			all[value] = float64(n)
		}
		return all
	}
}
