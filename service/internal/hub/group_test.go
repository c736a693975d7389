package hub

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// many watches n resources of a collection, and takes their first states.
func many(t *testing.T, u *upstream, n int) (readers []*Reader) {
	t.Helper()
	for id := range n {
		u.set(strconv.Itoa(id), 1)
		readers = append(readers, u.watch("list", strconv.Itoa(id), ""))
	}
	for _, r := range readers {
		next(t, r)
	}
	return readers
}

func closeAll(readers []*Reader) {
	for _, r := range readers {
		r.Close()
	}
}

func TestMoreThanFiveAreReadByTheirList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		readers := many(t, u, 20)
		defer func() { closeAll(readers) }()
		time.Sleep(2 * time.Minute)
		u.locked(func() { u.reads = nil })
		time.Sleep(10 * time.Minute)
		if n := u.count(); n < 9 || n > 11 || slices.ContainsFunc(u.taken(), func(what string) bool { return what != "list" }) {
			t.Errorf("in ten minutes: %v", u.taken())
		}
		// One that changes is read, and no other.
		u.locked(func() { u.reads = nil })
		u.set("7", 2)
		if out := next(t, readers[7]); out.State.Value != 2 {
			t.Errorf("%+v", out)
		}
		if !slices.Equal(u.taken(), []string{"list", "7"}) {
			t.Errorf("reads: %v", u.taken())
		}
		// One that the list does not have is read each time: it can be gone, or not there yet.
		u.locked(func() { u.missing["3"] = true })
		time.Sleep(2 * time.Minute)
		u.set("3", 5)
		if out := next(t, readers[3]); out.State.Value != 5 {
			t.Errorf("%+v", out)
		}
		// With five left each is read by itself.
		closeAll(readers[5:])
		readers = readers[:5]
		time.Sleep(2 * time.Minute)
		u.locked(func() { u.reads = nil })
		time.Sleep(10 * time.Minute)
		if slices.Contains(u.taken(), "list") || u.count() < 45 || u.count() > 60 {
			t.Errorf("in ten minutes: %v", u.taken())
		}
	})
}

func TestListsThatAreNoUse(t *testing.T) {
	for name, spoil := range map[string]func(*upstream){
		"too long": func(u *upstream) { u.pages = 3 },
		"not allowed": func(u *upstream) {
			u.fail = func(what string) (time.Duration, error) {
				if what == "list" {
					return 0, errors.New("forbidden")
				}
				return 0, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream()
				spoil(u)
				readers := many(t, u, 10)
				defer closeAll(readers)
				time.Sleep(5 * time.Minute)
				u.set("7", 2)
				if out := next(t, readers[7]); out.State.Value != 2 {
					t.Errorf("%+v", out)
				}
				if n := len(slices.DeleteFunc(u.taken(), func(what string) bool { return what != "list" })); n != 1 {
					t.Errorf("the list was read %d times", n)
				}
			})
		})
	}
}

func TestListsWaitAsLongAsGraphWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream()
		readers := many(t, u, 10)
		defer closeAll(readers)
		time.Sleep(time.Minute)
		throttled := 0
		u.locked(func() {
			u.fail = func(what string) (time.Duration, error) {
				if throttled++; throttled == 1 {
					return 3 * time.Minute, errors.New("throttled")
				}
				return 0, nil
			}
		})
		for before := u.count(); u.count() == before; {
			time.Sleep(time.Second)
		}
		u.locked(func() { u.reads = nil })
		time.Sleep(2*time.Minute + 50*time.Second)
		if u.count() > 0 {
			t.Errorf("reads before it was time: %v", u.taken())
		}
		u.set("2", 2)
		if out := next(t, readers[2]); out.State.Value != 2 {
			t.Errorf("%+v", out)
		}
	})
}

// Ten thousand resources without a list cost a read a minute each, with one far less. docs/waiting.md has the numbers.
func TestTenThousandAtTheFloor(t *testing.T) {
	t.Run("units", func(t *testing.T) { floor(t, "", 150, 170) })
	t.Run("sessions", func(t *testing.T) { floor(t, "sessions", 1, 2.5) })
}

func floor(t *testing.T, list string, least, most float64) {
	synctest.Test(t, func(t *testing.T) {
		const resources = 10_000
		u := newUpstream()
		u.took = 50 * time.Millisecond
		var readers []*Reader
		for id := range resources {
			u.set(strconv.Itoa(id), 1)
			key := Key{Tenant: strconv.Itoa(id % 100), Resource: strconv.Itoa(id)}
			source := u.source(list, strconv.Itoa(id))
			source.Collection.Tenant = key.Tenant
			readers = append(readers, u.hub.Watch(key, source, ""))
		}
		time.Sleep(10 * time.Minute)
		before := u.count()
		time.Sleep(10 * time.Minute)
		perSecond := float64(u.count()-before) / 600
		if perSecond < least || perSecond > most {
			t.Errorf("%.1f reads a second", perSecond)
		}
		t.Logf("%d watched resources, by list: %t: %.1f reads a second at the floor", resources, list != "", perSecond)
		closeAll(readers)
		time.Sleep(2 * time.Minute)
		if before := u.count(); u.hub.Counts().Watched != 0 || len(u.hub.watched) != 0 || before != u.count() {
			t.Errorf("%+v", u.hub.Counts())
		}
	})
}
