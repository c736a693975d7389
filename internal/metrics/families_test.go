package metrics_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/metrics"
	"github.com/m365backup/backupstorage/service"
)

const (
	backupRestore = "m365.backupstorage.v1.BackupRestoreService"
	policies      = "m365.backupstorage.v1.ProtectionPolicyService"
)

// checker remembers which families were checked.
type checker struct {
	t       *testing.T
	checked map[string]bool
}

// want checks a series. Labels are pairs of name and value.
func (c *checker) want(m *metrics.Metrics, want float64, name string, labels ...string) {
	c.t.Helper()
	c.checked[name] = true
	if got := value(c.t, m, name, labels...); got != want {
		c.t.Errorf("%s{%s} is %v, want %v", name, strings.Join(labels, " "), got, want)
	}
}

// Every family is here with a number that is known, and a family that is not here fails the test.
func TestEveryFamilyHasTheRightNumber(t *testing.T) {
	c := &checker{t, make(map[string]bool)}
	w := start(t)
	w.Watch(sources(w))
	calls(c, w)
	requests(c, w)
	counted(c, w)
	families, err := w.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		name := family.GetName()
		if !c.checked[name] && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "promhttp_") {
			t.Errorf("no test checks the number of %s", name)
		}
	}
}

// calls checks what the log interceptor counts.
func calls(c *checker, w *watched) {
	for range 3 {
		if err := w.get(c.t, tenant); err != nil {
			c.t.Fatal(err)
		}
	}
	w.upstream(fails(http.StatusNotFound, "PolicyNotFound"))
	_, err := pb.NewProtectionPolicyServiceClient(w.conn).GetProtectionPolicy(as(c.t.Context(), tenant), &pb.GetProtectionPolicyRequest{ProtectionPolicyId: "p"})
	if err == nil {
		c.t.Fatal("a policy that does not exist was found")
	}
	if err := w.conn.Invoke(c.t.Context(), "/canary.Service/Method", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse)); err == nil {
		c.t.Fatal("an unknown method was found")
	}
	m := w.Metrics
	c.want(m, 3, "grpc_server_started_total", "grpc_service", backupRestore, "grpc_method", "GetBackupRestore")
	c.want(m, 1, "grpc_server_started_total", "grpc_service", "other", "grpc_method", "other")
	c.want(m, 3, "grpc_server_handled_total", "grpc_service", backupRestore, "grpc_method", "GetBackupRestore", "grpc_code", "OK")
	c.want(m, 1, "grpc_server_handled_total", "grpc_service", policies, "grpc_method", "GetProtectionPolicy", "grpc_code", "NotFound")
	c.want(m, 1, "grpc_server_handled_total", "grpc_service", "other", "grpc_method", "other", "grpc_code", "Unimplemented")
	c.want(m, 1, "backupstorage_errors_total", "reason", "POLICY_NOT_FOUND", "fault", "caller")
	c.want(m, 1, "backupstorage_errors_total", "reason", "UNKNOWN_METHOD", "fault", "caller")
	c.want(m, 3, "backupstorage_call_duration_seconds", "grpc_method", "GetBackupRestore")
	// Three that were OK and one that was not: the unknown method sends nothing.
	c.want(m, 3, "backupstorage_graph_request_duration_seconds", "kind", "read", "status_class", "2xx")
	c.want(m, 1, "backupstorage_graph_request_duration_seconds", "kind", "read", "status_class", "4xx")
	c.want(m, 1, "backupstorage_build_info", "version", "v1.2.3", "revision", "abc", "go_version", runtime.Version())
	c.want(m, 1, "backupstorage_upstream_info", "upstream", "other")
}

