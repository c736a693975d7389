package credential

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTwoReadAFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		release := make(chan struct{})
		k := &materialFile{path: path, parse: func(content []byte) (*material, error) {
			reads.Add(1)
			<-release
			return parseSecret(content)
		}}
		results := make(chan *material, 2)
		for range cap(results) {
			go func() {
				m, err := k.material()
				if err != nil {
					t.Error(err)
				}
				results <- m
			}()
		}
		synctest.Wait()
		close(release)
		for range cap(results) {
			if m := <-results; m == nil || m.secret != "secret" {
				t.Errorf("got %+v", m)
			}
		}
		if n := reads.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

func TestAPanicOfAParserIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &materialFile{path: path, parse: func([]byte) (*material, error) { panic("canary") }}
	if m, err := f.material(); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v and %v", m, err)
	}
}

// A disk that hangs costs maxReadTime once, and one read: each read that hangs takes a thread. Meanwhile the last
// material stays in use.
func TestADiskThatHangsCostsOneRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		release := make(chan struct{})
		f := &materialFile{path: path, parse: func(content []byte) (*material, error) {
			reads.Add(1)
			<-release
			return parseSecret(content)
		}}
		f.last.Store(&material{secret: "old"})
		var done sync.WaitGroup
		for range 100 {
			done.Go(func() {
				start := time.Now()
				for range 3 {
					if m, err := f.material(); err != nil || m.secret != "old" {
						t.Errorf("got %v and %v", m, err)
					}
				}
				if took := time.Since(start); took != maxReadTime {
					t.Errorf("three times took %v", took)
				}
			})
		}
		done.Wait()
		close(release)
		synctest.Wait()
		if m, err := f.material(); err != nil || m.secret != "new" || reads.Load() != 1 {
			t.Errorf("got %v and %v after %d reads, want 1", m, err, reads.Load())
		}
	})
}
