//go:build live

package prometheus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// The tenants, each with a trouble of its own.
var (
	well, throttled, unreachable, noConsent, newCodes = tenant(0), tenant(1), tenant(2), tenant(3), tenant(4)
	failing, slow, lost, application, stranger        = tenant(5), tenant(6), tenant(7), tenant(8), tenant(9)
	// customers are those for whom the operator may call. No token is cached of the last ones.
	customers = append([]string{well, throttled, unreachable, noConsent, newCodes, failing, slow, lost, application}, newTenants()...)
)

func tenant(n int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-9000-%012x", n) }

// firstNew is the number of the first tenant that nobody calls for before the token authority is down.
const firstNew = 100

func newTenants() (all []string) {
	for n := range 20 {
		all = append(all, tenant(firstNew+n))
	}
	return all
}

const goodRights = `version: 1
tenantSets:
  customers: {file: tenants.txt}
callers:
  - {principal: spiffe://live.example/operator, tenants: [set:customers], role: operator}
`

// limit is how long all of it may take.
const limit = 230 * time.Second

// trouble is something that goes wrong, and the alerts that say so.
type trouble struct {
	name   string
	alerts []string
	// begin makes it go wrong, and end makes it right again. calls are made every interval in between, and with
	// untilResolved as long as the alerts fire: only a call finds out that a throttle is over.
	begin, end    func()
	every         time.Duration
	calls         func(ctx context.Context)
	untilResolved bool
	// seen is called when all alerts have fired.
	seen func()
}

// play lets a trouble last until its alerts have fired, and waits until they have resolved.
func (w *watcher) play(t *testing.T, one trouble) {
	if one.begin != nil {
		one.begin()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	if one.calls != nil {
		calling.Go(func() { repeat(ctx, one.every, one.calls) })
	}
	if fired := until(w.left(), func() bool { return w.haveFired(one.alerts...) }); fired && one.seen != nil {
		one.seen()
	}
	if !one.untilResolved {
		cancel()
		calling.Wait()
	}
	if one.end != nil {
		one.end()
	}
	until(w.left(), func() bool { return w.haveResolved(one.alerts...) })
	cancel()
	calling.Wait()
}

// repeat makes calls, each at its time, however long the ones before it take.
func repeat(ctx context.Context, every time.Duration, call func(context.Context)) {
	var under sync.WaitGroup
	defer under.Wait()
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			under.Go(func() { call(ctx) })
		}
	}
}

// stage is three replicas, of which b is the one that is replaced.
type stage struct {
	t            *testing.T
	around       *surroundings
	a, b, c      *replica
	server       string
	watch        *watcher
	toA, toC     *grpc.ClientConn
	nobody       *grpc.ClientConn
	serverFlagsC []string
}

// status reads the state of a tenant, create makes a policy. How they end is seen in the metrics.
func status(ctx context.Context, to grpc.ClientConnInterface, tenant string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = pb.NewBackupRestoreServiceClient(to).GetBackupRestore(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant), new(pb.GetBackupRestoreRequest))
}

func create(ctx context.Context, to grpc.ClientConnInterface, tenant string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = pb.NewProtectionPolicyServiceClient(to).CreateExchangeProtectionPolicy(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant),
		&pb.CreateExchangeProtectionPolicyRequest{DisplayName: "live"})
}

func createWithKey(ctx context.Context, to grpc.ClientConnInterface, tenant string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	key := uuid.NewString()
	_, _ = pb.NewProtectionPolicyServiceClient(to).CreateExchangeProtectionPolicy(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant),
		&pb.CreateExchangeProtectionPolicyRequest{DisplayName: "live", IdempotencyKey: &key})
}

// fault makes Graph do something to a tenant, and returns the function that ends it.
func (s *stage) fault(f emulator.Fault) (begin, end func()) {
	return func() {
			if _, err := s.around.graph.AddFault(f); err != nil {
				s.t.Error(err)
			}
		}, func() {
			s.around.graph.RemoveFault(f.ID)
		}
}

const (
	read  = "GET /"
	write = "POST /exchangeProtectionPolicies"
)

