package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// abuseVariable is set for the whole of TestAbuse; without it there are fewer connections and less time.
const abuseVariable = "BACKUPSTORAGE_ABUSE"

// abuseMemory is what the server may have at most, in MiB: the bounds of requests and responses, and its connections.
const abuseMemory = 1200

// abuser opens connections to the server that do what no client should.
type abuser struct {
	address string
	config  *tls.Config
	// token is that of a caller.
	token string
	// opened counts connections, streams what was begun on them.
	opened, streams atomic.Int64
	next            atomic.Int64
}

// dial connects from one of 200 addresses of this machine, so that not the limit of one address is what is tried.
func (a *abuser) dial(ctx context.Context) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+a.next.Add(1)%200))}
	conn, err := (&net.Dialer{LocalAddr: from}).DialContext(ctx, "tcp", a.address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	a.opened.Add(1)
	return conn, nil
}

// rawClient is an HTTP/2 client whose frames are written one by one. It takes all frames and never opens a window.
type rawClient struct {
	conn   net.Conn
	framer *http2.Framer
	next   uint32
	closed chan struct{}
}

func (a *abuser) open(ctx context.Context, window uint32) (*rawClient, error) {
	plain, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, a.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	c := &rawClient{conn: conn, framer: http2.NewFramer(conn, conn), next: 1, closed: make(chan struct{})}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return nil, err
	}
	if err := c.framer.WriteSettingsAck(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.closed)
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}()
	return c, nil
}

// begin writes the headers of a call.
func (c *rawClient) begin(token string, ended bool) (stream uint32, err error) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":path", listMethod}, {":authority", "test"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	}
	if token != "" {
		fields = append(fields, [2]string{"authorization", "Bearer " + token})
	}
	for _, f := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	stream = c.next
	c.next += 2
	return stream, c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: ended})
}

// hold waits until the time is over or the server has closed the connection.
func (c *rawClient) hold(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-c.closed:
	}
}

// abuses are what one connection does, again and again until the time is over.
var abuses = []struct {
	name string
	// short and whole are how many connections there are at once.
	short, whole int
	do           func(ctx context.Context, a *abuser)
}{
	{"connections that say nothing", 200, 2000, func(ctx context.Context, a *abuser) {
		if conn, err := a.dial(ctx); err == nil {
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	}},
	{"connections that say nothing after the handshake of TLS", 200, 2000, func(ctx context.Context, a *abuser) {
		if plain, err := a.dial(ctx); err == nil {
			conn := tls.Client(plain, a.config)
			if conn.HandshakeContext(ctx) == nil {
				_, _ = io.Copy(io.Discard, conn)
			}
			plain.Close()
		}
	}},
	{"headers without end", 4, 16, func(ctx context.Context, a *abuser) {
		c, err := a.open(ctx, 0)
		if err != nil {
			return
		}
		defer c.conn.Close()
		a.streams.Add(1)
		block := bytes.Repeat([]byte("\x00\x01a\x7f\x80\x3e"+strings.Repeat("x", 190)), 80)
		err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}})
		for err == nil {
			err = c.framer.WriteContinuation(1, false, block)
		}
	}},
	{"headers that are too large", 4, 16, func(ctx context.Context, a *abuser) {
		c, err := a.open(ctx, 0)
		if err != nil {
			return
		}
		defer c.conn.Close()
		for err == nil {
			a.streams.Add(1)
			_, err = c.begin(strings.Repeat("x", 15_900), true)
		}
	}},
	// Floods that take all processor time: more connections only divide it among more of them.
	{"rapid reset by strangers", 4, 16, rapidReset(false)},
	{"rapid reset by a caller", 4, 16, rapidReset(true)},
	{"readers that do not read", 20, 200, func(ctx context.Context, a *abuser) {
		c, err := a.open(ctx, 0)
		if err != nil {
			return
		}
		defer c.conn.Close()
		for range 50 {
			stream, err := c.begin(a.token, false)
			if err != nil || c.framer.WriteData(stream, true, make([]byte, 5)) != nil {
				return
			}
			a.streams.Add(1)
		}
		c.hold(ctx)
	}},
	{"streams that stay half open", 20, 200, func(ctx context.Context, a *abuser) {
		c, err := a.open(ctx, 64<<10)
		if err != nil {
			return
		}
		defer c.conn.Close()
		for range 250 {
			if _, err := c.begin(a.token, false); err != nil {
				return
			}
			a.streams.Add(1)
		}
		c.hold(ctx)
	}},
	{"bodies of 8 MiB of strangers", 200, 5000, func(ctx context.Context, a *abuser) {
		c, err := a.open(ctx, 64<<10)
		if err != nil {
			return
		}
		defer c.conn.Close()
		// As much as the window of the connection lets through, with every new stream.
		for range 4 {
			stream, err := c.begin("", false)
			if err == nil {
				err = c.framer.WriteData(stream, false, binary.BigEndian.AppendUint32([]byte{0}, 8<<20-1))
			}
			if err == nil {
				err = c.framer.WriteData(stream, false, make([]byte, 16<<10-6))
			}
			if err != nil {
				return
			}
			a.streams.Add(1)
		}
		c.hold(ctx)
	}},
}

