package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc/test/bufconn"
)

const (
	// pipeBytes is how much a pipe holds in each direction.
	pipeBytes = 16 << 10
	// streamBytes and connectionBytes are how much of responses may be on its way through a pipe. What a client does not
	// take stays in the gRPC server, which counts it.
	streamBytes     = 256 << 10
	connectionBytes = 1 << 20
	// backendIdle is how long a pipe is kept for the next call of its client.
	backendIdle = time.Minute
)

// Pipes is a listener of connections within this process. Only the web port connects to it.
type Pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// NewPipes returns a listener for the gRPC server.
func NewPipes() *Pipes {
	return &Pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the next connection.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener. Its connections go on.
func (p *Pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address that nobody can connect to.
func (p *Pipes) Addr() net.Addr { return pipeAddr("web") }

// dial connects as the client with this address.
func (p *Pipes) dial(ctx context.Context, client string) (net.Conn, error) {
	// Without a buffer both ends would wait for each other: HTTP/2 begins with both of them writing.
	one := bufconn.Listen(pipeBytes)
	defer func() { _ = one.Close() }()
	far := make(chan net.Conn, 1)
	go func() {
		if conn, err := one.Accept(); err == nil {
			far <- conn
		}
	}()
	near, err := one.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	server := <-far
	select {
	case p.accepted <- pipe{server, pipeAddr(client)}:
		return near, nil
	case <-p.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, near.Close(), server.Close())
}

// pipe is the server's end of a connection. Its peer is the client of the web port.
type pipe struct {
	net.Conn
	client pipeAddr
}

// RemoteAddr returns the address of the client. It is no net.TCPAddr: those have a cap for each address, and the web
// port has one of its own.
func (p pipe) RemoteAddr() net.Addr { return p.client }

// pipeAddr is the address of a client of the web port, with its port.
type pipeAddr string

// Network implements net.Addr.
func (pipeAddr) Network() string { return "web" }

// String implements net.Addr.
func (a pipeAddr) String() string { return string(a) }

// backend is the connection of one client to the gRPC server. It is made with the first call.
type backend struct {
	pipes     *Pipes
	client    string
	mu        sync.Mutex
	transport *http.Transport
	closed    bool
}

type backendKey struct{}

// of returns the backend of the connection of a request.
func backendOf(ctx context.Context) *backend {
	b, _ := ctx.Value(backendKey{}).(*backend)
	return b
}

var errNoBackend = errors.New("the client's connection has ended")

// RoundTrip implements http.RoundTripper.
func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	if b == nil {
		return nil, errNoBackend
	}
	b.mu.Lock()
	if b.transport == nil && !b.closed {
		b.transport = b.open()
	}
	transport := b.transport
	b.mu.Unlock()
	if transport == nil {
		return nil, errNoBackend
	}
	return transport.RoundTrip(r)
}

func (b *backend) open() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols: protocols, DisableCompression: true, IdleConnTimeout: backendIdle,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.pipes.dial(ctx, b.client) },
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamBytes, MaxReceiveBufferPerConnection: connectionBytes,
		},
	}
}

// close lets the pipe go when its last call has ended.
func (b *backend) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.transport != nil {
		b.transport.CloseIdleConnections()
		b.transport = nil
	}
}
