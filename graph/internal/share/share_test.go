package share

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
)

// permits returns Tenants with a number of permits for reads and one for writes.
func permits(reads, waiting int) *Tenants {
	return New(Limits{Permits: [2]int{Read: reads, Write: 1}, Waiting: waiting})
}

// introduce makes tenants known.
func introduce(t *testing.T, tenants *Tenants, names ...string) {
	t.Helper()
	for _, name := range names {
		tenants.mu.Lock()
		one := tenants.use(name)
		tenants.welcome(one)
		tenants.rest(one)
		tenants.mu.Unlock()
	}
}

// takeAll takes permits for a tenant until it would have to wait.
func takeAll(tenants *Tenants, name string) (taken []Permit) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		permit, err := tenants.Enter(ended, name, Read)
		if err != nil {
			return taken
		}
		taken = append(taken, permit)
	}
}

func TestGreedyTenantsLeaveAPartFree(t *testing.T) {
	for greedy, free := range map[int]int{1: 300, 2: 200, 3: 150, 5: 100} {
		tenants := permits(600, 0)
		for n := range greedy {
			introduce(t, tenants, strconv.Itoa(n))
		}
		// They ask in turn, each for one more.
		for range 600 {
			for n := range greedy {
				tenants.Enter(t.Context(), strconv.Itoa(n), Read)
			}
		}
		if got := 600 - tenants.pools[Read].permits.all; got != free {
			t.Errorf("%d greedy tenants leave %d free, want %d", greedy, got, free)
		}
	}
}

func TestNewcomersGetHalfTogether(t *testing.T) {
	tenants := permits(100, 0)
	introduce(t, tenants, "known")
	first := takeAll(tenants, "first")
	if len(first) != 25 {
		t.Errorf("a newcomer alone gets %d of 100 permits, want 25", len(first))
	}
	for n := range 1000 {
		takeAll(tenants, strconv.Itoa(n))
	}
	if got := tenants.pools[Read].permits.all; got != 50 {
		t.Errorf("all newcomers have %d of 100 permits, want 50", got)
	}
	// What it has does not count as the newcomers' any more.
	first[0].Leave(true)
	if got := takeAll(tenants, "first"); len(got) != 14 {
		t.Errorf("the tenant of 24 permits gets %d more of the 51 that are free, want 14", len(got))
	}
	if got := takeAll(tenants, "new"); len(got) == 0 {
		t.Error("there is no permit for another newcomer")
	}
	if got := takeAll(tenants, "known"); len(got) == 0 {
		t.Error("there is no permit for a tenant that is known")
	}
	if _, err := tenants.Enter(t.Context(), "first", Write); err != nil {
		t.Errorf("the permits for writes are others: %v", err)
	}
}

func TestOneTenantGetsAllPermits(t *testing.T) {
	tenants := New(Limits{Permits: [2]int{Read: 100, Write: 1}, OneTenant: true})
	if got := takeAll(tenants, "a"); len(got) != 100 {
		t.Errorf("got %d of 100 permits", len(got))
	}
	for range tenantRepeats / repeat {
		if !tenants.Spend("a") {
			t.Fatal("not all repeats of a tenant")
		}
	}
}

// order returns the names of tenants in the order in which they get the only permit.
func order(t *testing.T, waiting ...string) (got []string) {
	synctest.Test(t, func(t *testing.T) {
		tenants := permits(1, 1000)
		introduce(t, tenants, "a", "b", "c")
		held, err := tenants.Enter(t.Context(), "b", Read)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range waiting {
			go func() {
				permit, err := tenants.Enter(t.Context(), name, Read)
				if err != nil {
					t.Error(err)
				}
				got = append(got, name)
				permit.Leave(false)
			}()
			synctest.Wait()
		}
		held.Leave(true)
		synctest.Wait()
	})
	return got
}

func TestTheOnlyPermitGoesRound(t *testing.T) {
	for _, test := range []struct{ waiting, want []string }{
		{[]string{"a", "a", "a", "b", "b", "c"}, []string{"a", "b", "c", "a", "b", "a"}},
		// Newcomers have a queue of their own, which gets every second permit.
		{[]string{"a", "b", "c", "x", "y", "z"}, []string{"x", "a", "y", "b", "z", "c"}},
	} {
		if got := order(t, test.waiting...); !slices.Equal(got, test.want) {
			t.Errorf("waiting %v: got %v, want %v", test.waiting, got, test.want)
		}
	}
}

func TestAnEndedWaitLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := permits(1, 100)
		held, err := tenants.Enter(t.Context(), "a", Read)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := tenants.Enter(ctx, "b", Read)
				errs <- err
			}()
		}
		synctest.Wait()
		cancel()
		if first, second := <-errs, <-errs; !errors.Is(first, context.Canceled) || !errors.Is(second, context.Canceled) {
			t.Errorf("got %v and %v", first, second)
		}
		held.Leave(false)
		if len(tenants.entries) != 0 || tenants.pools[Read].queues[1].Len() != 0 || tenants.pools[Read].waiting.all != 0 {
			t.Errorf("%d entries are left", len(tenants.entries))
		}
	})
}

func TestTooManyMayNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := permits(1, 40)
		ctx, cancel := context.WithCancel(t.Context())
		refused := 0
		for n := range 101 {
			go func() {
				// The first tenant wants to wait with all, the others each with one.
				_, err := tenants.Enter(ctx, strconv.Itoa(max(0, n-50)), Read)
				if errors.Is(err, ErrOverloaded) {
					refused++
				}
			}()
			synctest.Wait()
			if n == 50 && refused != 40 {
				t.Errorf("a newcomer waits with %d requests, want 10 of the 40", 50-refused)
			}
		}
		if got := tenants.pools[Read].waiting.all; got != 20 {
			t.Errorf("%d requests of newcomers wait, want 20 of the 40", got)
		}
		cancel()
	})
}

func TestMorePermitsAreGivenToThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := permits(1, 100)
		for range 10 {
			go tenants.Enter(t.Context(), "a", Read)
		}
		synctest.Wait()
		tenants.SetPermits(Read, 100)
		synctest.Wait()
		if got := tenants.pools[Read].permits.all; got != 10 {
			t.Errorf("%d of 10 requests are under way", got)
		}
		tenants.SetPermits(Read, 1)
	})
}

// TestEveryPermitComesBack has tenants of all kinds come and go at once.
func TestEveryPermitComesBack(t *testing.T) {
	tenants := permits(8, 50)
	var group sync.WaitGroup
	for worker := range 32 {
		group.Go(func() {
			for n := range 2000 {
				ctx, cancel := context.WithCancel(context.Background())
				name := strconv.Itoa(rand.N(12))
				if rand.N(10) == 0 {
					name = strconv.Itoa(1000*worker + n)
				}
				if rand.N(4) == 0 {
					go cancel()
				}
				tenants.Earn(name)
				permit, err := tenants.Enter(ctx, name, Kind(rand.N(2)))
				if err == nil {
					runtime.Gosched()
					permit.Leave(rand.N(5) == 0)
				}
				if rand.N(10) == 0 {
					tenants.Spend(name)
				}
				cancel()
			}
		})
	}
	group.Wait()
	idle := 0
	for _, one := range tenants.entries {
		if one.isIdle() {
			idle++
		}
	}
	for kind, p := range tenants.pools {
		if p.permits.all != 0 || p.permits.newcomers != 0 || p.waiting.all != 0 || p.waiting.newcomers != 0 || p.queues[0].Len()+p.queues[1].Len() != 0 {
			t.Errorf("kind %d: %+v", kind, p)
		}
	}
	if idle != len(tenants.entries) || idle != tenants.idle {
		t.Errorf("%d of %d entries are idle, %d counted", idle, len(tenants.entries), tenants.idle)
	}
}

func TestTheTenantsThatAreRememberedAreBounded(t *testing.T) {
	tenants := permits(1000, 0)
	introduce(t, tenants, "known")
	for n := range 3 * maxIdle {
		permit, err := tenants.Enter(t.Context(), strconv.Itoa(n), Read)
		if err != nil {
			t.Fatal(err)
		}
		permit.Leave(false)
	}
	if len(tenants.entries) != 1 {
		t.Errorf("%d newcomers are remembered for nothing", len(tenants.entries)-1)
	}
	for n := range 3 * maxIdle {
		name := strconv.Itoa(n)
		for range 10 {
			tenants.Earn(name)
		}
		tenants.Spend(name)
	}
	if got := len(tenants.entries); got > maxIdle || got < maxIdle*9/10 || tenants.idle != got || !tenants.entries["known"].known {
		t.Errorf("%d tenants are remembered, %d counted as idle", got, tenants.idle)
	}
}

func TestRepeatsAreDivided(t *testing.T) {
	tenants := permits(1, 0)
	spend := func(name string) (spent int) {
		for tenants.Spend(name) {
			spent++
		}
		return spent
	}
	introduce(t, tenants, "a", "b")
	if got := spend("a"); got != 20 {
		t.Errorf("a tenant spends %d repeats at once, want 20", got)
	}
	for range 10 {
		tenants.Earn("a")
	}
	if got := spend("a"); got != 1 {
		t.Errorf("ten requests earn %d repeats, want 1", got)
	}
	newcomers := 0
	for n := range 1000 {
		newcomers += spend("new" + strconv.Itoa(n))
	}
	if newcomers < 60 || newcomers > 100 {
		t.Errorf("newcomers spend %d repeats", newcomers)
	}
	if got := spend("b"); got != 20 {
		t.Errorf("beside them a tenant that is known spends %d, want 20", got)
	}
	all := 0
	for n := range 1000 {
		name := "known" + strconv.Itoa(n)
		introduce(t, tenants, name)
		all += spend(name)
	}
	if all += newcomers + 41; all > 201 || all < 180 {
		t.Errorf("all tenants spend %d repeats at once, want at most 201", all)
	}
}

// BenchmarkPermit shows what a request pays when nobody else asks: one permit, and one tenth of a repeat.
func BenchmarkPermit(b *testing.B) {
	for name, known := range map[string]bool{"known": true, "newcomer": false} {
		b.Run(name, func(b *testing.B) {
			tenants := permits(512, 4096)
			ctx := b.Context()
			for b.Loop() {
				tenants.Earn("a")
				permit, err := tenants.Enter(ctx, "a", Read)
				if err != nil {
					b.Fatal(err)
				}
				permit.Leave(known)
			}
			b.ReportAllocs()
		})
	}
}

// BenchmarkNewTenant shows what a tenant takes that is remembered.
func BenchmarkNewTenant(b *testing.B) {
	tenants := permits(512, 4096)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		permit, err := tenants.Enter(b.Context(), strconv.Itoa(n), Read)
		if err != nil {
			b.Fatal(err)
		}
		permit.Leave(true)
	}
}