// rapidReset begins calls and cancels each at once.
func rapidReset(known bool) func(ctx context.Context, a *abuser) {
	return func(ctx context.Context, a *abuser) {
		c, err := a.open(ctx, 64<<10)
		if err != nil {
			return
		}
		defer c.conn.Close()
		token := ""
		if known {
			token = a.token
		}
		for {
			stream, err := c.begin(token, false)
			if err == nil {
				err = c.framer.WriteRSTStream(stream, http2.ErrCodeCancel)
			}
			if err != nil {
				return
			}
			a.streams.Add(1)
		}
	}
}

// TestAbuse has clients that do what no client should, over TLS: callers are served meanwhile, memory stays bounded,
// and within 5 s after it all is as before. The whole, with up to 15,000 connections, is
//
//	BACKUPSTORAGE_ABUSE=whole go test ./cmd/server -run Abuse -v -timeout 15m
func TestAbuse(t *testing.T) {
	whole := os.Getenv(abuseVariable) != ""
	length := time.Second
	if testing.Short() {
		length = 200 * time.Millisecond
	}
	if whole {
		length = 10 * time.Second
	}
	d := newDesk(t, "BACKUPSTORAGE_AUDIT=off", "BACKUPSTORAGE_AUDIT_FILE=")
	d.log.discard()
	operator := d.connect(t, "operator")
	if err := list(t.Context(), operator); err != nil {
		t.Fatal(err)
	}
	for n, c := range abuses {
		t.Run(c.name, func(t *testing.T) {
			connections := c.short
			if whole {
				connections = c.whole
			}
			ctx, cancel := context.WithTimeout(t.Context(), length)
			defer cancel()
			end := d.abusers(t, fmt.Sprintf("%d %d %s", connections, n, length))
			served := d.served(ctx, t, operator)
			said := end()
			after := d.servedAfter(t)
			t.Logf("%s: %d calls of others, %d repeats, the slowest %v; memory at most %d MiB; a new caller was served %v after",
				said, served.calls, served.repeats, served.slowest, served.memory, after)
			served.check(t)
		})
	}
	t.Run("15,000 connections of two processes", func(t *testing.T) {
		connections := 300
		if whole {
			connections = 7500
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var ends []func() string
		for range 2 {
			// They open their connections one process after the other, and hold them all.
			ends = append(ends, d.abusers(t, fmt.Sprintf("%d -1 0s", connections)))
		}
		stop := time.AfterFunc(length, cancel)
		defer stop.Stop()
		served := d.served(ctx, t, operator)
		for _, end := range ends {
			end()
		}
		after := d.servedAfter(t)
		t.Logf("%d calls of others, %d repeats, the slowest %v; memory at most %d MiB; a new caller was served %v after", served.calls, served.repeats, served.slowest, served.memory, after)
		served.check(t)
	})
	if err := d.stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

// asAbusers makes the test binary abuse a server instead of running its tests: ADDRESS FOLDER CONNECTIONS N TIME. N is
// one of abuses; -1 stands for connections that pass the handshake and are held until the standard input ends.
const asAbusers = "TEST_AS_ABUSERS"

// abusers starts a process that abuses the server, so that what others see is not what their own process is busy with.
// It returns when the process has begun. end waits for it, and returns what it says.
func (d *desk) abusers(t *testing.T, what string) (end func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), self)
	process.Env = []string{fmt.Sprintf("%s=%s %s %s", asAbusers, d.address, d.folder, what)}
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the abusers ended: %v", process.Wait())
	}
	t.Logf("a process %s", lines.Text())
	return func() string {
		in.Close()
		lines.Scan()
		said := lines.Text()
		if err := process.Wait(); err != nil {
			t.Errorf("the abusers ended with %v", err)
		}
		return said
	}
}

