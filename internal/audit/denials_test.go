package audit

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// A caller that is denied all the time gets ten lines and then one a second, which says how many got none. It takes no
// line from another one, and all together get 20 a second.
func TestDeniedCallsAreLimited(t *testing.T) {
	now := start0
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, Options{Mode: BestEffort, Path: path, Now: func() time.Time { return now }})
	flood := func(principal string) {
		for range 1000 {
			l.Denied(Call{Principal: principal}, Result{})
		}
	}
	flood("spiffe://a/b")
	if got := l.Suppressed(); got != 990 {
		t.Errorf("%d calls got no line, want 990", got)
	}
	now = now.Add(time.Second)
	flood("spiffe://a/b")
	l.Denied(Call{Principal: "spiffe://a/other"}, Result{})
	now = now.Add(-time.Minute)
	flood("spiffe://a/b")
	l.Close()
	count := make(map[string]int)
	var suppressed []uint64
	for _, l := range linesOf(t, path) {
		if l.Kind == kindDenied {
			count[l.Principal]++
			if l.Suppressed > 0 {
				suppressed = append(suppressed, l.Suppressed)
			}
		}
	}
	if count["spiffe://a/b"] != 11 || count["spiffe://a/other"] != 1 || count[""] != 1 {
		t.Errorf("the lines are of %v", count)
	}
	if len(suppressed) != 2 || suppressed[0] != 990 || suppressed[1] != 1999 || l.Suppressed() != 2989 {
		t.Errorf("the lines say that %v calls got none, and the counter %d", suppressed, l.Suppressed())
	}
}

// Many callers together stay within a limit as well, and within memory.
func TestDeniedCallsOfManyCallers(t *testing.T) {
	var d denials
	lines := 0
	for second := range 10 {
		for n := range 5000 {
			if _, ok := d.take(fmt.Sprintf("spiffe://a/%d", n), start0.Add(time.Duration(second)*time.Second)); ok {
				lines++
			}
		}
	}
	if lines != allBurst+9*allRate {
		t.Errorf("%d lines in 10 s, want %d", lines, allBurst+9*allRate)
	}
}

// Standard output is a sink as well.
func TestStandardOutput(t *testing.T) {
	var output bytes.Buffer
	l := mustOpen(t, Options{Mode: BestEffort, Path: "-", Stdout: &output})
	mustAttempt(t, l)
	if err := l.Reopen(); err != nil {
		t.Error(err)
	}
	mustAttempt(t, l)
	l.Close()
	if got := len(parse(t, output.Bytes())); got != 4 {
		t.Errorf("%d lines, want 4", got)
	}
}
