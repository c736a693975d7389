// Package redistest starts a real redis-server for tests, and does to it what happens to one. It is the one of the
// PATH: Debian has it in the package redis-server.
package redistest

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/m365backup/backupstorage/internal/freeport"
)

// startTime is how long a redis-server may take to answer.
const startTime = 10 * time.Second

// Server is a redis-server, whose data is in memory alone.
type Server struct {
	// Address is its host and port, which stay the same when it starts anew.
	Address string
	// Raw talks to it, without any of the server's own rules.
	Raw *goredis.Client

	t                 testing.TB
	before, arguments []string
	process           *exec.Cmd
	ended             chan struct{}
}

// Start starts a redis-server with further arguments, such as "--requirepass", "secret". The test ends it.
func Start(tb testing.TB, arguments ...string) *Server {
	tb.Helper()
	return start(tb, nil, append([]string{"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"}, arguments...))
}

// start starts a redis-server with arguments that stand before and after the address.
func start(tb testing.TB, before, arguments []string) *Server {
	tb.Helper()
	s := &Server{Address: freeport.ForTest(tb), t: tb, before: before, arguments: arguments}
	options := &goredis.Options{Addr: s.Address, DisableIdentity: true, MaxRetries: -1, DialTimeout: startTime, ReadTimeout: startTime}
	for i, argument := range arguments {
		if argument == "--requirepass" {
			options.Password = arguments[i+1]
		}
	}
	s.Raw = goredis.NewClient(options)
	s.Restart()
	tb.Cleanup(func() {
		_ = s.Raw.Close()
		s.Kill()
	})
	return s
}

// URL is that of the server.
func (s *Server) URL() string { return "redis://" + s.Address }

// Restart starts the server, which has lost its data, and returns when it answers.
func (s *Server) Restart() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Address)
	arguments := slices.Concat(s.before, []string{"--port", port, "--bind", "127.0.0.1", "--dir", s.t.TempDir()}, s.arguments)
	s.process, s.ended = exec.Command("redis-server", arguments...), make(chan struct{})
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func(process *exec.Cmd, ended chan struct{}) {
		_ = process.Wait()
		close(ended)
	}(s.process, s.ended)
	Eventually(s.t, "redis-server answers", func() bool {
		err := s.Raw.Ping(context.Background()).Err()
		// One without a plain port is asked by the test itself.
		return err == nil || goredis.IsAuthError(err)
	})
}

// Kill ends the server at once, also one that is frozen.
func (s *Server) Kill() {
	_ = s.process.Process.Signal(syscall.SIGKILL)
	<-s.ended
}

// Freeze lets the server answer nothing, on connections that stay open.
func (s *Server) Freeze() { _ = s.process.Process.Signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { _ = s.process.Process.Signal(syscall.SIGCONT) }

// Do sends a command that has to succeed.
func (s *Server) Do(arguments ...any) any {
	s.t.Helper()
	result, err := s.Raw.Do(context.Background(), arguments...).Result()
	if err != nil && err != goredis.Nil { //nolint:errorlint // It is never wrapped.
		s.t.Fatalf("%v: %v", arguments, err)
	}
	return result
}

// Monitor is what MONITOR shows: the commands that reach the server from now on.
type Monitor struct {
	mu    sync.Mutex
	lines []string
}

// Monitor begins to watch the commands.
func (s *Server) Monitor() *Monitor {
	s.t.Helper()
	connection, err := new(net.Dialer).DialContext(context.Background(), "tcp", s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = connection.Close() })
	if _, err := connection.Write([]byte("MONITOR\r\n")); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(connection)
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		s.t.Fatalf("MONITOR: %q, %v", line, err)
	}
	m := new(Monitor)
	go func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			m.mu.Lock()
			m.lines = append(m.lines, strings.TrimSpace(line))
			m.mu.Unlock()
		}
	}()
	return m
}

// Lines are the commands until now: each has its time, its connection and its arguments in quotes.
func (m *Monitor) Lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.lines...)
}

// Eventually waits until a condition holds.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(startTime); !holds(); {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", startTime, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// StartPair starts a master, its replica, and a Sentinel that knows both under the master's name.
func StartPair(tb testing.TB, name string) (master, replica, sentinel *Server) {
	tb.Helper()
	master, replica = Start(tb), Start(tb)
	host, port, _ := net.SplitHostPort(master.Address)
	replica.Do("replicaof", host, port)
	sentinel = StartSentinel(tb, name, master.Address)
	Eventually(tb, "the Sentinel knows the replica", func() bool {
		list, _ := sentinel.Do("sentinel", "replicas", name).([]any)
		return len(list) == 1
	})
	return master, replica, sentinel
}

// StartSentinel starts a Sentinel that watches a master under a name, alone, and takes it for gone after half a second.
func StartSentinel(tb testing.TB, name, master string) *Server {
	tb.Helper()
	host, port, _ := net.SplitHostPort(master)
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	text := strings.Join([]string{
		"sentinel monitor " + name + " " + host + " " + port + " 1", "sentinel down-after-milliseconds " + name + " 500",
		"sentinel failover-timeout " + name + " 5000", "",
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return start(tb, []string{file, "--sentinel"}, nil)
}
