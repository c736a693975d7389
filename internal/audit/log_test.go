package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// start0 is when the clock of a test begins.
var start0 = time.Date(2026, 11, 26, 12, 0, 0, 5, time.UTC)

func fixed() time.Time { return start0 }

var example = Call{
	Principal: "spiffe://corp.example/portal", Tenant: "11111111-2222-4333-8444-000000000001",
	RPC: "ProtectionPolicyService/UpdateExchangeProtectionPolicy", Effects: []string{"CHANGE", "REMOVE"},
	IDs: map[string]string{"protection_policy_id": "p1"}, RequestID: "r1", OnBehalfOf: "u1",
}

// linesOf reads the lines of a file.
func linesOf(t *testing.T, path string) []line {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, data)
}

func parse(t *testing.T, data []byte) []line {
	t.Helper()
	var all []line
	for text := range bytes.SplitSeq(bytes.TrimSpace(data), []byte("\n")) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("no JSON: %s", text)
		}
		all = append(all, l)
	}
	return all
}

func mustOpen(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func mustAttempt(t *testing.T, l *Log) *Attempt {
	t.Helper()
	a, err := l.Attempt(example)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The lines of a write, a denied call and a read, byte by byte.
func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, Options{Mode: Required, Path: path, Now: fixed})
	mustAttempt(t, l).Outcome(Result{Code: "NOT_FOUND", Reason: "POLICY_NOT_FOUND", Outcome: Failed, GraphRequestIDs: []string{"g1", "g2"}})
	l.Denied(Call{Principal: "dns:a", RPC: "A/B"}, Result{Code: "PERMISSION_DENIED", Reason: "CALLER_NOT_ALLOWED", Outcome: Failed})
	l.Read(Call{RPC: "A/<B>"}, Result{Code: "OK", Outcome: OK})
	l.Close()
	l.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := func(seq int) string {
		return fmt.Sprintf(`{"time":"2026-11-26T12:00:00.000000005Z","instance":%q,"seq":%d,`, l.instance, seq)
	}
	call := `"principal":"spiffe://corp.example/portal","tenant":"11111111-2222-4333-8444-000000000001",` +
		`"rpc":"ProtectionPolicyService/UpdateExchangeProtectionPolicy","effects":["CHANGE","REMOVE"],` +
		`"ids":{"protection_policy_id":"p1"},"requestId":"r1",`
	want := head(1) + `"kind":"start"}` + "\n" +
		head(2) + `"kind":"attempt",` + call + `"onBehalfOf":"u1"}` + "\n" +
		head(3) + `"kind":"outcome","attempt":2,` + call + `"graphRequestIds":["g1","g2"],"code":"NOT_FOUND","reason":"POLICY_NOT_FOUND","outcome":"failed","onBehalfOf":"u1"}` + "\n" +
		head(4) + `"kind":"denied","principal":"dns:a","rpc":"A/B","code":"PERMISSION_DENIED","reason":"CALLER_NOT_ALLOWED","outcome":"failed"}` + "\n" +
		head(5) + `"kind":"read","rpc":"A/<B>","code":"OK","outcome":"ok"}` + "\n" +
		head(6) + `"kind":"end"}` + "\n"
	if string(data) != want {
		t.Errorf("the file is\n%swant\n%s", data, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %s, want that of its owner alone (%v)", info.Mode(), err)
	}
	if l.Failures() != 0 || l.Failing() {
		t.Errorf("%d failures", l.Failures())
	}
}

// Whatever a call has in it, its line is one line of valid JSON with a bounded size.
func TestStrangeTexts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, Options{Mode: Required, Path: path})
	long := strings.Repeat("ä\n\xff\"", 10000)
	call := Call{Principal: long, Tenant: long, RPC: long, RequestID: long, OnBehalfOf: long, IDs: make(map[string]string)}
	for n := range 100 {
		call.Effects = append(call.Effects, long)
		call.IDs[fmt.Sprint(n, long)] = long
	}
	a, err := l.Attempt(call)
	if err != nil {
		t.Fatal(err)
	}
	a.Outcome(Result{Code: long, Reason: long, Outcome: OK, GraphRequestIDs: call.Effects})
	l.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if all := parse(t, data); len(all) != 4 || len(all[1].Principal) > maxName || len(all[1].IDs) != maxIDs {
		t.Errorf("%d lines, a principal of %d bytes, %d ids", len(all), len(all[1].Principal), len(all[1].IDs))
	}
	if len(data) > maxLine {
		t.Errorf("the lines have %d bytes", len(data))
	}
	if text, whole, err := Verify(Input{"a", bytes.NewReader(data)}); !whole || err != nil {
		t.Errorf("they are not whole: %s %v", text, err)
	}
}