// TestEachAlertFiresAndResolves makes everything go wrong that an alert is for, on three replicas with the flags of
// production, and holds what a real Prometheus says against the list of the alerts.
func TestEachAlertFiresAndResolves(t *testing.T) {
	all := readRules(t)
	names := all.names()
	// A judge that finds no fault has to be seen finding some: one alert whose label is wrong, and one that never ends.
	planted := group{Name: "planted", Rules: []rule{
		{Alert: "PlantedWrongLabel", Expr: `sum(increase(backupstorage_audit_failures_total{why="nobody"}[5m])) > 0`, For: "1m"},
		{Alert: "PlantedForEver", Expr: `vector(1)`, For: "1m"},
	}}
	all.Groups = append(all.Groups, planted)

	w := newSurroundings(t)
	for _, id := range customers {
		if err := w.graph.Seed(emulator.Seed{Tenant: id, ServiceStatus: "enabled"}); err != nil {
			t.Fatal(err)
		}
	}
	w.tokens.Handle(func(r authoritytest.Request) authoritytest.Answer {
		if r.Tenant == noConsent {
			return authoritytest.Answer{Status: 400, Code: "invalid_grant", Numbers: []int{65001}}
		}
		return authoritytest.Answer{}
	})
	s := &stage{t: t, around: w, server: build(t, w.at("server")), a: newReplica(t, w, "a"), b: newReplica(t, w, "b"), c: newReplica(t, w, "c")}
	other := build(t, w.at("other"), "-ldflags", "-X main.version=v0.0.1")
	s.watch = startPrometheus(t, w, all.fast(), []string{s.a.admin, s.b.admin, s.c.admin})
	s.begin(names)
	var playing sync.WaitGroup
	for _, one := range s.troubles(other) {
		playing.Go(func() { s.watch.play(t, one) })
	}
	stop := s.baseline()
	playing.Wait()
	s.dashboard()
	stop()

	for _, name := range names {
		t.Log(s.watch.when(name))
	}
	for _, fault := range s.watch.verdict(names) {
		t.Error(fault)
	}
	want := []string{"PlantedWrongLabel never fired", "PlantedForEver never resolved"}
	if got := s.watch.verdict([]string{"PlantedWrongLabel", "PlantedForEver"}); !slices.Equal(got, want) {
		t.Errorf("planted faults: %q, want %q", got, want)
	}
}

// begin starts the replicas after Prometheus, so that at first nobody is there, and shows that no alert is about a
// server that is well.
func (s *stage) begin(names []string) {
	t := s.t
	t.Helper()
	down := []string{"BackupStorageGone", "BackupStorageReplicaDown"}
	if !until(time.Minute, func() bool { return s.watch.haveFired(down...) }) {
		t.Fatalf("without any replica: %q", s.watch.verdict(down))
	}
	normal := s.around.upstreamFlags()
	s.serverFlagsC = []string{"--max-calls", "16", "--max-connections", "60", "--max-connections-per-peer", "60"}
	s.a.start(t, s.server, slices.Concat(s.a.servingFlags(), normal, []string{"--redis-url", "redis://" + s.around.redis.Addr()})...)
	s.b.start(t, s.server, slices.Concat(s.b.servingFlags(), normal)...)
	s.c.start(t, s.server, slices.Concat(s.c.servingFlags(), normal, s.serverFlagsC)...)
	operator := s.around.operator(t)
	s.toA, s.toC = s.a.connect(t, operator), s.c.connect(t, operator)
	s.nobody = s.a.connect(t, &tls.Config{RootCAs: s.around.ca.pool})
	if !until(time.Minute, func() bool { return s.watch.haveResolved(down...) }) {
		t.Fatalf("with all replicas: %q", s.watch.verdict(down))
	}
	stop := s.baseline()
	defer stop()
	// Two evaluations, and the scrapes before them.
	calm := time.Now()
	until(5*time.Second, func() bool { return time.Since(calm) > 4*time.Second })
	for _, name := range s.watch.now() {
		if slices.Contains(names, name) {
			t.Errorf("%s is pending or fires while all is well", name)
		}
	}
}

// baseline makes calls that are well.
func (s *stage) baseline() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var calling sync.WaitGroup
	calling.Go(func() {
		repeat(ctx, 150*time.Millisecond, func(ctx context.Context) { status(ctx, s.toA, well); status(ctx, s.toC, well) })
	})
	return func() { cancel(); calling.Wait() }
}

