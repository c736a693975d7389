package audit

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testSink is a sink in memory.
type testSink struct {
	syncing bool

	mu sync.Mutex
	// data is what was written, writes how often, synced how much of it is safe.
	data           []byte
	writes, synced int
	// hold keeps writes until it is closed; takes is how many bytes of a write are taken before it fails, all when
	// negative; syncError fails syncs.
	hold      chan struct{}
	takes     int
	syncError error
}

func newSink() *testSink { return &testSink{takes: -1} }

func (s *testSink) Write(text []byte) (int, error) {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.takes >= 0 && s.takes < len(text) {
		s.data = append(s.data, text[:s.takes]...)
		return s.takes, errors.New("no space left on device")
	}
	s.data = append(s.data, text...)
	return len(text), nil
}

func (s *testSink) sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.syncError == nil {
		s.synced = len(s.data)
	}
	return s.syncError
}

func (s *testSink) syncs() bool                { return s.syncing }
func (*testSink) torn() bool                   { return false }
func (*testSink) Close() error                 { return nil }
func (s *testSink) set(change func(*testSink)) { s.mu.Lock(); defer s.mu.Unlock(); change(s) }

// inMemory is a log on sinks, the first at first and each other after a Reopen.
func inMemory(t *testing.T, mode Mode, sinks ...*testSink) *Log {
	t.Helper()
	l, err := start(Options{Mode: mode}, func() (sink, error) {
		next := sinks[0]
		sinks = sinks[1:]
		return next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Many calls at once get one Write a line, in the order of seq. In real time some wait too long on a busy machine.
func TestOneWriteALine(t *testing.T) { synctest.Test(t, oneWriteALine) }

func oneWriteALine(t *testing.T) {
	t.Helper()
	s := newSink()
	l := inMemory(t, Required, s)
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			for range 20 {
				if _, err := l.Attempt(example); err != nil {
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
	l.Close()
	all := parse(t, s.data)
	if len(all) != 1002 || s.writes != 1002 {
		t.Errorf("%d lines in %d writes, want 1002", len(all), s.writes)
	}
	for n, l := range all {
		if l.Seq != uint64(n+1) || l.Lost != 0 {
			t.Fatalf("line %d has the seq %d and %d lost", n+1, l.Seq, l.Lost)
		}
	}
}

// A sink that hangs takes 100 ms of the first call, none of the next, and all is well once it goes on.
func TestSinkHangs(t *testing.T) {
	for _, mode := range []Mode{Required, BestEffort} {
		synctest.Test(t, func(t *testing.T) {
			s := newSink()
			l := inMemory(t, mode, s)
			hold := make(chan struct{})
			s.set(func(s *testSink) { s.hold = hold })
			for n, want := range []time.Duration{lineTime, 0, 0} {
				began := time.Now()
				a, err := l.Attempt(example)
				if took := time.Since(began); took != want {
					t.Errorf("%s: call %d took %s, want %s", mode, n, took, want)
				}
				if (err == nil) != (mode == BestEffort) || (a != nil) != (mode == BestEffort) {
					t.Errorf("%s: call %d got %v %v", mode, n, a, err)
				}
			}
			if got := l.Failures(); got != 3 || !l.Failing() {
				t.Errorf("%s: %d failures, want 3", mode, got)
			}
			s.set(func(s *testSink) { s.hold = nil })
			close(hold)
			synctest.Wait()
			a, err := l.Attempt(example)
			if err != nil || l.Failing() {
				t.Fatalf("%s: once it goes on: %v", mode, err)
			}
			a.Outcome(Result{Outcome: OK})
			l.Close()
			// The line that hung came late. The two after it are lost, and the next one says so.
			all := parse(t, s.data)
			if len(all) != 5 || all[1].Seq != 2 || all[2].Seq != 5 || all[2].Lost != 2 || all[3].Attempt != 5 || all[4].Kind != kindEnd {
				t.Errorf("%s: the lines are\n%s", mode, s.data)
			}
			text, whole, _ := Verify(Input{"a", strings.NewReader(string(s.data))})
			if whole || !strings.Contains(text, "seq 3 to 4 are missing: they could not be written when they came") {
				t.Errorf("%s: %s", mode, text)
			}
		})
	}
}

// Lines that wait behind one that hangs are given up when their time is over, and not written late.
func TestLinesBehindOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		l := inMemory(t, Required, s)
		hold := make(chan struct{})
		s.set(func(s *testSink) { s.hold = hold })
		began := time.Now()
		var calls sync.WaitGroup
		for range maxQueued + 500 {
			calls.Go(func() {
				if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
					t.Errorf("the error is %v", err)
				}
			})
		}
		calls.Wait()
		if took := time.Since(began); took != lineTime {
			t.Errorf("they took %s, want %s", took, lineTime)
		}
		if got := l.Failures(); got != maxQueued+500 {
			t.Errorf("%d failures", got)
		}
		s.set(func(s *testSink) { s.hold = nil })
		close(hold)
		synctest.Wait()
		l.Close()
		if all := parse(t, s.data); len(all) != 3 || all[2].Kind != kindEnd || all[2].Lost != maxQueued+499 {
			t.Errorf("the lines are\n%s", s.data)
		}
	})
}

// A sink that hangs for ever is left behind by Reopen, and does not keep the process from its end.
func TestSinkHangsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newSink(), newSink()
		l := inMemory(t, Required, first, second)
		hold := make(chan struct{})
		first.set(func(s *testSink) { s.hold = hold })
		if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
		began := time.Now()
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > lineTime {
			t.Errorf("Reopen took %s", took)
		}
		if _, err := l.Attempt(example); err != nil {
			t.Errorf("after Reopen: %v", err)
		}
		second.set(func(s *testSink) { s.hold = hold })
		if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
		began = time.Now()
		l.Close()
		if took := time.Since(began); took > closeTime {
			t.Errorf("Close took %s", took)
		}
		close(hold)
		synctest.Wait()
		if all := parse(t, second.data); len(all) != 2 || all[0].Seq != 3 || all[0].Lost != 1 || all[1].Seq != 4 {
			t.Errorf("the second sink has\n%s", second.data)
		}
	})
}

