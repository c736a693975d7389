package audit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fileVariable makes the test binary a process that writes audit lines until it is killed.
const fileVariable = "BACKUPSTORAGE_AUDIT_TEST_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(fileVariable); path != "" {
		writeUntilKilled(path)
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled prints the seq of each attempt that Attempt has returned, as the write to Graph would follow then.
func writeUntilKilled(path string) {
	l, err := Open(Options{Mode: Required, Path: path})
	if err != nil {
		panic(err)
	}
	for {
		a, err := l.Attempt(example)
		if err != nil {
			panic(err)
		}
		fmt.Println(a.seq)
		if a.seq%3 != 0 {
			a.Outcome(Result{Outcome: OK})
		}
	}
}

// A line stands for each write that began before a SIGKILL, wherever that comes.
func TestLinesSurviveSIGKILL(t *testing.T) {
	for n := range 5 {
		path := filepath.Join(t.TempDir(), "audit.log")
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), fileVariable+"="+path)
		output, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		var began []uint64
		reader := bufio.NewScanner(output)
		for reader.Scan() {
			var seq uint64
			// The last line can be cut off.
			if _, err := fmt.Sscan(reader.Text(), &seq); err == nil {
				began = append(began, seq)
			}
			if len(began) == 20+37*n {
				if err := command.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = command.Wait()
		there := make(map[uint64]bool)
		for _, l := range linesOf(t, path) {
			if l.Kind == kindAttempt {
				there[l.Seq] = true
			}
		}
		for _, seq := range began[:len(began)-1] {
			if !there[seq] {
				t.Errorf("a write began with seq %d, and has no line", seq)
			}
		}
		text, whole := verifyFiles(t, path)
		if !whole || !strings.Contains(text, "has no outcome, the write may have been carried out: ") ||
			!strings.Contains(text, "there is no last line") {
			t.Errorf("after SIGKILL:\n%s", text)
		}
	}
}