// troubles are all that go wrong while replicas run.
func (s *stage) troubles(other string) []trouble {
	t, w := s.t, s.around
	all := s.troublesOfGraph()
	all = append(all, s.troublesOfCallers()...)
	var newTenant, unread atomic.Int64
	return append(all, trouble{
		name: "a replica is replaced by one of another version, and that is on the emulator", alerts: []string{"BackupStorageTwoVersions", "BackupStorageEmulatorInProduction"},
		begin: func() { s.b.stop(t); s.b.start(t, other, s.b.servingFlags()...) },
		end:   func() { s.b.stop(t); s.b.start(t, s.server, slices.Concat(s.b.servingFlags(), w.upstreamFlags())...) },
	}, trouble{
		name: "the token authority is down", alerts: []string{"BackupStorageTokensFail"}, every: 500 * time.Millisecond,
		begin: func() { w.authorityDown.Store(true) }, end: func() { w.authorityDown.Store(false) },
		calls: func(ctx context.Context) {
			status(ctx, s.toA, tenant(firstNew+int(newTenant.Add(1)%20)))
		},
	}, trouble{
		name: "Redis is down", alerts: []string{"BackupStorageRedisDown"},
		begin: w.redis.Close,
		end: func() {
			if err := w.redis.Restart(); err != nil {
				t.Error(err)
			}
		},
	}, trouble{
		// The Redis of this test does not say whether it evicts.
		name: "a Redis that may forget keys", alerts: []string{"BackupStorageKeysRefused"}, every: 300 * time.Millisecond,
		calls: func(ctx context.Context) { createWithKey(ctx, s.toA, well) },
	}, trouble{
		name: "a certificate is near its end", alerts: []string{"BackupStorageCertificateExpiresSoon", "BackupStorageCertificateExpiresNow"},
		begin: func() { w.certify(t, 24*time.Hour) }, end: func() { w.certify(t, 90*24*time.Hour) },
	}, trouble{
		name: "a rights file that cannot be read", alerts: []string{"BackupStorageReloadFails"},
		begin: func() { w.write(t, s.a.rights(), []byte("version: 1\ncallers: nobody\n")) }, end: func() { w.write(t, s.a.rights(), []byte(goodRights)) },
	}, trouble{
		name: "the audit file is on a full disk", alerts: []string{"BackupStorageAuditFails"}, every: 300 * time.Millisecond,
		begin: func() { s.fullAudit() }, end: func() { s.roomForAudit() },
		calls: func(ctx context.Context) { create(ctx, s.toA, well) },
	}, trouble{
		name: "nobody reads the log", alerts: []string{"BackupStorageLogDropped"}, every: 5 * time.Millisecond,
		begin: s.a.unread.Lock, end: s.a.unread.Unlock,
		calls: func(ctx context.Context) {
			// Until the queue of lines is full; then a few calls are enough.
			if n := unread.Add(1); n < 2000 || n%50 == 0 {
				status(ctx, s.nobody, well)
			}
		},
	})
}

func (s *stage) troublesOfGraph() []trouble {
	var all []trouble
	add := func(f emulator.Fault, every time.Duration, calls func(context.Context), seen func(), alerts ...string) {
		f.ID = alerts[0]
		begin, end := s.fault(f)
		all = append(all, trouble{name: f.ID, alerts: alerts, begin: begin, end: end, every: every, calls: calls, seen: seen, untilResolved: f.Status == 429})
	}
	reads := func(to grpc.ClientConnInterface, tenant string) func(context.Context) {
		return func(ctx context.Context) { status(ctx, to, tenant) }
	}
	writes := func(to grpc.ClientConnInterface, tenant string) func(context.Context) {
		return func(ctx context.Context) { create(ctx, to, tenant) }
	}
	wait := []string{"5"}
	add(emulator.Fault{Operation: read, Tenant: throttled, Status: 429, RetryAfter: wait}, time.Second, reads(s.toA, throttled),
		func() { s.twoSteps("blocked", throttled, "TOO_MANY_REQUESTS") }, "BackupStorageTenantsThrottled")
	add(emulator.Fault{
		Operation: write, Tenant: application, Status: 429, RetryAfter: wait, Headers: map[string]string{"x-ms-throttle-scope": "Application/Write/a/b"},
	}, time.Second, writes(s.toA, application), nil, "BackupStorageApplicationThrottled")
	add(emulator.Fault{Operation: read, Tenant: unreachable, Cut: "before"}, 500*time.Millisecond, reads(s.toA, unreachable), nil, "BackupStorageGraphUnreachable")
	add(emulator.Fault{Operation: read, Tenant: failing, Status: 500}, 30*time.Millisecond, reads(s.toA, failing), nil, "BackupStorageGraphFails")
	add(emulator.Fault{Operation: read, Tenant: newCodes, Status: 400, Code: "codeOfTomorrow"}, time.Second, reads(s.toA, newCodes), nil, "BackupStorageUnknownGraphCodes")
	add(emulator.Fault{Operation: write, Tenant: lost, Cut: "after"}, 500*time.Millisecond, writes(s.toC, lost), nil, "BackupStorageOutcomesUnknown")
	add(emulator.Fault{Operation: read, Tenant: slow, Delay: emulator.Duration(2 * time.Second)}, 60*time.Millisecond, reads(s.toC, slow), nil,
		"BackupStorageOverloaded", "BackupStorageErrorBudgetBurnsFast", "BackupStorageErrorBudgetBurnsSlowly")
	return append(all, trouble{
		name: "a tenant has not consented", alerts: []string{"BackupStorageTenantTokensFail"}, every: 500 * time.Millisecond, calls: reads(s.toA, noConsent),
		seen: func() { s.twoSteps("errors", noConsent, "consent-missing") },
	})
}