// runAbusers is the process of abusers.
func runAbusers(text string) error {
	var address, folder, length string
	var connections, n int
	if _, err := fmt.Sscan(text, &address, &folder, &connections, &n, &length); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(folder, "reader.token"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(content)
	a := &abuser{address: address, token: string(token), config: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}}}
	var running sync.WaitGroup
	if n < 0 {
		var held, refused atomic.Int64
		for part := range 50 {
			running.Go(func() {
				for range (connections + part) / 50 {
					if _, err := a.open(context.Background(), 64<<10); err != nil {
						refused.Add(1)
					} else {
						held.Add(1)
					}
				}
			})
		}
		running.Wait()
		fmt.Printf("has %d connections, and %d were refused\n", held.Load(), refused.Load())
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	limit, err := time.ParseDuration(length)
	if err != nil {
		return err
	}
	fmt.Printf("begins with %d connections at once\n", connections)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for range connections {
		running.Go(func() {
			for ctx.Err() == nil {
				abuses[n].do(ctx, a)
				wait(ctx, pause)
			}
		})
	}
	running.Wait()
	fmt.Printf("%d connections, %d streams\n", a.opened.Load(), a.streams.Load())
	return nil
}

// pause is the time before a connection that has ended is opened again.
const pause = 20 * time.Millisecond

// wait waits for a time, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// servedCalls is what others saw.
type servedCalls struct {
	calls, repeats, failed, memory int
	slowest                        time.Duration
	last                           error
}

// served calls as an operator, over a connection that was there before, until the context ends.
func (d *desk) served(ctx context.Context, t *testing.T, operator pb.ProtectionPolicyServiceClient) (s servedCalls) {
	t.Helper()
	for ctx.Err() == nil {
		// The abusers' calls are of the tenant that has none named.
		call, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantB), 10*time.Second)
		began := time.Now()
		err := list(call, operator)
		// In a burst the places can all be taken for a moment, by calls that are about to be refused. Callers come again.
		for reasonOf(err) == "SERVER_OVERLOADED" && call.Err() == nil {
			s.repeats++
			err = list(call, operator)
		}
		cancel()
		s.calls++
		s.slowest = max(s.slowest, time.Since(began))
		if err != nil {
			s.failed++
			s.last = err
		}
		s.memory = max(s.memory, memoryOf(t, d.server.Process.Pid))
	}
	return s
}

func (s *servedCalls) check(t *testing.T) {
	t.Helper()
	if s.failed > 0 || s.calls == 0 {
		t.Errorf("of %d calls of others %d failed: %v", s.calls, s.failed, s.last)
	}
	if s.memory > abuseMemory {
		t.Errorf("the server had %d MiB, want at most %d", s.memory, abuseMemory)
	}
}

// servedAfter returns how long it takes until a caller with a new connection is served.
func (d *desk) servedAfter(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := list(t.Context(), d.connect(t, "reader"))
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > 5*time.Second {
			t.Errorf("no new caller is served 5 s after: %v", err)
			return time.Since(began)
		}
	}
}