// With the mode off nothing is written and nothing fails.
func TestOff(t *testing.T) {
	l, err := Open(Options{Mode: Off, Path: "/nothing/here"})
	if err != nil || l != nil {
		t.Fatalf("%v %v", l, err)
	}
	a, err := l.Attempt(example)
	if err != nil {
		t.Error(err)
	}
	a.Outcome(Result{})
	l.Read(example, Result{})
	l.Denied(example, Result{})
	l.Close()
	if err := l.Reopen(); err != nil || l.Failures() != 0 || l.Suppressed() != 0 || l.Failing() {
		t.Errorf("%v %d %d", err, l.Failures(), l.Suppressed())
	}
}

func TestBadOptions(t *testing.T) {
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"no path":            {Mode: BestEffort},
		"required on stdout": {Mode: Required, Path: "-"},
		"sync on stdout":     {Mode: BestEffort, Path: "-", Sync: true},
		"a folder":           {Mode: BestEffort, Path: folder},
		"a pipe":             {Mode: BestEffort, Path: pipe},
		"no such folder":     {Mode: BestEffort, Path: filepath.Join(folder, "missing", "audit.log")},
		"a full disk":        {Mode: Required, Path: "/dev/full"},
	} {
		if l, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
			l.Close()
		}
	}
	for _, mode := range Modes {
		if got, err := ParseMode(string(mode)); err != nil || got != mode {
			t.Errorf("%s is read as %s (%v)", mode, got, err)
		}
	}
	if _, err := ParseMode("Required"); err == nil || err.Error() != "must be off, best-effort or required" {
		t.Errorf("the error of a bad mode is %v", err)
	}
}

// On a full disk a write is refused where its line is required, and counted where it is not.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.Symlink("/dev/null", path); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, Options{Mode: Required, Path: path})
	turnTo := func(l *Log, path, target string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	turnTo(l, path, "/dev/full")
	for range 10 {
		if a, err := l.Attempt(example); !errors.Is(err, ErrUnavailable) || a != nil {
			t.Fatalf("a write with a full disk: %v %v", a, err)
		}
	}
	if got := l.Failures(); got != 10 || !l.Failing() {
		t.Errorf("%d failures, want 10", got)
	}
	turnTo(l, path, "/dev/null")
	mustAttempt(t, l)
	if l.Failing() {
		t.Error("it still fails once there is room")
	}

	var output bytes.Buffer
	l = mustOpen(t, Options{Mode: BestEffort, Path: "/dev/full", Logger: slog.New(slog.NewTextHandler(&output, nil))})
	for range 10 {
		mustAttempt(t, l).Outcome(Result{Outcome: OK})
	}
	if got := l.Failures(); got != 21 {
		t.Errorf("%d failures, want 21: the first line, 10 attempts and 10 outcomes", got)
	}
	l.Close()
	if got := strings.Count(output.String(), "audit lines could not be written"); got != 1 {
		t.Errorf("%d warnings within 10 s, want 1:\n%s", got, &output)
	}
}

// A file that was moved away is opened anew, and no line is lost between the two.
func TestReopen(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "audit.log")
	l := mustOpen(t, Options{Mode: Required, Path: path})
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for range 50 {
				a, err := l.Attempt(example)
				if err != nil {
					t.Error(err)
					return
				}
				a.Outcome(Result{Outcome: OK})
			}
		})
	}
	paths := []string{path}
	for n := range 5 {
		moved := fmt.Sprintf("%s.%d", path, n)
		if err := os.Rename(path, moved); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, moved)
	}
	calls.Wait()
	l.Close()
	if text, whole := verifyFiles(t, paths...); !whole || !strings.Contains(text, "seq 1 to 802,") {
		t.Errorf("after 5 times:\n%s", text)
	}
	if got := l.Failures(); got != 0 {
		t.Errorf("%d failures", got)
	}

	// A file that cannot be opened leaves the old one in use.
	l = mustOpen(t, Options{Mode: Required, Path: filepath.Join(folder, "other.log")})
	if err := os.Rename(filepath.Join(folder, "other.log"), filepath.Join(folder, "moved.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "other.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("a folder is opened")
	}
	mustAttempt(t, l)
	if got := len(linesOf(t, filepath.Join(folder, "moved.log"))); got != 2 {
		t.Errorf("the old file has %d lines, want 2", got)
	}
}

func verifyFiles(t *testing.T, paths ...string) (string, bool) {
	t.Helper()
	var inputs []Input
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		inputs = append(inputs, Input{filepath.Base(path), f})
	}
	text, whole, err := Verify(inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return text, whole
}

// A line that the power cut off does not swallow the next one.
func TestFileThatEndsWithinALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(`{"time":"2026-11-26T12:0`), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{Mode: Required, Path: path}).Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(string(data), "\n")
	if len(all) != 4 || all[0] != `{"time":"2026-11-26T12:0` || !strings.Contains(all[1], `"kind":"start"`) {
		t.Errorf("the file is\n%s", data)
	}
	if text, whole := verifyFiles(t, path); whole || !strings.Contains(text, "audit.log:1: is no whole audit line") {
		t.Errorf("it is whole: %s", text)
	}
}