func (s *stage) troublesOfCallers() []trouble {
	return []trouble{{
		name: "callers without a credential", alerts: []string{"BackupStorageCallersUnauthenticated"}, every: 300 * time.Millisecond,
		calls: func(ctx context.Context) { status(ctx, s.nobody, well) },
	}, {
		name: "a caller asks for a tenant of others", alerts: []string{"BackupStorageCallersDenied"}, every: 300 * time.Millisecond,
		calls: func(ctx context.Context) { status(ctx, s.toA, stranger) },
	}, {
		name: "too many connections", alerts: []string{"BackupStorageConnectionsRefused"}, every: 50 * time.Millisecond,
		// Each stays for as long as the server waits for a handshake.
		calls: func(ctx context.Context) { s.c.occupy(ctx, 8*time.Second) },
	}}
}

// fullAudit puts the audit file of a where there is no room, as a rotation would put a file in its place.
func (s *stage) fullAudit() {
	if err := errors.Join(os.Rename(s.a.audit(), s.a.audit()+".1"), os.Symlink("/dev/full", s.a.audit()), s.a.process.Process.Signal(syscall.SIGHUP)); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) roomForAudit() {
	if err := errors.Join(os.Remove(s.a.audit()), os.Rename(s.a.audit()+".1", s.a.audit()), s.a.process.Process.Signal(syscall.SIGHUP)); err != nil {
		s.t.Error(err)
	}
}

// guide says how an operator finds the tenant. The script does just that.
const guide = "../../docs/operations-guide.md"

// twoSteps goes from an alert to the tenant: the page of the admin port has it first in an order, and the check of it
// says what is wrong.
func (s *stage) twoSteps(order, id, says string) {
	t := s.t
	page, err := os.ReadFile(guide)
	if err != nil {
		t.Error(err)
		return
	}
	for _, step := range []string{"/tenants?sort=" + order, "server check TENANT"} {
		if !strings.Contains(string(page), step) {
			t.Errorf("the guide does not have the step %q", step)
		}
	}
	text, err := get(s.a.admin, "/tenants?sort="+order)
	if err != nil {
		t.Error(err)
		return
	}
	lines := strings.Split(text, "\n")
	row := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, id) })
	if row < 1 || row > 10 {
		t.Errorf("%s is not among the first ten of /tenants?sort=%s:\n%s", id, order, text)
		return
	}
	check := exec.Command(s.server, append([]string{"check", id}, s.around.upstreamFlags()...)...)
	check.Env = s.around.environment()
	out, err := check.CombinedOutput()
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok || failed.ExitCode() != 2 || !strings.Contains(string(out), says) {
		t.Errorf("the check of %s: %v, %s", id, err, out)
		return
	}
	t.Logf("from the alert to the tenant: %s; %s", strings.Join(strings.Fields(lines[row]), " "), strings.TrimSpace(string(out)))
}

// dashboard shows that each expression of the dashboard has data.
func (s *stage) dashboard() {
	panels := readDashboard(s.t)
	for _, p := range panels {
		if n, err := s.watch.query(p.expression); err != nil || n == 0 {
			s.t.Errorf("the dashboard's %s has no data: %v, %s", p.title, err, p.expression)
		}
	}
	s.t.Logf("%d expressions of the dashboard have data", len(panels))
}
