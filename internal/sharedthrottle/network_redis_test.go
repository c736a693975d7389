//go:build redis

package sharedthrottle

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/redis"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

// slowly listens in front of an address, and hands on what comes back from it after a delay.
func slowly(t *testing.T, address string, delay time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				server.Close()
			}()
			go func() {
				defer client.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := server.Read(buffer)
					if err != nil {
						return
					}
					<-time.After(delay)
					if _, err := client.Write(buffer[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// A Redis that is slow, and not down: requests of a paced tenant wait for it no longer than 20 ms, and what Graph
// throttles at one replica reaches the other.
func TestASlowRedis(t *testing.T) {
	server, u := redistest.Start(t), newUpstream(t)
	o := redis.Options{URL: "redis://" + slowly(t, server.Address, 35*time.Millisecond)}
	var clients []*graph.Client
	var connections []*redis.Client
	for range 2 {
		client, connection := replicaOf(t, u.url, o)
		clients, connections = append(clients, client), append(connections, connection)
		redistest.Eventually(t, "Redis is up", connection.Up)
	}
	redistest.Eventually(t, "both listen", func() bool {
		heard, _ := server.Do("pubsub", "numsub", "graph.example:application-id:throttle").([]any)
		return len(heard) == 2 && heard[1] == int64(2)
	})
	pace(t, u, clients)
	var most time.Duration
	apart := time.NewTicker(600 * time.Millisecond)
	defer apart.Stop()
	for range 6 {
		<-apart.C
		began := time.Now()
		if err := read(t.Context(), clients[0]); err != nil {
			t.Fatalf("a request fails because of Redis: %v", err)
		}
		most = max(most, time.Since(began))
	}
	t.Logf("figure: slow: a request takes at most %v", most.Round(time.Millisecond))
	// A busy machine may add as much again.
	if most > 60*time.Millisecond {
		t.Errorf("a request took %v", most)
	}
	u.throttle("20")
	redistest.Eventually(t, "both replicas are blocked", func() bool {
		_ = read(t.Context(), clients[0])
		return clients[0].BlockedFor(tenant) > 15*time.Second && clients[1].BlockedFor(tenant) > 10*time.Second
	})
	for _, connection := range connections {
		if !connection.Up() {
			t.Error("a Redis that is slow counts as down: another one was tried")
		}
	}
}

// A failover in the middle of a block: what is blocked stays blocked, and a replica that starts then hears of it from
// the new master.
func TestABlockSurvivesAFailover(t *testing.T) {
	master, second, u := redistest.Start(t), redistest.Start(t), newUpstream(t)
	_, port, _ := net.SplitHostPort(master.Address)
	second.Do("replicaof", "127.0.0.1", port)
	sentinel := redistest.StartSentinel(t, "main", master.Address)
	redistest.Eventually(t, "the Sentinel knows the replica", func() bool {
		list, _ := sentinel.Do("sentinel", "replicas", "main").([]any)
		return len(list) == 1
	})
	o := redis.Options{URL: sentinel.URL() + "?master_name=main"}
	first, connection := replicaOf(t, u.url, o)
	u.throttle("120")
	if err := read(t.Context(), first); err == nil {
		t.Fatal("it is not throttled")
	}
	key := "graph.example:application-id:throttle:" + tenant + ":r"
	redistest.Eventually(t, "the replica of Redis has it", func() bool { return second.Do("exists", key) == int64(1) })
	master.Kill()
	redistest.Eventually(t, "the connection leads to the new master", func() bool {
		_, err := connection.Do(t.Context(), "set", "x", "1")
		return err == nil
	})
	if left := first.BlockedFor(tenant); left < 60*time.Second {
		t.Errorf("blocked for %v after the failover", left)
	}
	late, _ := replicaOf(t, u.url, o)
	redistest.Eventually(t, "a replica that starts now is blocked", func() bool { return late.BlockedFor(tenant) > 60*time.Second })
}