// requests checks what the Graph client counts.
func requests(c *checker, w *watched) {
	m := w.Metrics
	w.upstream(sequence(fails(http.StatusServiceUnavailable, "x"), enabled))
	if err := w.get(c.t, tenant); err != nil {
		c.t.Fatal(err)
	}
	c.want(m, 1, "backupstorage_graph_retries_total", "why", "unavailable")
	c.want(m, 1, "backupstorage_graph_request_duration_seconds", "kind", "read", "status_class", "5xx")

	// A create whose response is cut.
	w.upstream(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := pb.NewProtectionPolicyServiceClient(w.conn).CreateExchangeProtectionPolicy(as(c.t.Context(), tenant), &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "d"})
	if err == nil {
		c.t.Fatal("a create without a response was OK")
	}
	c.want(m, 1, "backupstorage_outcome_unknown_total")
	c.want(m, 1, "backupstorage_graph_connection_failures_total", "cause", "reset")
	c.want(m, 1, "backupstorage_graph_request_duration_seconds", "kind", "write", "status_class", "none")

	w.tokens = func() (string, error) {
		return "", &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseConsentMissing}
	}
	if w.get(c.t, tenant) == nil {
		c.t.Fatal("a call without a token was OK")
	}
	w.tokens = func() (string, error) { return "", errors.New("canary") }
	if w.get(c.t, tenant) == nil {
		c.t.Fatal("a call without a token was OK")
	}
	w.tokens = nil
	c.want(m, 1, "backupstorage_tokens_failed_total", "why", "consent-missing")
	c.want(m, 1, "backupstorage_tokens_failed_total", "why", "authority-unavailable")

	w.upstream(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Retry-After", "60")
		fails(http.StatusTooManyRequests, "TooManyRequests")(rw, r)
	})
	if w.get(c.t, tenant) == nil {
		c.t.Fatal("a throttled call was OK")
	}
	c.want(m, 1, "backupstorage_throttled_scopes", "kind", "tenant-reads")
	c.want(m, 0, "backupstorage_throttled_scopes", "kind", "application-writes")
}

// counted checks what is counted elsewhere.
func counted(c *checker, w *watched) {
	const other = "1e9e65f0-5e44-4b4f-9c9c-5a3a1d0b7c01"
	m := w.Metrics
	w.upstream(fails(http.StatusBadRequest, "canaryCode"))
	if w.get(c.t, other) == nil {
		c.t.Fatal("a bad request was OK")
	}
	w.upstream(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.Write([]byte(`{"serviceStatus":{"status":"canaryStatus","lastModifiedDateTime":"canary"}}`))
	})
	if err := w.get(c.t, other); err != nil {
		c.t.Fatal(err)
	}
	c.want(m, 1, "backupstorage_unknown_graph_codes_total", "where", "call")
	c.want(m, 0, "backupstorage_keyed_calls_total", "outcome", "first")
	c.want(m, 0, "backupstorage_unknown_graph_codes_total", "where", "detail")
	c.want(m, 1, "backupstorage_unread_values_total")
	c.want(m, 1, "backupstorage_unknown_enum_members_total")
	c.want(m, 1, "backupstorage_connections")
	c.want(m, 0, "backupstorage_connections_cut_total")
	c.want(m, 0, "backupstorage_connections_refused_total")

	// A call that is under way holds its place, and a second one of the same tenant finds no room.
	entered, release := make(chan struct{}), make(chan struct{})
	w.upstream(func(rw http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		enabled(rw, r)
	})
	var under sync.WaitGroup
	under.Go(func() {
		if err := w.get(c.t, other); err != nil {
			c.t.Error(err)
		}
	})
	<-entered
	c.want(m, 1, "backupstorage_calls_in_flight")
	close(release)
	under.Wait()
	waits(c, w, other)

	c.want(m, 7, "backupstorage_response_bytes_held")
	c.want(m, 5, "backupstorage_log_lines_dropped_total")
	c.want(m, 6, "backupstorage_spans_dropped_total")
	c.want(m, 2, "backupstorage_reloads_total", "what", "tls", "result", "ok")
	c.want(m, 3, "backupstorage_reloads_total", "what", "other", "result", "failed")
	c.want(m, 1000, "backupstorage_certificate_expiry_timestamp_seconds", "which", "server")
	c.want(m, 3000, "backupstorage_certificate_expiry_timestamp_seconds", "which", "issuer-ca")
	c.want(m, 8, "backupstorage_request_bytes_inbound")
	c.want(m, 3, "backupstorage_connections_paused_total")
	c.want(m, 1, "backupstorage_redis_up")
	c.want(m, 9, "backupstorage_redis_commands_total", "result", "ok")
	c.want(m, 2, "backupstorage_redis_commands_total", "result", "timeout")
	c.want(m, 1.5, "backupstorage_redis_command_seconds_total")
	c.want(m, 4, "backupstorage_throttle_slots_leased_total")
	c.want(m, 1, "backupstorage_audit_failures_total")
	c.want(m, 2, "backupstorage_audit_suppressed_total")
	denied(c)
	shed(c)
}

