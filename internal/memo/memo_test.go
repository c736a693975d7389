package memo_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/m365backup/backupstorage/internal/memo"
)

func TestGetsWhatWasPut(t *testing.T) {
	var m memo.Memo[string, int]
	if got, ok := m.Get("a"); ok {
		t.Errorf("got %d of nothing", got)
	}
	m.Put("a", 1)
	m.Put("a", 2)
	if got, ok := m.Get("a"); !ok || got != 2 {
		t.Errorf("got %d, %t", got, ok)
	}
}

// Keys push each other out, and none gets what was made of another.
func TestKeysDoNotMix(t *testing.T) {
	const keys = 10_000
	var m memo.Memo[string, int]
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range keys {
				key := strconv.Itoa(n)
				m.Put(key, n)
				if got, ok := m.Get(key); ok && got != n {
					t.Errorf("%s is %d", key, got)
				}
			}
		})
	}
	all.Wait()
	kept := 0
	for n := range keys {
		if got, ok := m.Get(strconv.Itoa(n)); ok {
			if kept++; got != n {
				t.Errorf("%d is %d", n, got)
			}
		}
	}
	if kept == 0 || kept > 256 {
		t.Errorf("%d keys are kept", kept)
	}
}

func BenchmarkGetToken(b *testing.B) {
	var m memo.Memo[string, int]
	token := string(make([]byte, 1500))
	m.Put(token, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Get(token); !ok {
			b.Fatal("not there")
		}
	}
}
