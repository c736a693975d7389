//go:build redis

package sharedthrottle

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/internal/redis"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

var long = flag.Bool("long", false, "the throttle of three replicas: run the proof in full length, on a quiet machine")

func TestRecordsOnARealRedis(t *testing.T) { rulesOfRecords(t, redistest.Start(t).URL()) }

// upstream counts what reaches it, and throttles when the test says so.
type upstream struct {
	mu      sync.Mutex
	count   int
	respond func() (status int, retryAfter string)
	url     string
}

func newUpstream(t *testing.T) *upstream {
	u := new(upstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.count++
		status, retryAfter := http.StatusOK, ""
		if u.respond != nil {
			status, retryAfter = u.respond()
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"value":[]}`))
	}))
	t.Cleanup(server.Close)
	u.url = server.URL + "/v1.0"
	return u
}

// throttle makes the upstream throttle once, or with an empty text never.
func (u *upstream) throttle(retryAfter string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.respond = func() (int, string) {
		u.respond = nil
		return http.StatusTooManyRequests, retryAfter
	}
}

func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}

// replica is a Graph client that shares its throttles.
func replica(t *testing.T, endpoint string, o redis.Options) *graph.Client {
	t.Helper()
	client, _ := replicaOf(t, endpoint, o)
	return client
}

func replicaOf(t *testing.T, endpoint string, o redis.Options) (*graph.Client, *redis.Client) {
	t.Helper()
	o.Namespace = []string{"graph.example", "application-id"}
	connection, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: graph.Unsigned{}, UserAgent: "ISV|test|graph/1", Repeats: -1, Shared: New(connection)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, connection
}

func read(ctx context.Context, client *graph.Client) error {
	return readOf(ctx, client, tenant)
}

func readOf(ctx context.Context, client *graph.Client, tenant string) error {
	_, err := client.Do(ctx, &graph.Request{Method: http.MethodGet, Target: graph.Root + "/protectionPolicies", Tenant: tenant, Safe: true})
	return err
}

// While nobody is throttled, no command reaches Redis: its own MONITOR says so. A throttle response then blocks both
// replicas, and nothing of another tenant.
func TestNothingIsSentToRedisWithoutAThrottle(t *testing.T) {
	server, u := redistest.Start(t), newUpstream(t)
	clients := []*graph.Client{replica(t, u.url, redis.Options{URL: server.URL()}), replica(t, u.url, redis.Options{URL: server.URL()})}
	redistest.Eventually(t, "both listen", func() bool {
		list, _ := server.Do("pubsub", "numsub", "graph.example:application-id:throttle").([]any)
		return len(list) == 2 && list[1] == int64(2)
	})
	quiet := server.Monitor()
	// The commands of the start are over when none came for a while.
	began, since := 0, time.Now()
	redistest.Eventually(t, "both have begun", func() bool {
		if n := len(quiet.Lines()); n != began {
			began, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
	for range 200 {
		for _, client := range clients {
			if err := read(t.Context(), client); err != nil {
				t.Fatal(err)
			}
		}
	}
	server.Do("echo", "the end")
	redistest.Eventually(t, "MONITOR is there", func() bool {
		lines := quiet.Lines()
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], "the end")
	})
	if lines := quiet.Lines()[began:]; len(lines) != 1 {
		t.Errorf("commands reached Redis: %q", lines)
	}
	u.throttle("30")
	if read(t.Context(), clients[0]) == nil {
		t.Fatal("the throttle response was no error")
	}
	redistest.Eventually(t, "the other replica is blocked", func() bool { return clients[1].BlockedFor(tenant) > 25*time.Second })
	before := u.requests()
	if err := read(t.Context(), clients[1]); err == nil || u.requests() != before {
		t.Errorf("a request of the other replica went out: %v", err)
	}
}

// outage is one way in which Redis fails.
type outage struct {
	name string
	// begin spoils Redis, and end mends it.
	begin, end func(*redistest.Server)
}

// Each way in which Redis can fail: a request waits for it at most 20 ms until it counts as down, and then not at all.
// What is blocked stays blocked, and when Redis is back, both replicas know what one found out meanwhile.
func TestRedisFails(t *testing.T) {
	for _, o := range []outage{
		{"refused", (*redistest.Server).Kill, (*redistest.Server).Restart},
		{"hanging", (*redistest.Server).Freeze, (*redistest.Server).Thaw},
		{"a read-only replica", func(s *redistest.Server) { s.Do("replicaof", "127.0.0.1", "1") }, func(s *redistest.Server) { s.Do("replicaof", "no", "one") }},
		{"another password", func(s *redistest.Server) {
			s.Do("config", "set", "requirepass", "another")
			s.Do("client", "kill", "type", "normal", "skipme", "yes")
		}, func(s *redistest.Server) { s.Do("config", "set", "requirepass", "") }},
		{"out of memory", func(s *redistest.Server) { s.Do("config", "set", "maxmemory", "1") }, func(s *redistest.Server) { s.Do("config", "set", "maxmemory", "0") }},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			server, u := redistest.Start(t), newUpstream(t)
			options := redis.Options{URL: server.URL()}
			var clients []*graph.Client
			var connections []*redis.Client
			for range 2 {
				client, connection := replicaOf(t, u.url, options)
				clients, connections = append(clients, client), append(connections, connection)
			}
			// Both are paced, so that each request needs a slot.
			pace(t, u, clients)
			o.begin(server)
			most, down := time.Duration(0), time.Duration(0)
			// A request in 600 ms finds a slot that is free: it waits for Redis alone.
			apart := time.NewTicker(600 * time.Millisecond)
			defer apart.Stop()
			for range 8 {
				<-apart.C
				wasUp := connections[0].Up()
				began := time.Now()
				if err := read(t.Context(), clients[0]); err != nil {
					t.Fatalf("a request fails because of Redis: %v", err)
				}
				if took := time.Since(began); wasUp {
					most = max(most, took)
				} else {
					down = max(down, took)
				}
			}
			t.Logf("figure: %s: a request takes at most %v while Redis goes down, %v afterwards", o.name, most.Round(time.Millisecond), down.Round(time.Millisecond))
			// A busy machine may add as much again.
			if most > 60*time.Millisecond || down > 40*time.Millisecond {
				t.Errorf("a request took %v, and %v when Redis was down", most, down)
			}
			u.throttle("20")
			redistest.Eventually(t, "a throttle response", func() bool {
				return read(t.Context(), clients[0]) != nil && clients[0].BlockedFor(tenant) > 15*time.Second
			})
			began := time.Now()
			if err := read(t.Context(), clients[0]); err == nil || time.Since(began) > 20*time.Millisecond {
				t.Errorf("what is blocked: %v after %v", err, time.Since(began))
			}
			o.end(server)
			redistest.Eventually(t, "the other replica is blocked, too", func() bool { return clients[1].BlockedFor(tenant) > 5*time.Second })
		})
	}
}

// pace throttles the tenant and opens it again, so that both replicas are paced.
func pace(t *testing.T, u *upstream, clients []*graph.Client) {
	t.Helper()
	u.throttle("1")
	_ = read(t.Context(), clients[0])
	redistest.Eventually(t, "both replicas are blocked", func() bool { return clients[0].BlockedFor(tenant) > 0 && clients[1].BlockedFor(tenant) > 0 })
	for _, client := range clients {
		redistest.Eventually(t, "a replica is paced", func() bool {
			return client.BlockedFor(tenant) == 0 && read(t.Context(), client) == nil
		})
	}
}

// A Redis that is emptied gets what the replicas know.
func TestRedisIsEmptied(t *testing.T) {
	server, u := redistest.Start(t), newUpstream(t)
	clients := []*graph.Client{replica(t, u.url, redis.Options{URL: server.URL()}), replica(t, u.url, redis.Options{URL: server.URL()})}
	pace(t, u, clients)
	server.Do("flushall")
	redistest.Eventually(t, "a request goes on", func() bool { return read(t.Context(), clients[0]) == nil })
	redistest.Eventually(t, "the record is there again", func() bool {
		_ = read(t.Context(), clients[0])
		return server.Do("exists", "graph.example:application-id:throttle:"+tenant+":r") == int64(1)
	})
}

// TestThreeReplicasAtALimit has an emulator that allows 10 requests a second, and 300 calls a second at three replicas.
// It prints what gets through:
//
//	go test -tags redis ./internal/sharedthrottle -v -run ThreeReplicas -long | grep figure:
func TestThreeReplicasAtALimit(t *testing.T) {
	warm, measured := 5*time.Second, 20*time.Second
	if *long {
		warm, measured = 20*time.Second, 2*time.Minute
	}
	one := throughput(t, 1, warm, measured)
	three := throughput(t, 3, warm, measured)
	if *long && (three < one-5 || three > one+5) {
		t.Errorf("three replicas reach %.1f %% of the limit, one reaches %.1f %%", three, one)
	}
	if three < 50 {
		t.Errorf("three replicas reach %.1f %% of the limit", three)
	}
}

// throughput returns how much of a limit of 10 requests a second gets through.
func throughput(t *testing.T, replicas int, warm, measured time.Duration) (percent float64) {
	server := redistest.Start(t)
	e := emulator.New(emulator.Options{})
	if _, err := e.AddFault(emulator.Fault{Operation: "GET *", Throttle: &emulator.Throttle{Requests: 10, Window: emulator.Duration(time.Second), RetryAfter: emulator.Duration(time.Second)}}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var arrivals []time.Time
	var throttled int
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusOf{ResponseWriter: w}
		mu.Lock()
		arrivals = append(arrivals, time.Now())
		mu.Unlock()
		e.ServeHTTP(recorder, r)
		if recorder.status == http.StatusTooManyRequests {
			mu.Lock()
			throttled++
			mu.Unlock()
		}
	}))
	defer web.Close()
	monitor := server.Monitor()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range replicas {
		client := replica(t, web.URL+"/v1.0", redis.Options{URL: server.URL()})
		group.Go(func() {
			ticker := time.NewTicker(time.Second * time.Duration(replicas) / 300)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				group.Go(func() {
					within, end := context.WithTimeout(ctx, 30*time.Second)
					defer end()
					_ = read(within, client)
				})
			}
		})
	}
	time.Sleep(warm)
	mu.Lock()
	from, before := len(arrivals), throttled
	mu.Unlock()
	time.Sleep(measured)
	mu.Lock()
	window, refused := arrivals[from:], throttled-before
	mu.Unlock()
	cancel()
	group.Wait()
	percent = 100 * float64(len(window)-refused) / (10 * measured.Seconds())
	most := busiest(window, min(measured, time.Minute))
	opened, claimed := 0, 0
	for _, line := range monitor.Lines() {
		if strings.Contains(line, `"evalsha"`) && strings.Contains(line, `"claim"`) {
			claimed++
		}
		if strings.Contains(line, `"evalsha"`) && strings.Contains(line, `"open"`) {
			opened++
		}
	}
	t.Logf("figure: %d replicas: %.1f %% of the limit, %d of %d requests throttled, at most %d arrivals in %v, %d probes opened after %d claims, %d commands to Redis",
		replicas, percent, refused, len(window), most, min(measured, time.Minute), opened, claimed, len(monitor.Lines()))
	if float64(most) > 11*min(measured, time.Minute).Seconds() {
		t.Errorf("%d arrivals in %v", most, min(measured, time.Minute))
	}
	return percent
}

// TestTenThousandTenants has 10,000 tenants throttled at once, at one of two replicas, and prints what that takes:
//
//	go test -tags redis ./internal/sharedthrottle -v -run TenThousand | grep figure:
func TestTenThousandTenants(t *testing.T) {
	const tenants = 10_000
	server, u := redistest.Start(t), newUpstream(t)
	clients := []*graph.Client{replica(t, u.url, redis.Options{URL: server.URL()}), replica(t, u.url, redis.Options{URL: server.URL()})}
	redistest.Eventually(t, "both listen", func() bool {
		list, _ := server.Do("pubsub", "numsub", "graph.example:application-id:throttle").([]any)
		return len(list) == 2 && list[1] == int64(2)
	})
	u.mu.Lock()
	u.respond = func() (int, string) { return http.StatusTooManyRequests, "600" }
	u.mu.Unlock()
	heap := func() uint64 {
		clients[0].CloseIdleConnections()
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	used := func() (n int64) {
		for line := range strings.Lines(fmt.Sprint(server.Do("info", "memory"))) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
				n, _ = strconv.ParseInt(text, 10, 64)
			}
		}
		return n
	}
	if err := read(t.Context(), clients[0]); err == nil {
		t.Fatal("nobody is throttled")
	}
	heapBefore, usedBefore := heap(), used()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := worker; i < tenants-1; i += 8 {
				_ = readOf(t.Context(), clients[0], fmt.Sprintf("aaaaaaaa-0000-4000-9000-%012x", i))
			}
		})
	}
	group.Wait()
	redistest.Eventually(t, "both replicas know all of them", func() bool {
		return clients[0].Throttled().TenantReads == tenants && clients[1].Throttled().TenantReads == tenants
	})
	heapAfter, usedAfter := heap(), used()
	t.Logf("figure: 10,000 tenants throttled: %.1f MB in each replica, %.1f MB in Redis",
		float64(heapAfter-heapBefore)/2e6, float64(usedAfter-usedBefore)/1e6)
	if heapAfter-heapBefore > 80e6 || usedAfter-usedBefore > 20e6 {
		t.Errorf("%d bytes in two replicas, %d in Redis", heapAfter-heapBefore, usedAfter-usedBefore)
	}
	runtime.KeepAlive(clients)
}

// statusOf remembers the status of a response.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// busiest is the largest number of arrivals in a window.
func busiest(at []time.Time, window time.Duration) (most int) {
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
