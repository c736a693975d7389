package hub

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// A tenant with many resources does not hold up the reads of another one.
func TestTenantsPollInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		u.took = time.Second
		var readers []*Reader
		for id := range 1000 {
			readers = append(readers, u.hub.Watch(Key{Tenant: "greedy", Resource: strconv.Itoa(id)}, u.source("", strconv.Itoa(id)), ""))
		}
		for tenant := range 5 {
			readers = append(readers, u.hub.Watch(Key{Tenant: strconv.Itoa(tenant), Resource: "a"}, u.source("", "a"), ""))
		}
		synctest.Wait()
		// The greedy one has 16 reads on their way, and the others theirs.
		if n := u.count(); n != maxReadsOfTenant+5 {
			t.Errorf("%d reads are on their way", n)
		}
		for _, r := range readers[1000:] {
			next(t, r)
		}
		if took := time.Since(u.began); took != time.Second {
			t.Errorf("the others waited for %v", took)
		}
		// With nine greedy ones there are as many as there may be.
		for tenant := range 8 {
			for id := range 100 {
				readers = append(readers, u.hub.Watch(Key{Tenant: "greedy" + strconv.Itoa(tenant), Resource: strconv.Itoa(id)}, u.source("", strconv.Itoa(id)), ""))
			}
		}
		synctest.Wait()
		u.hub.mu.Lock()
		if n := u.hub.reads.running; n != maxReads {
			t.Errorf("%d reads are on their way", n)
		}
		u.hub.mu.Unlock()
		closeAll(readers)
		time.Sleep(10 * time.Minute)
		u.hub.mu.Lock()
		defer u.hub.mu.Unlock()
		if n := len(u.hub.reads.tenants); n > 0 || u.hub.reads.running > 0 {
			t.Errorf("%d tenants have reads", n)
		}
	})
}
