package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects to a listener and returns both ends; the server's is nil when it refused the connection.
func dial(t *testing.T, l *Listener, accepted <-chan net.Conn) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = client.Read(make([]byte, 1))
	}()
	select {
	case server = <-accepted:
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("neither accepted nor refused")
	}
	return client, server
}

// listen accepts connections of loopback.
func listen(t *testing.T, limits Limits) (*Listener, <-chan net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, limits)
	accepted := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			accepted <- conn
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l, accepted
}

func TestConnectionsAreBounded(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits Limits
		want   int
	}{
		{"of all", Limits{Connections: 3, ConnectionsPerPeer: 3}, 3},
		{"of one peer", Limits{Connections: 100, ConnectionsPerPeer: 2}, 2},
		{"of one peer, a tenth by default", Limits{Connections: 40}, 4},
		{"of one peer, at least one", Limits{Connections: 5}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, accepted := listen(t, test.limits)
			var last net.Conn
			for n := range test.want {
				if _, last = dial(t, l, accepted); last == nil {
					t.Fatalf("connection %d was refused", n+1)
				}
			}
			if _, server := dial(t, l, accepted); server != nil {
				t.Fatal("one too many was accepted")
			}
			if l.Refused() != 1 {
				t.Errorf("%d were counted as refused", l.Refused())
			}
			last.Close()
			last.Close() // Twice is once.
			if _, server := dial(t, l, accepted); server == nil {
				t.Error("the place of a closed connection is not free")
			}
		})
	}
}

// held makes a response on a connection and marshals it; free is what gRPC does when it has written it.
func held(t *testing.T, conn net.Conn, deadline time.Time, size int, released *int) (free func()) {
	t.Helper()
	ctx := t.Context()
	if conn != nil {
		ctx = peer.NewContext(ctx, &peer.Peer{Addr: conn.RemoteAddr()})
	}
	marshalled := -1
	message := wrapperspb.Bytes(make([]byte, size))
	r := NewResponse(ctx, deadline, message, func(n int) { marshalled = n }, func() { *released++ })
	data, err := Codec{}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if got := data.Materialize(); string(got) != string(want) || marshalled != len(want) {
		t.Errorf("%d bytes, counted as %d, want %d", len(got), marshalled, len(want))
	}
	return data.Free
}

// A response is released once, whatever its size: when gRPC frees it, or when its connection ends.
func TestResponseIsReleasedOnce(t *testing.T) {
	l, accepted := listen(t, Limits{})
	for _, size := range []int{0, 1, 1000, 1024, 2000, 5000, 2 << 20} {
		for name, end := range map[string]func(free func(), conn net.Conn){
			"freed":               func(free func(), _ net.Conn) { free() },
			"connection ended":    func(_ func(), conn net.Conn) { conn.Close() },
			"freed and ended":     func(free func(), conn net.Conn) { free(); conn.Close() },
			"ended and freed":     func(free func(), conn net.Conn) { conn.Close(); free() },
			"not of a Listener's": nil,
		} {
			released := 0
			if end == nil {
				free := held(t, nil, time.Now().Add(time.Minute), size, &released)
				free()
			} else {
				_, server := dial(t, l, accepted)
				free := held(t, server, time.Now().Add(time.Minute), size, &released)
				if released != 0 {
					t.Errorf("%d bytes, %s: released at once", size, name)
				}
				end(free, server)
			}
			if released != 1 {
				t.Errorf("%d bytes, %s: released %d times", size, name, released)
			}
		}
	}
}

// A response that was marshalled after the end of its connection is released at once.
func TestResponseOfAClosedConnection(t *testing.T) {
	l, accepted := listen(t, Limits{})
	_, server := dial(t, l, accepted)
	address := server.RemoteAddr()
	server.Close()
	released := 0
	r := NewResponse(peer.NewContext(t.Context(), &peer.Peer{Addr: address}), time.Now(), wrapperspb.Bool(true), func(int) {}, func() { released++ })
	data, err := Codec{}.Marshal(r)
	if err != nil || released != 1 {
		t.Errorf("released %d times, %v", released, err)
	}
	data.Free()
}