// A sink that hangs when the process stops still gets the last lines, if it goes on within a second.
func TestSinkHangsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		l := inMemory(t, Required, s)
		hold := make(chan struct{})
		s.set(func(s *testSink) { s.hold = hold })
		if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
		time.AfterFunc(500*time.Millisecond, func() { close(hold) })
		began := time.Now()
		l.Close()
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("Close took %s", took)
		}
		if all := parse(t, s.data); len(all) != 3 || all[2].Kind != kindEnd || all[2].Lost != 0 {
			t.Errorf("the lines are\n%s", s.data)
		}
	})
}

// A disk that fills up in the middle of a line does not swallow the next one.
func TestLineIsCutOff(t *testing.T) {
	s := newSink()
	l := inMemory(t, Required, s)
	s.set(func(s *testSink) { s.takes = 30 })
	if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the error is %v", err)
	}
	s.set(func(s *testSink) { s.takes = 0 })
	if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the error is %v", err)
	}
	s.set(func(s *testSink) { s.takes = -1 })
	if _, err := l.Attempt(example); err != nil {
		t.Error(err)
	}
	l.Close()
	all := strings.Split(string(s.data), "\n")
	if len(all) != 5 || len(all[1]) != 30 || !strings.Contains(all[2], `"seq":4,"kind":"attempt"`) || !strings.HasSuffix(all[2], `"lost":2}`) {
		t.Errorf("the file is\n%s", s.data)
	}
	if got := l.Failures(); got != 2 {
		t.Errorf("%d failures, want 2", got)
	}
}

// Lines that came together are synced together, before any of their calls goes on. After a sync that failed none does.
func TestSync(t *testing.T) {
	s := newSink()
	s.syncing = true
	l := inMemory(t, Required, s)
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			a, err := l.Attempt(example)
			if err != nil {
				t.Error(err)
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, l := range parse(t, s.data[:s.synced]) {
				if l.Seq == a.seq {
					return
				}
			}
			t.Errorf("the line with seq %d was not synced when its call went on", a.seq)
		})
	}
	calls.Wait()
	s.set(func(s *testSink) { s.syncError = errors.New("input/output error") })
	if _, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the error is %v", err)
	}
	l.Close()
	if got := len(parse(t, s.data)); got != 53 {
		t.Errorf("%d lines, want 53", got)
	}
}