// waits checks what a wait adds.
func waits(c *checker, w *watched, tenant string) {
	w.upstream(enabled)
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(c.t.Context(), "x-tenant-id", tenant))
	var under sync.WaitGroup
	under.Go(func() {
		_, _ = pb.NewBackupRestoreServiceClient(w.conn).WaitBackupRestore(ctx, &pb.WaitBackupRestoreRequest{
			Until: []pb.BackupServiceStatus{pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_PROTECTION_CHANGE_LOCKED},
		})
	})
	under.Wait()
	w.upstream(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"serviceStatus":{"status":"protectionChangeLocked"}}`))
	})
	under.Go(func() {
		_, _ = pb.NewBackupRestoreServiceClient(w.conn).WaitBackupRestore(ctx, &pb.WaitBackupRestoreRequest{
			Until: []pb.BackupServiceStatus{pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED},
		})
	})
	for start := time.Now(); w.services.Polls().Polls < 2; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			c.t.Fatal("nothing is polled")
		}
	}
	c.want(w.Metrics, 1, "backupstorage_waits_in_flight")
	c.want(w.Metrics, 1, "backupstorage_watched_resources")
	c.want(w.Metrics, 2, "backupstorage_polls_total")
	cancel()
	under.Wait()
	// Their time is not among that of calls, where it would look like slowness.
	for start := time.Now(); w.services.WaitsInFlight() > 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			c.t.Fatal("a wait does not end")
		}
	}
	c.want(w.Metrics, 2, "backupstorage_wait_duration_seconds", "grpc_method", "WaitBackupRestore")
	families, err := w.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				lasting := regexp.MustCompile("^(Wait|Watch|Stream)").MatchString(label.GetValue())
				if label.GetName() == "grpc_method" && metric.Histogram != nil && lasting != (family.GetName() == "backupstorage_wait_duration_seconds") {
					c.t.Errorf("%s has the time of %s", family.GetName(), label.GetValue())
				}
			}
		}
	}
}

// shed checks the calls that find no room.
func shed(c *checker) {
	w := start(c.t, func(o *service.Options) { o.MaxCalls = 1 })
	entered, release := make(chan struct{}), make(chan struct{})
	w.upstream(func(rw http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		enabled(rw, r)
	})
	var under sync.WaitGroup
	under.Go(func() {
		if err := w.get(c.t, tenant); err != nil {
			c.t.Error(err)
		}
	})
	<-entered
	if err := w.get(c.t, tenant); !strings.Contains(status.Convert(err).Proto().String(), "SERVER_OVERLOADED") {
		c.t.Errorf("the call without room: %v", err)
	}
	close(release)
	under.Wait()
	c.want(w.Metrics, 1, "backupstorage_calls_shed_total", "why", "all-calls")
	c.want(w.Metrics, 0, "backupstorage_calls_shed_total", "why", "tenant-share")
	c.want(w.Metrics, 1, "backupstorage_errors_total", "reason", "SERVER_OVERLOADED", "fault", "server")
}

// denied checks the calls that were refused for who calls. service tests what observers are told of them.
func denied(c *checker) {
	m := metrics.New(metrics.Build{}, metrics.Other)
	for _, call := range []service.CallInfo{
		{Code: codes.Unauthenticated, Reason: "CALLER_UNAUTHENTICATED", Denied: "expired"},
		{Code: codes.PermissionDenied, Reason: "CALLER_NOT_ALLOWED", Denied: "expired"},
		{Code: codes.PermissionDenied, Reason: "CALLER_NOT_ALLOWED", Denied: "effect"},
		{Code: codes.PermissionDenied, Reason: "CALLER_NOT_ALLOWED", Denied: "canary"},
	} {
		m.CallEnded(call)
	}
	c.want(m, 1, "backupstorage_unauthenticated_total", "why", "expired")
	c.want(m, 0, "backupstorage_unauthenticated_total", "why", "no-credential")
	c.want(m, 1, "backupstorage_denied_total", "why", "expired")
	c.want(m, 1, "backupstorage_denied_total", "why", "effect")
}

// sources are those of the server, and numbers for what others count.
func sources(w *watched) metrics.Sources {
	return metrics.Sources{
		CallsInFlight: w.services.CallsInFlight,
		WaitsInFlight: w.services.WaitsInFlight, Watched: func() int { return w.services.Polls().Watched },
		Polls:       func() uint64 { return w.services.Polls().Polls },
		HeldBytes:   func() int64 { return 7 },
		Connections: w.listener.Connections, ConnectionsRefused: w.listener.Refused, ConnectionsCut: w.listener.Cut,
		Throttled:    w.graph.Throttled,
		UnknownCodes: w.services.UnknownCodes, UnreadValues: w.services.UnreadValues, UnknownMembers: w.services.UnknownMembers,
		KeyedCalls:   w.services.KeyedCalls,
		DroppedLines: func() uint64 { return 5 },
		DroppedSpans: func() uint64 { return 6 },
		Reloads: func() map[metrics.Reload]uint64 {
			// The second one could be a path: it is no constant of ours.
			return map[metrics.Reload]uint64{{What: "tls", OK: true}: 2, {What: "/etc/canary"}: 3}
		},
		CertificateExpiry: func() map[metrics.Certificate]time.Time {
			// The first one is none that the program names.
			all := map[metrics.Certificate]time.Time{"canary": time.Unix(2000, 0)}
			for _, which := range metrics.Certificates {
				all[which] = time.Unix(3000, 0)
			}
			all[metrics.CertificateServer] = time.Unix(1000, 0)
			return all
		},
		InboundBytes:      func() int64 { return 8 },
		ConnectionsPaused: func() uint64 { return 3 },
		RedisUp:           func() bool { return true },
		RedisCommands:     func() map[string]uint64 { return map[string]uint64{"ok": 9, "timeout": 2} },
		RedisTook:         func() time.Duration { return 1500 * time.Millisecond },
		ThrottleSlots:     func() uint64 { return 4 },
		AuditFailures:     func() uint64 { return 1 },
		AuditSuppressed:   func() uint64 { return 2 },
	}
}

// Connections over a limit are closed and counted.
func TestConnectionsOverTheLimitAreCounted(t *testing.T) {
	w := start(t, func(o *service.Options) {
		o.Connections = service.ConnectionLimits{Connections: 1, ConnectionsPerPeer: 1}
	})
	w.Watch(metrics.Sources{ConnectionsRefused: w.listener.Refused})
	if err := w.get(t, tenant); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server closes it without a word.
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the second connection was served")
	}
	if got := value(t, w.Metrics, "backupstorage_connections_refused_total"); got != 1 {
		t.Errorf("%v connections were refused, want 1", got)
	}
}

// A family whose source is nil does not exist.
func TestNoSourceNoFamily(t *testing.T) {
	m := metrics.New(metrics.Build{}, metrics.Emulator)
	m.Watch(metrics.Sources{})
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if name := family.GetName(); strings.Contains(name, "audit") || strings.Contains(name, "redis") || strings.Contains(name, "in_flight") {
			t.Errorf("%s is there", name)
		}
	}
}