// pipeListener accepts the ends of pipes, which synctest can wait for.
type pipeListener struct {
	conns chan net.Conn
	once  chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.once:
		return nil, errors.New("closed")
	}
}
func (p *pipeListener) Close() error   { close(p.once); return nil }
func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// A connection whose client takes no response is closed 5 s after the deadline of the call, and no other one is.
func TestUntakenResponseCostsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipeListener{conns: make(chan net.Conn, 2), once: make(chan struct{})}
		l := Listen(p, Limits{})
		accept := func() (client, server net.Conn) {
			client, inner := net.Pipe()
			p.conns <- inner
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return client, server
		}
		stalled, one := accept()
		other, two := accept()
		released := 0
		begin := time.Now()
		held(t, one, begin.Add(10*time.Second), 100_000, &released)
		taken := 0
		held(t, two, begin.Add(10*time.Second), 100_000, &taken)()
		if _, err := stalled.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read: %v", err)
		}
		if took := time.Since(begin); took < 15*time.Second || took > 17*time.Second {
			t.Errorf("closed after %v, want 15 s", took)
		}
		synctest.Wait()
		if released != 1 || taken != 1 || l.Cut() != 1 {
			t.Errorf("released %d, taken %d, cut %d", released, taken, l.Cut())
		}
		go func() { _, _ = two.Write([]byte{1}) }()
		if _, err := other.Read(make([]byte, 1)); err != nil {
			t.Errorf("the other connection: %v", err)
		}
		l.Close()
		two.Close()
	})
}

// hold begins what a call of a tenant holds.
func hold(b *Bytes, tenant string) *Holding {
	h := new(Holding)
	b.Hold(h, tenant)
	return h
}

// A tenant gets more bytes while it holds less than what is free.
func TestBytesAreShared(t *testing.T) {
	b := NewBytes(100)
	greedy := hold(b, "a")
	if !greedy.Grow(50) || greedy.Grow(1) {
		t.Error("one tenant alone gets half, and no more")
	}
	more := hold(b, "a")
	if more.Grow(1) {
		t.Error("the share is the tenant's, not the call's")
	}
	other := hold(b, "b")
	if !other.Grow(25) || other.Grow(1) {
		t.Error("a second tenant gets half of the rest, and no more")
	}
	other.Set(5)
	if b.Held() != 55 {
		t.Errorf("%d are held", b.Held())
	}
	// What is there already is counted, whether it fits or not.
	other.Set(1000)
	if hold(b, "c").Grow(1) {
		t.Error("more fits into what is full")
	}
	for range 2 {
		other.Release()
		greedy.Release()
	}
	if greedy.Grow(1) || b.Held() != 0 || len(b.byTenant) != 0 {
		t.Errorf("after the release %d are held, %v", b.Held(), b.byTenant)
	}
}

// What is no Response goes to protobuf's codec.
func TestCodecOfOtherMessages(t *testing.T) {
	data, err := Codec{}.Marshal(wrapperspb.String("x"))
	if err != nil {
		t.Fatal(err)
	}
	back := new(wrapperspb.StringValue)
	if err := (Codec{}).Unmarshal(data, back); err != nil || back.GetValue() != "x" {
		t.Errorf("%v, %v", back, err)
	}
	if _, err := (Codec{}).Marshal("no message"); err == nil {
		t.Error("a text was marshalled")
	}
	released := 0
	bad := NewResponse(context.Background(), time.Now(), wrapperspb.String("\xff"), func(int) {}, func() { released++ })
	if _, err := (Codec{}).Marshal(bad); err == nil || released != 1 {
		t.Errorf("invalid UTF-8: %v, released %d times", err, released)
	}
}
