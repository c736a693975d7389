package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// upstream is what a hub reads in a test: resources with a number each, and a ledger of reads.
type upstream struct {
	hub     *Hub
	took    time.Duration
	states  map[string]int
	last    int // the terminal number; 0 for none
	reads   []string
	at      []time.Duration
	began   time.Time
	fail    func(what string) (time.Duration, error)
	pages   int
	missing map[string]bool
}

func newUpstream() *upstream {
	return &upstream{hub: New(func() float64 { return 1 }), states: map[string]int{}, began: time.Now(), pages: 1, missing: map[string]bool{}}
}

func (u *upstream) note(what string) {
	u.reads = append(u.reads, what)
	u.at = append(u.at, time.Since(u.began))
}

func (u *upstream) failing(what string) (time.Duration, error) {
	if u.fail == nil {
		return 0, nil
	}
	return u.fail(what)
}

// source reads a resource of a collection; an empty collection is none.
func (u *upstream) source(list, id string) Source {
	s := Source{ID: id, Collection: Collection{Tenant: "t", List: list}, Read: func(ctx context.Context, _ Held) Outcome {
		u.hub.mu.Lock()
		u.note(id)
		n := u.states[id]
		again, err := u.failing(id)
		took := u.took
		u.hub.mu.Unlock()
		if !pause(ctx, took) {
			return Outcome{Err: ctx.Err()}
		}
		if err != nil {
			return Outcome{Err: err, Again: again}
		}
		return Outcome{State: State{Value: n, Revision: strconv.Itoa(n), Terminal: u.last > 0 && n >= u.last}}
	}}
	if list != "" {
		s.List = func(ctx context.Context, pages int) Listing {
			u.hub.mu.Lock()
			u.note("list")
			marks := make(map[string]string)
			for id, n := range u.states {
				if !u.missing[id] {
					marks[id] = strconv.Itoa(n)
				}
			}
			again, err := u.failing("list")
			took := u.took
			u.hub.mu.Unlock()
			pause(ctx, took)
			return Listing{Marks: marks, TooLong: u.pages > pages, Err: err, Again: again}
		}
	}
	return s
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (u *upstream) set(id string, n int) {
	u.hub.mu.Lock()
	defer u.hub.mu.Unlock()
	u.states[id] = n
}

func (u *upstream) watch(list, id, seen string) *Reader {
	return u.hub.Watch(Key{Tenant: "t", Resource: id}, u.source(list, id), seen)
}

// locked runs what changes or looks at the upstream itself.
func (u *upstream) locked(f func()) {
	u.hub.mu.Lock()
	defer u.hub.mu.Unlock()
	f()
}

// taken returns what was read, and times when.
func (u *upstream) taken() (reads []string) {
	u.locked(func() { reads = slices.Clone(u.reads) })
	return reads
}

func (u *upstream) times() (at []time.Duration) {
	u.locked(func() { at = slices.Clone(u.at) })
	return at
}

func (u *upstream) count() int {
	u.hub.mu.Lock()
	defer u.hub.mu.Unlock()
	return len(u.reads)
}

// next waits for the next outcome of a reader.
func next(t *testing.T, r *Reader) Outcome {
	t.Helper()
	select {
	case <-r.Ready():
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing came in two minutes")
	}
	out, ok := r.Take()
	if !ok {
		t.Fatal("the slot is empty")
	}
	return out
}

func TestIntervalGrowsUntilSomethingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		r := u.watch("", "a", "")
		next(t, r)
		time.Sleep(30 * time.Second)
		u.set("a", 1)
		if out := next(t, r); out.State.Value != 1 {
			t.Errorf("%+v", out)
		}
		time.Sleep(5 * time.Minute)
		r.Close()
		time.Sleep(5 * time.Minute)
		var got []float64
		for _, at := range u.times() {
			got = append(got, at.Round(100*time.Millisecond).Seconds())
		}
		// Each second number is 1.5 times the one before it, but for the change at 32.2 s, and at most 60.
		want := "[0 1 2.5 4.8 8.1 13.2 20.8 32.2 33.2 34.7 36.9 40.3 45.4 53 64.3 81.4 107.1 145.5 203.2 263.2 323.2]"
		if fmt.Sprint(got) != want {
			t.Errorf("reads at %v\nwant     %s", got, want)
		}
		if c := u.hub.Counts(); c.Readers != 0 || c.Watched != 0 || len(u.hub.watched) != 0 || c.Polls != uint64(u.count()) {
			t.Errorf("%+v, %d kept", c, len(u.hub.watched))
		}
	})
}

