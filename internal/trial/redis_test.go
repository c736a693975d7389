//go:build redis

package trial

import (
	"strings"
	"testing"
)

// What is written before each event is there after it, unless the event deletes it.
func TestRedisSurvivesWhatIsDoneToIt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r, err := StartRedis(ctx, t.TempDir(), "first")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	command := func(want string, arguments ...any) {
		t.Helper()
		master, _, err := r.Master(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := master.Command(ctx, arguments...); err != nil || !strings.Contains(got, want) {
			t.Fatalf("%v gives %q, want %q: %v", arguments, got, want, err)
		}
	}
	whole := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.WaitWhole(ctx); err != nil {
			t.Fatal(err)
		}
	}
	first, second := r.Nodes[0], r.Nodes[1]
	isMaster := func(want *Node) {
		t.Helper()
		if got, _, err := r.Master(ctx); err != nil || got != want {
			t.Fatalf("master is %v, want %s: %v", got, want.Address, err)
		}
	}
	command("OK", "SET", "a", "1")
	command("1", "WAIT", "1", "1000")
	whole(r.Failover(ctx))
	isMaster(second)
	command("1", "GET", "a")
	whole(r.ChangePassword(ctx, "second"))
	whole(r.KillMaster(ctx))
	isMaster(first)
	command("1", "GET", "a")
	goOn, err := r.Hang()
	if err != nil {
		t.Fatal(err)
	}
	whole(goOn())
	command("1", "GET", "a")
	whole(r.Set(ctx, "maxmemory-policy", "allkeys-lru"))
	command("allkeys-lru", "CONFIG", "GET", "maxmemory-policy")
	command("OK", "SET", "a", "1")
	whole(r.Flush(ctx))
	command("0", "EXISTS", "a")
	command("OK", "SET", "a", "1")
	up, err := r.Down(ctx)
	if err != nil {
		t.Fatal(err)
	}
	whole(up())
	command("0", "EXISTS", "a")
	if !strings.Contains(r.URL(), "master_name="+masterName) {
		t.Error(r.URL())
	}
}
