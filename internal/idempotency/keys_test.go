package idempotency

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	testID  = NewID(Scope{Tenant: "t", RPC: "S/M"}, "k")
	request = [32]byte{1}
	sentAt  = time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
)

func wantState(t *testing.T, err error, want State) *Record {
	t.Helper()
	known, ok := errors.AsType[*KnownError](err)
	if !ok || known.Record.State != want {
		t.Fatalf("%v, want a record that is %s", err, want)
	}
	return known.Record
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustSend(t *testing.T, w *Write) {
	t.Helper()
	if _, err := w.Send(t.Context(), sentAt); err != nil {
		t.Fatal(err)
	}
}

// A second call gets what its key's state says, and never sends what may have been sent.
func TestWhatASecondCallGets(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, k *Keys){
		"SENT: in use, and UNKNOWN when the lease is over": func(t *testing.T, k *Keys) {
			first, second := k.Begin(testID, request), k.Begin(testID, request)
			sendBy, err := first.Send(t.Context(), sentAt)
			must(t, err)
			if left := time.Until(sendBy); left != Lease/2 {
				t.Errorf("%v to send it, want half of the lease", left)
			}
			if _, err := second.Send(t.Context(), sentAt); !errors.Is(err, ErrInUse) {
				t.Errorf("%v", err)
			}
			time.Sleep(Lease)
			_, err = second.Send(t.Context(), sentAt)
			if r := wantState(t, err, Unknown); !r.SentAfter.Equal(sentAt) {
				t.Errorf("sent after %v", r.SentAfter)
			}
			wantState(t, second.Read(t.Context()), Unknown)
			time.Sleep(6 * 24 * time.Hour)
			_, err = k.Begin(testID, request).Send(t.Context(), sentAt)
			wantState(t, err, Unknown)
		},
		"DONE": func(t *testing.T, k *Keys) {
			first := k.Begin(testID, request)
			mustSend(t, first)
			items := []Item{{List: 2, ID: "u", Removed: true}, {List: 3, ContentID: "c", Reason: "R"}}
			must(t, first.Finish(t.Context(), "p1", items, ID{7}))
			_, err := k.Begin(testID, request).Send(t.Context(), sentAt)
			r := wantState(t, err, Done)
			if r.ID != "p1" || len(r.Items) != 2 || r.Items[0] != items[0] || r.Items[1] != items[1] {
				t.Errorf("%+v", r)
			}
		},
		"UNKNOWN becomes DONE when its owner hears of it": func(t *testing.T, k *Keys) {
			first, second := k.Begin(testID, request), k.Begin(testID, request)
			mustSend(t, first)
			time.Sleep(Lease)
			wantState(t, second.Read(t.Context()), Unknown)
			must(t, first.Finish(t.Context(), "late", nil, ID{}))
			if r := wantState(t, second.Read(t.Context()), Done); r.ID != "late" {
				t.Errorf("%+v", r)
			}
		},
		"UNKNOWN becomes DONE by a look, once for each resource": func(t *testing.T, k *Keys) {
			other := NewID(Scope{}, "other")
			for _, id := range []ID{testID, other} {
				w := k.Begin(id, request)
				mustSend(t, w)
				must(t, w.Lose(t.Context()))
			}
			first, second := k.Begin(testID, request), k.Begin(other, request)
			ok, err := first.Resolve(t.Context(), wantState(t, first.Read(t.Context()), Unknown), "p", nil, ID{9})
			if must(t, err); !ok {
				t.Error("the first claim failed")
			}
			ok, err = second.Resolve(t.Context(), wantState(t, second.Read(t.Context()), Unknown), "p", nil, ID{9})
			if must(t, err); ok {
				t.Error("two records stand for one resource")
			}
			wantState(t, first.Read(t.Context()), Done)
			wantState(t, second.Read(t.Context()), Unknown)
		},
		"refused: the key is free": func(t *testing.T, k *Keys) {
			first := k.Begin(testID, request)
			mustSend(t, first)
			must(t, first.Release(t.Context()))
			mustSend(t, k.Begin(testID, [32]byte{2}))
		},
		"HELD: in use, and the next takes it when the lease is over": func(t *testing.T, k *Keys) {
			first, second := k.Begin(testID, request), k.Begin(testID, request)
			must(t, first.Hold(t.Context()))
			if _, err := second.Send(t.Context(), sentAt); !errors.Is(err, ErrInUse) {
				t.Errorf("%v", err)
			}
			time.Sleep(Lease)
			mustSend(t, second)
			if second.own.Fence != 2 {
				t.Errorf("fence %d", second.own.Fence)
			}
			if _, err := first.Send(t.Context(), sentAt); !errors.Is(err, ErrInUse) {
				t.Errorf("the first owner sends too: %v", err)
			}
		},
		"another request": func(t *testing.T, k *Keys) {
			mustSend(t, k.Begin(testID, request))
			if _, err := k.Begin(testID, [32]byte{2}).Send(t.Context(), sentAt); !errors.Is(err, ErrReused) {
				t.Errorf("%v", err)
			}
		},
		"a repeat of the owner": func(t *testing.T, k *Keys) {
			first := k.Begin(testID, request)
			mustSend(t, first)
			time.Sleep(Lease / 2)
			mustSend(t, first)
			time.Sleep(Lease * 3 / 4)
			if err := k.Begin(testID, request).Read(t.Context()); !errors.Is(err, ErrInUse) {
				t.Errorf("the second attempt has no lease of its own: %v", err)
			}
		},
		"a week later it is forgotten": func(t *testing.T, k *Keys) {
			first := k.Begin(testID, request)
			mustSend(t, first)
			must(t, first.Finish(t.Context(), "p", nil, ID{}))
			time.Sleep(Kept)
			must(t, k.Begin(testID, request).Read(t.Context()))
		},
		"waits for the first": func(t *testing.T, k *Keys) {
			first, second := k.Begin(testID, request), k.Begin(testID, request)
			mustSend(t, first)
			go func() {
				time.Sleep(3 * time.Second)
				_ = first.Finish(context.Background(), "p", nil, ID{})
			}()
			wantState(t, second.Wait(t.Context(), time.Now().Add(time.Minute), nil), Done)
			mustSend(t, k.Begin(ID{3}, request))
			began := time.Now()
			if err := k.Begin(ID{3}, request).Wait(t.Context(), began.Add(2*time.Second), nil); !errors.Is(err, ErrInUse) || time.Since(began) > 2*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		},
		"waits no longer than the server runs": func(t *testing.T, k *Keys) {
			mustSend(t, k.Begin(testID, request))
			stop, began := make(chan struct{}), time.Now()
			time.AfterFunc(3*time.Second, func() { close(stop) })
			err := k.Begin(testID, request).Wait(t.Context(), began.Add(time.Minute), stop)
			if !errors.Is(err, ErrInUse) || time.Since(began) != 3*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, New(NewMemory())) })
		})
	}
}