// A thousand who wait cause the reads that ten cause.
func TestReadersShareAPoller(t *testing.T) {
	reads := func(perSession int) (n int) {
		synctest.Test(t, func(t *testing.T) {
			u := newUpstream()
			u.took = 20 * time.Millisecond
			var readers []*Reader
			for range perSession {
				for id := range 10 {
					u.set(strconv.Itoa(id), 7)
					readers = append(readers, u.watch("sessions", strconv.Itoa(id), ""))
				}
			}
			for _, r := range readers {
				if out := next(t, r); out.State.Value != 7 {
					t.Errorf("%+v", out)
				}
			}
			time.Sleep(time.Minute)
			n = u.count()
			for _, r := range readers {
				r.Close()
			}
		})
		return n
	}
	few, many := reads(1), reads(100)
	if few != many || few < 15 || few > 40 {
		t.Errorf("%d reads for 10 readers, %d for 1,000", few, many)
	}
}

func TestUsersShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		for user := range 10 {
			for range 3 {
				r := u.hub.Watch(Key{Tenant: "t", Identity: strconv.Itoa(user), Resource: "a"}, u.source("", "a"), "")
				defer r.Close()
			}
		}
		synctest.Wait()
		if n := u.count(); n != 10 {
			t.Errorf("%d reads for ten users", n)
		}
	})
}

// What a reader gets is never older than the reader: whoever has changed something and waits must not see what was
// before.
func TestReadersGetNothingOlderThanThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		u.took = 500 * time.Millisecond
		first := u.watch("", "a", "")
		defer first.Close()
		time.Sleep(100 * time.Millisecond) // The read is on its way, and has seen 0.
		u.set("a", 1)
		second := u.watch("", "a", "")
		defer second.Close()
		if out := next(t, second); out.State.Value != 1 {
			t.Errorf("got %v, which was before", out.State.Value)
		}
		if out := next(t, first); out.State.Value != 1 {
			t.Errorf("the first has %v", out.State.Value)
		}
	})
}

func TestReadersWhoComeBackCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		seen := ""
		for range 8 {
			r := u.watch("", "a", seen)
			if seen == "" {
				seen = next(t, r).State.Revision
			}
			time.Sleep(45 * time.Second)
			r.Close()
		}
		if n := u.count(); n > 18 {
			t.Errorf("%d reads in six minutes", n)
		}
		// A state that nothing but somebody's act ends is looked at again.
		u.locked(func() { u.last = 1 })
		u.set("a", 1)
		r := u.watch("", "a", seen)
		seen = next(t, r).State.Revision
		r.Close()
		u.locked(func() { u.last = 3 })
		u.set("a", 2)
		r = u.watch("", "a", seen)
		defer r.Close()
		if out := next(t, r); out.State.Value != 2 {
			t.Errorf("%+v", out)
		}
	})
}

func TestSlowReaderGetsTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		r := u.watch("", "a", "")
		defer r.Close()
		for n := range 10 {
			u.set("a", n)
			time.Sleep(2 * time.Second)
		}
		if out := next(t, r); out.State.Value != 9 {
			t.Errorf("got %v", out.State.Value)
		}
		if out, ok := r.Take(); ok {
			t.Errorf("there is %+v besides", out)
		}
	})
}

func TestErrorsThatPassAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		throttled := errors.New("throttled")
		u.fail = func(string) (time.Duration, error) {
			if len(u.reads) < 3 { // The mutex is held.
				return 7 * time.Second, throttled
			}
			return 0, nil
		}
		r := u.watch("", "a", "")
		defer r.Close()
		time.Sleep(3 * time.Second)
		if out, ok := r.Latest(); !ok || !errors.Is(out.Err, throttled) {
			t.Errorf("%+v, %t", out, ok)
		}
		// Those who come meanwhile do not ask before it is time either.
		other := u.watch("", "a", "")
		defer other.Close()
		next(t, r)
		next(t, other)
		if fmt.Sprint(u.times()) != "[0s 7s 14s]" {
			t.Errorf("reads at %v", u.times())
		}
	})
}

func TestErrorsThatStayAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		gone := errors.New("not found")
		r := u.watch("", "a", "")
		defer r.Close()
		next(t, r)
		u.locked(func() { u.fail = func(string) (time.Duration, error) { return 0, gone } })
		if out := next(t, r); !errors.Is(out.Err, gone) {
			t.Errorf("%+v", out)
		}
		other := u.watch("", "a", "0")
		defer other.Close()
		if out := next(t, other); !errors.Is(out.Err, gone) {
			t.Errorf("%+v", out)
		}
	})
}

// Who reads at a hub that closes hears nothing more: that a read was broken off says nothing of its resource.
func TestReadersHearNothingOfTheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, list := range []string{"", "list"} {
			u := newUpstream()
			readers := many(t, u, 10)
			if list == "" {
				u = newUpstream()
				readers = []*Reader{u.watch("", "a", "")}
				next(t, readers[0])
			}
			u.locked(func() { u.took = time.Minute })
			for before := u.count(); u.count() == before; {
				time.Sleep(100 * time.Millisecond)
			}
			u.hub.Close()
			time.Sleep(2 * time.Minute)
			for _, r := range readers {
				if out, ok := r.Take(); ok {
					t.Errorf("%+v", out)
				}
			}
			if out, _ := readers[0].Latest(); out.Err != nil {
				t.Errorf("%+v", out)
			}
			closeAll(readers)
		}
	})
}

// counted counts the states that are held.
type counted struct {
	now      *int
	released bool
}

func (c *counted) Release() {
	*c.now--
	if c.released {
		*c.now = -1 << 30
	}
	c.released = true
}

// Of each resource at most one state is held, and none once nobody has waited for it for a while, its read has failed
// for good, or the hub is closed.
func TestStatesAreReleasedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		held, most := 0, 0
		source := func(list, id string) Source {
			s := u.source(list, id)
			read := s.Read
			s.Read = func(ctx context.Context, last Held) Outcome {
				out := read(ctx, last)
				u.hub.mu.Lock()
				defer u.hub.mu.Unlock()
				if out.State.Held = last; out.Err == nil && (last == nil || id == "2") {
					held++
					most = max(most, held)
					out.State.Held = &counted{now: &held}
				}
				return out
			}
			return s
		}
		watch := func(list string, n int) (readers []*Reader) {
			for id := range n {
				key := Key{Tenant: "t", Resource: list + strconv.Itoa(id)}
				readers = append(readers, u.hub.Watch(key, source(list, strconv.Itoa(id)), ""))
			}
			return readers
		}
		want := func(when string, n int) {
			t.Helper()
			u.locked(func() {
				if held != n {
					t.Errorf("%s: %d states are held, want %d", when, held, n)
				}
			})
		}
		// Alone, and by a list.
		readers := append(watch("", 3), watch("list", 8)...)
		for n := range 10 {
			u.set(strconv.Itoa(n%8), n)
			time.Sleep(20 * time.Second)
		}
		want("while they are watched", 11)
		u.locked(func() {
			u.fail = func(what string) (time.Duration, error) {
				if what == "1" {
					return 0, errors.New("gone")
				}
				return 0, nil
			}
		})
		time.Sleep(10 * time.Minute)
		u.set("1", 77) // The list shows that it changed.
		time.Sleep(10 * time.Minute)
		want("without one of both", 9)
		closeAll(readers)
		time.Sleep(30 * time.Second)
		want("right after the end", 9)
		time.Sleep(10 * time.Minute)
		want("when nobody waits", 0)
		readers = watch("", 3)
		time.Sleep(time.Minute)
		want("again", 2)
		u.locked(func() { u.took = time.Minute })
		time.Sleep(90 * time.Second) // Reads are on their way.
		u.hub.Close()
		closeAll(readers)
		time.Sleep(10 * time.Minute)
		want("when the hub is closed", 0)
		if most > 13 {
			t.Errorf("%d were held at once", most)
		}
	})
}
