package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// blockedWriter takes nothing until it is opened.
type blockedWriter struct {
	open chan struct{}
	bytes.Buffer
}

func (w *blockedWriter) Write(p []byte) (int, error) {
	<-w.open
	return w.Buffer.Write(p)
}

func TestLogQueueDropsAndCounts(t *testing.T) {
	out := &blockedWriter{open: make(chan struct{})}
	q := newLogQueue(out)
	const lines = queuedLines + 500
	for n := range lines {
		fmt.Fprintf(q, "line %d\n", n)
	}
	close(out.open)
	q.close()
	text := out.String()
	written := strings.Count(text, "line ")
	// One line more than the queue holds, if it was taken out before the queue was full.
	if written != queuedLines && written != queuedLines+1 {
		t.Errorf("%d lines were written", written)
	}
	if want := fmt.Sprintf(`"count":%d`, lines-written); strings.Count(text, `"count"`) != 1 || !strings.Contains(text, want) {
		t.Errorf("the log does not say %s:\n%.300s", want, text)
	}
	if !strings.HasPrefix(text, "line 0\n") || strings.Index(text, "line 1\n") > strings.Index(text, "line 2\n") {
		t.Errorf("the order is lost: %.50s", text)
	}
	fmt.Fprintln(q, "late")
	if out.String() != text {
		t.Error("a closed queue still writes")
	}
}

// sizesWriter notes what it is given, and takes nothing until it is opened.
type sizesWriter struct {
	open   chan struct{}
	writes []string
}

func (w *sizesWriter) Write(p []byte) (int, error) {
	<-w.open
	w.writes = append(w.writes, string(p))
	return len(p), nil
}

// Lines that wait are written together, as many as a pipe takes as a whole.
func TestLogQueueWritesLinesTogether(t *testing.T) {
	out := &sizesWriter{open: make(chan struct{})}
	q := newLogQueue(out)
	const lines, long = 500, writtenAtOnce + 100
	for n := range lines {
		fmt.Fprintf(q, "line %d of the log of the server\n", n)
	}
	fmt.Fprintln(q, strings.Repeat("x", long))
	close(out.open)
	q.close()
	if n := len(out.writes); n > 10 {
		t.Errorf("%d writes of %d lines", n, lines)
	}
	for _, written := range out.writes {
		if !strings.HasSuffix(written, "\n") || len(written) > writtenAtOnce && len(written) != long+1 {
			t.Errorf("%d bytes were written at once, which end in %q", len(written), written[len(written)-1:])
		}
	}
	if all := strings.Join(out.writes, ""); strings.Count(all, "\n") != lines+1 {
		t.Errorf("%d lines were written", strings.Count(all, "\n"))
	}
}

// A line that comes alone is written at once, and lines that follow are written together: each write costs what a tenth
// of a call does.
func TestLogQueueGathersLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sizesWriter{open: make(chan struct{})}
		close(out.open)
		q := newLogQueue(out)
		const lines = 50
		for n := range lines {
			fmt.Fprintf(q, "line %d\n", n)
			synctest.Wait()
			if n == 0 && len(out.writes) != 1 {
				t.Error("the first line was not written at once")
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(gatherTime)
		synctest.Wait()
		if n := len(out.writes); n > 1+lines/int(gatherTime/time.Millisecond)+1 || strings.Count(strings.Join(out.writes, ""), "\n") != lines {
			t.Errorf("%d writes of %d lines", n, lines)
		}
		// Half a queue does not wait.
		before := len(out.writes)
		for n := range queuedLines - 1 {
			fmt.Fprintf(q, "line %d\n", n)
		}
		synctest.Wait()
		if len(out.writes) == before {
			t.Error("many lines waited for more")
		}
		fmt.Fprintln(q, "last")
		q.close()
		if all := strings.Join(out.writes, ""); !strings.HasSuffix(all, "last\n") || strings.Count(all, "\n") != lines+queuedLines {
			t.Errorf("%d lines were written in the end", strings.Count(all, "\n"))
		}
	})
}

func TestLogQueueEndsInTime(t *testing.T) {
	out := &blockedWriter{open: make(chan struct{})}
	q := newLogQueue(out)
	fmt.Fprintln(q, "line")
	began := time.Now()
	q.close()
	if took := time.Since(began); took < flushTime || took > flushTime+5*time.Second {
		t.Errorf("closing took %v", took)
	}
	close(out.open)
	<-q.done
}

// calls makes calls one after another, each within 2 s.
func calls(t *testing.T, conn *grpc.ClientConn, n int) {
	t.Helper()
	for i := range n {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		ctx, _ = as(ctx, emulator.TenantA, "")
		_, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
		cancel()
		if err != nil {
			t.Fatalf("call %d: %v", i+1, err)
		}
	}
}

// A pipe holds some 272 lines of the log. When nobody reads it, calls go on, and SIGTERM ends the process.
func TestLogThatNobodyReads(t *testing.T) {
	server, _ := process(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	server.Stderr = write
	conn, stop := begin(t, server)
	write.Close()
	calls(t, conn, 2000)
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(15 * time.Second):
		t.Error("SIGTERM does not end the process")
		_ = server.Process.Kill()
		<-ended
	}
	// What was written is whole lines.
	lines := bufio.NewScanner(read)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "{") {
		t.Errorf("the log begins with %q", lines.Text())
	}
}

// A reader of the log that goes away does not end the process. Nor does SIGHUP, which a terminal sends when it closes.
func TestLogWhoseReaderIsGone(t *testing.T) {
	server, _ := process(t)
	server.Stderr = nil
	log, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	conn, stop := begin(t, server)
	calls(t, conn, 1)
	log.Close()
	calls(t, conn, 50)
	if err := server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	calls(t, conn, 50)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
