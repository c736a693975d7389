package redis

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a client, which is up when the test needs it.
func open(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func openUp(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Patience == 0 {
		// The machine may be busy.
		o.Patience = 5 * time.Second
	}
	c := open(t, o)
	redistest.Eventually(t, "Redis is up", c.Up)
	return c
}

func TestURLs(t *testing.T) {
	for url, wrong := range map[string]string{
		"redis://localhost":                            "",
		"rediss://redis.example.com:6380/3":            "",
		"unix:///run/redis.sock":                       "",
		"redis://s1:26379?master_name=m&addr=s2:26379": "",
		"":                                    "it must be redis://",
		"http://localhost":                    "it must be redis://",
		"redis://":                            "no host",
		"redis://:secret@localhost":           "no user and no password",
		"redis://user@localhost":              "no user and no password",
		"redis://localhost?read_timeout=5s":   `option "read_timeout"`,
		"redis://localhost?skip_verify=true":  `option "skip_verify"`,
		"redis://s1?master_name=m&password=x": `option "password"`,
		"redis://s1?addr=s2:1":                "no master_name",
		"redis://localhost/x":                 "cannot be read",
	} {
		err := CheckURL(url)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s: %v, want %q", url, err, wrong)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the secret: %v", url, err)
		}
	}
}

var add = NewScript("add", `return redis.call("incrby", KEYS[1], ARGV[1])`)

// A Redis that does not know a script gets its text, and those that forget it get it again.
func TestScriptsRun(t *testing.T) {
	server := miniredis.RunT(t)
	c := openUp(t, Options{URL: "redis://" + server.Addr(), Namespace: []string{"graph", "application"}})
	for want := int64(1); want <= 3; want++ {
		if want == 3 {
			if _, err := c.Do(t.Context(), "script", "flush"); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.Run(t.Context(), add, []string{c.Key("n")}, 1); err != nil || got != want {
			t.Fatalf("got %v and %v, want %d", got, err, want)
		}
	}
	if got, err := server.Get("graph:application:n"); err != nil || got != "3" {
		t.Fatalf("the key with its namespace has %q, %v", got, err)
	}
	if got, err := c.Do(t.Context(), "get", c.Key("nothing")); got != nil || err != nil {
		t.Errorf("a value that is not there: %v, %v", got, err)
	}
}

// commands counts what the observer is told.
type commands struct {
	mu   sync.Mutex
	seen map[string]int
}

func (o *commands) RedisCommand(name string, _ time.Duration, cause Cause) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = make(map[string]int)
	}
	o.seen[name+" "+string(cause)]++
}

func (o *commands) count(name string, cause Cause) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[name+" "+string(cause)]
}

// After three failures nothing is sent, and a call pays nothing, until the goroutine has found Redis again.
func TestRedisGoesDownAndComesBack(t *testing.T) {
	server := miniredis.RunT(t)
	seen := new(commands)
	c := openUp(t, Options{URL: "redis://" + server.Addr(), Observer: seen})
	ups := make(chan struct{}, 2)
	c.OnUp(func() { ups <- struct{}{} })
	<-ups
	server.Close()
	for range failuresInARow {
		if _, err := c.Run(t.Context(), add, []string{"n"}, 1); CauseOf(err) != CauseUnreachable && CauseOf(err) != CauseClosed {
			t.Fatalf("a Redis that is gone: %v", err)
		}
	}
	if _, err := c.Run(t.Context(), add, []string{"n"}, 1); CauseOf(err) != CauseDown {
		t.Fatalf("a Redis that is down: %v", err)
	}
	if n := seen.count("add", CauseDown); n != 1 {
		t.Errorf("the observer was told of %d commands that were not sent, want 1", n)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	<-ups
	if got, err := c.Run(t.Context(), add, []string{"n"}, 1); err != nil || got != int64(1) {
		t.Errorf("a Redis that is back: %v, %v", got, err)
	}
}

// A caller that gives up says nothing about Redis.
func TestCallersThatGiveUp(t *testing.T) {
	server := miniredis.RunT(t)
	c := openUp(t, Options{URL: "redis://" + server.Addr()})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * failuresInARow {
		if _, err := c.Run(gone, add, []string{"n"}, 1); CauseOf(err) != CauseCanceled {
			t.Fatalf("a caller that gave up: %v", err)
		}
	}
	if !c.Up() {
		t.Error("Redis counts as down")
	}
}

// What is published while the connection is lost is lost; subscribed says so.
func TestSubscriptionsComeBack(t *testing.T) {
	server := miniredis.RunT(t)
	c := openUp(t, Options{URL: "redis://" + server.Addr(), Namespace: []string{"a"}})
	begun, messages := make(chan struct{}, 1), make(chan string, 1)
	defer c.Subscribe(c.Key("news"), func(text string) { messages <- text }, func() { begun <- struct{}{} })()
	for _, text := range []string{"one", "two"} {
		<-begun
		redistest.Eventually(t, "Redis is up", func() bool { return c.Publish(t.Context(), c.Key("news"), text) == nil })
		if got := <-messages; got != text {
			t.Fatalf("got %q, want %q", got, text)
		}
		server.Close()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFactsOfINFO(t *testing.T) {
	f := readFacts("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n")
	want := Facts{Known: true, Version: "7.0.15", RunID: "abc", Role: "master", MaxMemoryPolicy: "noeviction", MaxMemory: 100, Replicas: 2}
	if f != want || f.fit() != nil {
		t.Errorf("got %+v, %v", f, f.fit())
	}
	for info, want := range map[string]Cause{"redis_version:6.2.1": CauseVersion, "redis_version:7.0.0\r\nrole:slave": CauseReadOnly} {
		f := readFacts(info)
		if got := classify(f.fit()); got != want {
			t.Errorf("%q: %s, want %s", info, got, want)
		}
	}
}
