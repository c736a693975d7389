//go:build redis

package redisstore_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/internal/idempotency/redisstore"
	"github.com/m365backup/backupstorage/internal/redis"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

var request = [32]byte{1}

// replica is a server's connection to Redis, and its keys.
func replica(tb testing.TB, url string, o redisstore.Options) *idempotency.Keys {
	tb.Helper()
	return idempotency.New(store(tb, url, o))
}

func store(tb testing.TB, url string, o redisstore.Options) *redisstore.Store {
	tb.Helper()
	client, err := redis.Open(redis.Options{URL: url, Namespace: []string{"upstream", "app"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	redistest.Eventually(tb, "Redis is up", client.Up)
	s := redisstore.New(client, o)
	tb.Cleanup(s.Close)
	return s
}

func id(n int) idempotency.ID { return idempotency.NewID(idempotency.Scope{}, strconv.Itoa(n)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// ready has a store serve keys without looking: the time after its marker was written is over.
func ready(tb testing.TB, server *redistest.Server, k *idempotency.Keys) {
	tb.Helper()
	redistest.Eventually(tb, "keys are served", func() bool { return k.Begin(id(-1), request).Read(tb.Context()) == nil })
	age(tb, server)
}

// age makes the marker older than redisstore.LooksFor.
func age(tb testing.TB, server *redistest.Server) {
	tb.Helper()
	keys, ok := server.Do("keys", "*idempotency-marker").([]any)
	if !ok || len(keys) != 1 {
		tb.Fatalf("markers: %v", keys)
	}
	marker, _ := server.Do("get", keys[0]).(string)
	server.Do("set", keys[0], marker[:37]+"0000000000000"+marker[50:])
}

func send(tb testing.TB, k *idempotency.Keys, n int) (*idempotency.Write, error) {
	tb.Helper()
	w := k.Begin(id(n), request)
	_, err := w.Send(tb.Context(), time.Unix(1, 0))
	return w, err
}

func wantState(tb testing.TB, err error, want idempotency.State) {
	tb.Helper()
	if known, ok := errors.AsType[*idempotency.KnownError](err); !ok || known.Record.State != want {
		tb.Fatalf("%v, want %v", err, want)
	}
}

// What one replica of the server has done, the others know.
func TestReplicasShareRecords(t *testing.T) {
	server := redistest.Start(t)
	a, b := replica(t, server.URL(), redisstore.Options{}), replica(t, server.URL(), redisstore.Options{})
	ready(t, server, a)
	first, err := send(t, a, 1)
	must(t, err)
	if _, err := send(t, b, 1); !errors.Is(err, idempotency.ErrInUse) {
		t.Fatal(err)
	}
	must(t, first.Finish(t.Context(), "p", nil, id(100)))
	_, err = send(t, b, 1)
	wantState(t, err, idempotency.Done)
	if ttl, _ := server.Do("pttl", keyOf(t, server, 1)).(int64); time.Duration(ttl)*time.Millisecond < idempotency.Kept-time.Minute {
		t.Errorf("kept for %d ms", ttl)
	}
	second, err := send(t, b, 2)
	must(t, err)
	must(t, second.Release(t.Context()))
	_, err = send(t, a, 2)
	must(t, err)
	// Of many, one sends.
	var sent int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := send(t, []*idempotency.Keys{a, b}[i%2], 3); err == nil {
				mu.Lock()
				defer mu.Unlock()
				sent++
			}
		})
	}
	all.Wait()
	if sent != 1 {
		t.Errorf("%d sent", sent)
	}
}

func keyOf(tb testing.TB, server *redistest.Server, n int) any {
	tb.Helper()
	keys, _ := server.Do("keys", "*idempotency:"+id(n).String()).([]any)
	if len(keys) != 1 {
		tb.Fatalf("keys: %v", keys)
	}
	return keys[0]
}

// A Redis that lost everything gets the records of the replicas again, and a key that it does not know is looked for.
func TestALostRedisGetsItsRecordsAgain(t *testing.T) {
	for name, lose := range map[string]func(*redistest.Server){
		"FLUSHALL": func(s *redistest.Server) { s.Do("flushall") },
		"kill -9":  func(s *redistest.Server) { s.Kill(); s.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			a, b := replica(t, server.URL(), redisstore.Options{}), replica(t, server.URL(), redisstore.Options{})
			ready(t, server, a)
			done, err := send(t, a, 1)
			must(t, err)
			must(t, done.Finish(t.Context(), "p", nil, id(100)))
			_, err = send(t, b, 2)
			must(t, err)
			lose(server)
			redistest.Eventually(t, "the records are back", func() bool {
				errA := a.Begin(id(1), request).Read(t.Context())
				errB := b.Begin(id(2), request).Read(t.Context())
				return errors.As(errA, new(*idempotency.KnownError)) && errors.Is(errB, idempotency.ErrInUse)
			})
			_, err = send(t, b, 1)
			wantState(t, err, idempotency.Done)
			if _, err := send(t, a, 3); !errors.Is(err, idempotency.ErrLook) {
				t.Fatalf("a key that may be lost: %v", err)
			}
			age(t, server)
			_, err = send(t, a, 3)
			must(t, err)
		})
	}
}

// A server whose write is under way writes its record again although no other call asks it for anything: the servers
// that look meanwhile would not see the write.
func TestARecordIsBackBeforeOthersLook(t *testing.T) {
	server := redistest.Start(t)
	a, b := replica(t, server.URL(), redisstore.Options{}), replica(t, server.URL(), redisstore.Options{})
	ready(t, server, a)
	first, err := send(t, a, 1)
	must(t, err)
	server.Do("flushall")
	second := b.Begin(id(1), request)
	redistest.Eventually(t, "a call looks", func() bool {
		_, err := second.Send(t.Context(), time.Unix(1, 0))
		if !errors.Is(err, idempotency.ErrLook) {
			// The record was back before.
			return errors.Is(err, idempotency.ErrInUse)
		}
		return second.Hold(t.Context()) == nil
	})
	must(t, second.WaitForOthers(t.Context(), time.Now().Add(time.Minute), nil))
	if _, err := second.Send(t.Context(), time.Unix(1, 0)); !errors.Is(err, idempotency.ErrInUse) {
		t.Fatalf("the write of another server is sent again: %v", err)
	}
	must(t, first.Finish(t.Context(), "p", nil, id(100)))
	_, err = second.Send(t.Context(), time.Unix(1, 0))
	wantState(t, err, idempotency.Done)
}

// Many calls that come at once to a server that has just started are all served: none is refused for another one's
// question to Redis.
func TestTheFirstCallsAreServed(t *testing.T) {
	server := redistest.Start(t)
	ready(t, server, replica(t, server.URL(), redisstore.Options{}))
	k := replica(t, server.URL(), redisstore.Options{})
	var all sync.WaitGroup
	for n := range 30 {
		all.Go(func() {
			if _, err := send(t, k, n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A call that has looked looks again when Redis loses its records once more.
func TestALookCountsForOneLoss(t *testing.T) {
	server := redistest.Start(t)
	k := replica(t, server.URL(), redisstore.Options{})
	w := k.Begin(id(1), request)
	looks := func() {
		t.Helper()
		redistest.Eventually(t, "it looks", func() bool {
			_, err := w.Send(t.Context(), time.Unix(1, 0))
			if err == nil {
				t.Fatal("it sends")
			}
			return errors.Is(err, idempotency.ErrLook)
		})
	}
	looks()
	must(t, w.Hold(t.Context()))
	server.Do("flushall")
	looks()
	must(t, w.Hold(t.Context()))
	_, err := w.Send(t.Context(), time.Unix(1, 0))
	must(t, err)
}

// A write is sent only when enough replicas of Redis have its record.
func TestReplicasOfRedisAreCounted(t *testing.T) {
	server := redistest.Start(t)
	k := replica(t, server.URL(), redisstore.Options{MinReplicas: 1})
	ready(t, server, k)
	if _, err := send(t, k, 1); !errors.Is(err, idempotency.ErrUnavailable) {
		t.Fatalf("without a replica: %v", err)
	}
	redistest.Eventually(t, "the record is gone", func() bool { return k.Begin(id(1), request).Read(t.Context()) == nil })
	port := server.Address[len("127.0.0.1:"):]
	redistest.Start(t, "--replicaof", "127.0.0.1", port)
	redistest.Eventually(t, "a write is sent", func() bool {
		w, err := send(t, k, 1)
		return err == nil && w.Release(t.Context()) == nil
	})
}

// Redis that cannot keep its promise: keys are refused, in less than 50 ms.
func TestAnUnfitRedisIsRefused(t *testing.T) {
	fast := func(t *testing.T, k *idempotency.Keys, n int) {
		t.Helper()
		began := time.Now()
		_, err := send(t, k, n)
		if took := time.Since(began); !errors.Is(err, idempotency.ErrUnavailable) || took > 250*time.Millisecond {
			// A busy machine takes longer than the 50 ms; the figure is printed.
			t.Errorf("%v after %v", err, took)
		} else {
			t.Logf("refused after %v: %v", took, err)
		}
	}
	t.Run("eviction", func(t *testing.T) {
		server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
		fast(t, replica(t, server.URL(), redisstore.Options{}), 1)
		told := replica(t, server.URL(), redisstore.Options{NoEviction: true})
		if _, err := send(t, told, 1); !errors.Is(err, idempotency.ErrLook) {
			t.Errorf("%v", err)
		}
	})
	t.Run("frozen, then gone", func(t *testing.T) {
		server := redistest.Start(t)
		k := replica(t, server.URL(), redisstore.Options{})
		ready(t, server, k)
		server.Freeze()
		for n := range 6 {
			fast(t, k, n)
		}
		server.Kill()
		fast(t, k, 7)
	})
}

// Each step is one round trip: the server itself counts the commands.
func TestACallTakesTwoRoundTrips(t *testing.T) {
	server := redistest.Start(t)
	k := replica(t, server.URL(), redisstore.Options{})
	ready(t, server, k)
	_, err := send(t, k, 0)
	must(t, err)
	monitor := server.Monitor()
	var took []time.Duration
	const calls = 200
	for n := range calls {
		began := time.Now()
		w, err := send(t, k, n+1)
		must(t, err)
		must(t, w.Finish(context.Background(), "p", nil, id(1000+n)))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("store of a call with a key: p50 %v, p99 %v", took[calls/2], took[calls*99/100])
	// The last command, so that all before it are there.
	server.Do("echo", "end")
	scripts := 0
	redistest.Eventually(t, "MONITOR has shown all", func() bool {
		lines := monitor.Lines()
		scripts = 0
		for _, line := range lines {
			if strings.Contains(strings.ToLower(line), `"evalsha"`) {
				scripts++
			}
		}
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], `"end"`)
	})
	if scripts != 2*calls {
		t.Errorf("%d scripts for %d calls", scripts, calls)
	}
}
