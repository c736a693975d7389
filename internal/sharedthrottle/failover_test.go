//go:build redis

package sharedthrottle

import (
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/redis"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

// The master dies, and Sentinel makes its replica the master. What is blocked stays blocked at all servers, one that
// begins then knows it, and what one finds out afterwards reaches the others.
func TestAFailoverKeepsWhatIsBlocked(t *testing.T) {
	u := newUpstream(t)
	master, next, sentinel := redistest.StartPair(t, "main")
	options := redis.Options{URL: sentinel.URL() + "?master_name=main"}
	var clients []*graph.Client
	var connections []*redis.Client
	begin := func() {
		client, connection := replicaOf(t, u.url, options)
		clients, connections = append(clients, client), append(connections, connection)
	}
	isBlocked := func(tenant string, by int) {
		t.Helper()
		redistest.Eventually(t, "a server knows that the tenant is blocked", func() bool { return clients[by].BlockedFor(tenant) > time.Minute })
		before := u.requests()
		if err := readOf(t.Context(), clients[by], tenant); err == nil || u.requests() != before {
			t.Errorf("server %d sent a request of a blocked tenant: %v", by, err)
		}
	}
	begin()
	begin()
	redistest.Eventually(t, "both listen", func() bool {
		list, _ := master.Do("pubsub", "numsub", "graph.example:application-id:throttle").([]any)
		return len(list) == 2 && list[1] == int64(2)
	})
	u.throttle("600")
	if read(t.Context(), clients[0]) == nil {
		t.Fatal("the throttle response was no error")
	}
	isBlocked(tenant, 1)
	redistest.Eventually(t, "the replica of Redis has the record", func() bool {
		return next.Do("exists", "graph.example:application-id:throttle:"+tenant+":r") == int64(1)
	})
	before := connections[0].RunID()
	master.Kill()
	for _, c := range connections {
		redistest.Eventually(t, "a server is at the new master", func() bool {
			_, err := c.Do(t.Context(), "set", "x", "1")
			return err == nil && c.RunID() != before
		})
	}
	begin()
	for by := range clients {
		isBlocked(tenant, by)
	}
	redistest.Eventually(t, "all listen to the new master", func() bool {
		list, _ := next.Do("pubsub", "numsub", "graph.example:application-id:throttle").([]any)
		return len(list) == 2 && list[1] == int64(3)
	})
	const another = "33333333-0000-4000-8000-000000000001"
	u.throttle("600")
	if readOf(t.Context(), clients[0], another) == nil {
		t.Fatal("the throttle response was no error")
	}
	for by := range clients {
		isBlocked(another, by)
	}
}
