package sharedthrottle

import (
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/redis"
)

func TestRecords(t *testing.T) { rulesOfRecords(t, miniURL(t)) }

func TestScopes(t *testing.T) {
	for scope, key := range map[string]graph.ThrottleKey{
		tenant + ":r": {Tenant: tenant}, tenant + ":w": {Tenant: tenant, Write: true}, "application:r": {}, "application:w": {Write: true},
	} {
		if got, ok := keyOf(scope); scopeOf(key) != scope || got != key || !ok {
			t.Errorf("%v is %s, and back %v, %t", key, scopeOf(key), got, ok)
		}
	}
	for _, scope := range []string{"", tenant, tenant + ":x"} {
		if _, ok := keyOf(scope); ok {
			t.Errorf("%q is a scope", scope)
		}
	}
}

// A server of the next version adds fields to a record and to messages. This one reads what it knows, and leaves the
// rest as it is.
func TestTheNextVersion(t *testing.T) {
	url := miniURL(t)
	s, news := listen(t, url)
	do(t, s, reads, graph.ThrottleOp{Verb: graph.ThrottleBlock, Wait: time.Minute, Fresh: true, Pace: "pace"})
	raw := connect(t, redis.Options{URL: url})
	key := raw.Key("throttle", tenant, "r")
	if _, err := raw.Do(t.Context(), "hset", key, "v", "2", "future", "value"); err != nil {
		t.Fatal(err)
	}
	if f := do(t, s, reads, graph.ThrottleOp{Verb: graph.ThrottleBlock, Epoch: 1, Wait: 2 * time.Minute}); f.Epoch != 1 || f.Wait < 119*time.Second {
		t.Errorf("a record of the next version: %+v", f)
	}
	if value, err := raw.Do(t.Context(), "hget", key, "future"); value != "value" {
		t.Errorf("what the next version wrote is %v, %v", value, err)
	}
	if err := raw.Publish(t.Context(), raw.Key("throttle"), "2|next|"+tenant+":w|1|4|9|b|5000.000|pace|0.000|2|0.000||more|and more"); err != nil {
		t.Fatal(err)
	}
	await(t, news, func(got heard) bool {
		return got.key.Write && got.fact.Epoch == 4 && got.fact.Wait == 5*time.Second && got.fact.Replicas == 2
	})
	for _, bad := range []string{"", "1", "1|x|y", "1|next|" + tenant + ":w|1|a|b|c|d|e|f|g|h|"} {
		if err := raw.Publish(t.Context(), raw.Key("throttle"), bad); err != nil {
			t.Fatal(err)
		}
	}
	do(t, New(raw), reads, graph.ThrottleOp{Verb: graph.ThrottleBlock, Epoch: 1, Wait: 3 * time.Minute})
	await(t, news, func(got heard) bool { return got.key == reads && got.fact.Wait > 179*time.Second })
}

// A record that the version before wrote may lack fields.
func TestTheVersionBefore(t *testing.T) {
	url := miniURL(t)
	s, _ := listen(t, url)
	raw := connect(t, redis.Options{URL: url})
	if _, err := raw.Do(t.Context(), "hset", raw.Key("throttle", tenant, "r"), "v", "0", "e", "7", "n", "9", "s", "p", "r", "20", "p", "pace"); err != nil {
		t.Fatal(err)
	}
	if f := do(t, s, reads, graph.ThrottleOp{Verb: graph.ThrottleLease, Want: 3}); f.Epoch != 7 || f.Slots != 3 || f.Pace != "pace" {
		t.Errorf("a lease of a record that lacks fields: %+v", f)
	}
}
