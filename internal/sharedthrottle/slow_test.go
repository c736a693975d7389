//go:build redis

package sharedthrottle

import (
	"io"
	"net"
	"slices"
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
	// A connection gives up after 50 ms.
	const slow = 40 * time.Millisecond
	server, u := redistest.Start(t), newUpstream(t)
	o := redis.Options{URL: "redis://" + slowly(t, server.Address, slow)}
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
	var took []time.Duration
	apart := time.NewTicker(600 * time.Millisecond)
	defer apart.Stop()
	for range 6 {
		<-apart.C
		began := time.Now()
		if err := read(t.Context(), clients[0]); err != nil {
			t.Fatalf("a request fails because of Redis: %v", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("figure: slow: half of the requests take at most %v, all %v", took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	// Half of them, since a busy machine delays single ones.
	if took[len(took)/2] >= slow {
		t.Errorf("requests wait for Redis: %v", took)
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