// Of many calls with one key at the same time, one sends.
func TestOneOfManySends(t *testing.T) {
	k := New(NewMemory())
	var sent, inUse sync.Map
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			switch _, err := k.Begin(testID, request).Send(t.Context(), sentAt); {
			case err == nil:
				sent.Store(i, true)
			case errors.Is(err, ErrInUse):
				inUse.Store(i, true)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	if count(&sent) != 1 || count(&inUse) != 99 {
		t.Errorf("%d sent, %d in use", count(&sent), count(&inUse))
	}
}

// A store that fails keeps the write back, and one that may have written the record is asked to forget it.
func TestAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		k := New(failing{m, errors.Join(ErrUnavailable, errors.New("no answer"))})
		if _, err := k.Begin(testID, request).Send(t.Context(), sentAt); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if s, _ := m.Read(t.Context(), testID); s.Record != nil {
			t.Error("a record says SENT of what was not sent")
		}
	})
}

// failing writes the record of a SENT, and fails.
type failing struct {
	Store
	err error
}

func (f failing) Swap(ctx context.Context, s Swap) (Swapped, error) {
	swapped, err := f.Store.Swap(ctx, s)
	if s.Durable {
		return Swapped{}, f.err
	}
	return swapped, err
}

// lossy is a store that loses what it has.
type lossy struct {
	*Memory
	loss string
}

func (l *lossy) lose(id string) { l.Memory, l.loss = NewMemory(), id }

func (l *lossy) Swap(ctx context.Context, s Swap) (Swapped, error) {
	if is, _ := l.Read(ctx, s.Key); is.Record == nil && s.Old == nil && l.loss != "" && s.Looked != l.loss {
		return Swapped{Loss: &Loss{ID: l.loss, Grace: 3 * time.Second}}, nil
	}
	return l.Memory.Swap(ctx, s)
}

// After a loss a call looks before it sends, and a look counts for one loss only.
func TestALookCountsForOneLoss(t *testing.T) {
	wantLook := func(t *testing.T, w *Write) {
		t.Helper()
		if _, err := w.Send(t.Context(), sentAt); !errors.Is(err, ErrLook) {
			t.Fatalf("%v, want a look", err)
		}
	}
	for name, test := range map[string]func(t *testing.T, l *lossy, w *Write){
		"held, looked, sent": func(t *testing.T, _ *lossy, w *Write) {
			must(t, w.Hold(t.Context()))
			began := time.Now()
			must(t, w.WaitForOthers(t.Context(), began.Add(time.Minute), nil))
			if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
				t.Errorf("looked after %v", took)
			}
			mustSend(t, w)
		},
		"another loss after the look": func(t *testing.T, l *lossy, w *Write) {
			must(t, w.Hold(t.Context()))
			l.lose("two")
			wantLook(t, w)
			must(t, w.Hold(t.Context()))
			mustSend(t, w)
		},
		"another loss while it waits for the one who holds it": func(t *testing.T, l *lossy, w *Write) {
			other := New(l).Begin(testID, request)
			wantLook(t, other)
			must(t, other.Hold(t.Context()))
			if err := w.Hold(t.Context()); !errors.Is(err, ErrInUse) {
				t.Fatal(err)
			}
			mustSend(t, other)
			l.lose("two")
			wantLook(t, w)
		},
		"a held key whose record is gone has been looked for by nobody else": func(t *testing.T, l *lossy, w *Write) {
			other := New(l).Begin(testID, request)
			wantLook(t, other)
			must(t, other.Hold(t.Context()))
			if err := w.Hold(t.Context()); !errors.Is(err, ErrInUse) {
				t.Fatal(err)
			}
			must(t, other.Release(t.Context()))
			wantLook(t, w)
		},
		"no time to wait": func(t *testing.T, _ *lossy, w *Write) {
			must(t, w.Hold(t.Context()))
			began := time.Now()
			stopped := make(chan struct{})
			close(stopped)
			for _, err := range []error{
				w.WaitForOthers(t.Context(), began.Add(2*time.Second), nil), w.WaitForOthers(t.Context(), began.Add(time.Minute), stopped),
			} {
				if !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
			}
			if time.Since(began) != 0 {
				t.Error("it waited for nothing")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &lossy{Memory: NewMemory(), loss: "one"}
				w := New(l).Begin(testID, request)
				wantLook(t, w)
				test(t, l, w)
			})
		})
	}
}
