package reload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put writes a file.
func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// join is a parser that takes everything but "bad".
func join(contents [][]byte) (string, error) {
	text := string(bytes.Join(contents, []byte("+")))
	if strings.Contains(text, "bad") {
		return "", errors.New("it is bad")
	}
	return text, nil
}

// lines is a log that can be written and read at the same time.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// take returns what was written since it was called last.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// What a reader does with each content that it finds, one after another.
func TestTheLastGoodContentsStayInUse(t *testing.T) {
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one"), filepath.Join(folder, "two")
	put(t, one, "1")
	put(t, two, "2")
	synctest.Test(t, func(t *testing.T) {
		log := new(lines)
		reader := NewReader(0, slog.New(slog.NewJSONHandler(log, nil)))
		s, err := Open(reader, "pair", join, one, two)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go reader.Run(ctx)
		for _, step := range []struct {
			name     string
			change   func() error
			want     string
			failures uint64
			lines    int
		}{
			{"nothing", func() error { return nil }, "1+2", 0, 0},
			{"one file", func() error { return os.WriteFile(one, []byte("3"), 0o600) }, "3+2", 0, 1},
			{"a bad file", func() error { return os.WriteFile(two, []byte("bad"), 0o600) }, "3+2", 1, 1},
			{"still bad: counted, not logged again", func() error { return nil }, "3+2", 2, 0},
			{"gone", func() error { return os.Remove(two) }, "3+2", 3, 1},
			{"as it was", func() error { return os.WriteFile(two, []byte("2"), 0o600) }, "3+2", 3, 1},
			{"the other is too large", func() error { return os.WriteFile(one, make([]byte, maxFile+1), 0o600) }, "3+2", 4, 1},
			{"both new", func() error {
				return errors.Join(os.WriteFile(one, []byte("4"), 0o600), os.WriteFile(two, []byte("5"), 0o600))
			}, "4+5", 4, 1},
			{"a folder", func() error { return errors.Join(os.Remove(one), os.Mkdir(one, 0o700)) }, "4+5", 5, 1},
		} {
			if err := step.change(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(DefaultInterval) // In the bubble.
			synctest.Wait()
			if got := s.Get(); got != step.want || s.Failures() != step.failures || reader.Failures()["pair"] != step.failures {
				t.Errorf("%s: %q after %d failures, want %q after %d", step.name, got, s.Failures(), step.want, step.failures)
			}
			text := log.take()
			if n := strings.Count(text, "\n"); n != step.lines {
				t.Errorf("%s: %d lines, want %d: %s", step.name, n, step.lines, text)
			}
		}
		stop()
		synctest.Wait()
	})
}

// The end of one file is not the beginning of the next.
func TestBytesThatMoveBetweenFilesAreAChange(t *testing.T) {
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one"), filepath.Join(folder, "two")
	put(t, one, "ab")
	put(t, two, "c")
	s, err := Open(nil, "pair", join, one, two)
	if err != nil {
		t.Fatal(err)
	}
	put(t, one, "a")
	put(t, two, "bc")
	if got, err := s.Read(); err != nil || got != "a+bc" {
		t.Errorf("got %q and %v", got, err)
	}
}

func TestFilesThatCannotBeReadAtFirstAreAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := Open(nil, "file", join, path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	put(t, path, "bad")
	if _, err := Open(nil, "file", join, path); err == nil || !strings.Contains(err.Error(), "it is bad") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// A folder that Kubernetes replaces while it is read gives all of the old one or all of the new one.
func TestFilesOfTwoFoldersAreNeverMixed(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "..data")
	// Each folder has a number of its own, as those of Kubernetes have a time.
	swap := func(n int) {
		name := fmt.Sprint(n)
		err := os.Mkdir(filepath.Join(folder, name), 0o700)
		for _, file := range []string{"one", "two"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(folder, name, file), []byte(name), 0o600))
		}
		if err = errors.Join(err, os.Symlink(name, data+".new"), os.Rename(data+".new", data)); err != nil {
			t.Error(err)
		}
	}
	swap(0)
	seen := make(map[string]bool)
	s, err := Open(nil, "pair", func(contents [][]byte) (string, error) {
		seen[string(contents[0])] = true
		if string(contents[0]) != string(contents[1]) {
			t.Errorf("mixed: %q", contents)
		}
		return join(contents)
	}, filepath.Join(data, "one"), filepath.Join(data, "two"))
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var swaps sync.WaitGroup
	swaps.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
				swap(n)
			}
		}
	})
	for len(seen) < 150 {
		if _, err := s.Read(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	swaps.Wait()
}

func TestTwoReadAFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "text")
	synctest.Test(t, func(t *testing.T) {
		var parses atomic.Int32
		release := make(chan struct{})
		s := newSet("file", func(contents [][]byte) (string, error) {
			parses.Add(1)
			<-release
			return join(contents)
		}, path)
		results := make(chan string, 2)
		for range cap(results) {
			go func() {
				text, err := s.Read()
				if err != nil {
					t.Error(err)
				}
				results <- text
			}()
		}
		synctest.Wait()
		close(release)
		for range cap(results) {
			if got := <-results; got != "text" {
				t.Errorf("got %q", got)
			}
		}
		if n := parses.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

func TestAPanicOfAParserIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "text")
	if _, err := Open(nil, "file", func([][]byte) (string, error) { panic("canary") }, path); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

// A disk that hangs costs maxReadTime once, and one read: each read that hangs takes a thread. Meanwhile the last
// contents stay in use.
func TestADiskThatHangsCostsOneRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "old")
	synctest.Test(t, func(t *testing.T) {
		var parses atomic.Int32
		release := make(chan struct{})
		s, err := Open(nil, "file", func(contents [][]byte) (string, error) {
			if parses.Add(1) > 1 {
				<-release
			}
			return join(contents)
		}, path)
		if err != nil {
			t.Fatal(err)
		}
		put(t, path, "new")
		var done sync.WaitGroup
		for range 100 {
			done.Go(func() {
				start := time.Now()
				for range 3 {
					if got, err := s.Read(); err != nil || got != "old" {
						t.Errorf("got %q and %v", got, err)
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
		if got, err := s.Read(); err != nil || got != "new" || parses.Load() != 2 {
			t.Errorf("got %q and %v after %d reads, want 2", got, err, parses.Load())
		}
	})
}
