package graph

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/connection"
	"github.com/m365backup/backupstorage/graph/internal/share"
)

const (
	// idlePerHost is how many idle connections to Graph stay open, or as many as reads can be under way if that is more.
	// With net/http's default of 2, most requests under load would need a new handshake: BenchmarkIdleConnections prints
	// what that costs.
	idlePerHost = 256
	// maxReads is how many reads are under way at once by default. With a thousand handshakes at once, each would exceed
	// its time limit.
	maxReads = 512
	// maxWrites bounds the connections for writes over TLS. Over HTTP/2 writes soon share the first one: without a bound,
	// each of a thousand writes would start a handshake before there is one, and again with every renewal. A connection
	// that is full of streams does not count, so that no write waits for another. Without HTTP/2 it is how many writes are
	// under way at once.
	maxWrites = 64
	// manyTimes is how many requests wait for each read that can be under way, and how many writes are under
	// way over HTTP/2. Neither costs a connection.
	manyTimes = 8
	// headTime is how long a request waits for the head of its response, within its deadline.
	headTime = 60 * time.Second
	// Connections are renewed after minAge to maxAge, so that a change of Graph's addresses is noticed. The age is random,
	// so that not all replicas renew at once.
	minAge, maxAge = 10 * time.Minute, 15 * time.Minute
)

// way selects the connections for a request.
type way struct {
	// write separates writes from reads: pages are cheaper over several HTTP/1.1 connections, until there are too many of
	// them, and for writes HTTP/2 says what was not processed.
	write bool
	// fresh asks for a connection for this request alone: after a 503 another server may have capacity, and a large body
	// must not fill the window that the writes of all tenants share.
	fresh bool
	// bundle are the reads that a read shares a connection with; nil for a connection of its own.
	bundle *bundle
	// generation has the transports; nil for the current ones.
	generation *generation
}

// connections are the transports of a client. They are replaced from time to time; requests under way keep theirs.
type connections struct {
	roots *x509.CertPool
	// maxReads and maxWrites are how many requests are under way at once, over HTTP/1.1.
	maxReads, maxWrites int
	// headTime is how long a request waits for the head of its response.
	headTime time.Duration
	current  atomic.Pointer[generation]
	mu       sync.Mutex
	// pulses are those of the reads and of the writes.
	pulses  [2]pulse
	bundles bundles
	conns   connection.Conns
}

// pulse is a sign of life of connections that are reused.
type pulse struct {
	mu sync.Mutex
	// heard is when a byte came over one, closed when the idle ones were closed because of silence.
	heard, closed time.Time
}

// generation is a set of transports that are in use together, and the set before it, whose requests may not have ended.
type generation struct {
	reads, writes, fresh *http.Transport
	until                time.Time
	before               *generation
}

func newConnections(roots *x509.CertPool, maxReads, maxWrites int) *connections {
	c := &connections{roots: roots, maxReads: maxReads, maxWrites: maxWrites, headTime: headTime}
	c.bundles.connections, c.bundles.most = c, aloneReads
	c.current.Store(c.generation())
	return c
}

func (c *connections) generation() *generation {
	g := &generation{
		// A connection that is made for a read that has given up counts as well, so that there have to be more of them than
		// reads: nobody must wait here for what another tenant does.
		reads:  c.transport(false, 2*c.maxReads),
		writes: c.transport(true, c.maxWrites),
		fresh:  c.transport(false, 0),
		until:  time.Now().Add(minAge + rand.N(maxAge-minAge)),
	}
	g.fresh.DisableKeepAlives = true
	// A read looks at the time itself, with the timer that it has: net/http would make another one.
	g.reads.ResponseHeaderTimeout = 0
	return g
}

// get returns the transports to use now.
func (c *connections) get(now time.Time) *generation {
	if g := c.current.Load(); now.Before(g.until) {
		return g
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.current.Load()
	if now.Before(old.until) {
		return old
	}
	next := c.generation()
	next.before, old.before = old, nil
	c.current.Store(next)
	// A connection in use is closed later, when it has been idle for IdleConnTimeout.
	old.closeIdle()
	return next
}

func (c *connections) roundTrip(request *http.Request, way way) (*http.Response, error) {
	g := way.generation
	if g == nil {
		g = c.get(time.Now())
	}
	switch {
	case way.fresh:
		if _, ok := request.Body.(emptyBody); ok {
			// Fresh connections have no HTTP/2, so the empty body need not be hidden.
			request.Body = http.NoBody
		}
		return g.fresh.RoundTrip(request)
	case way.write:
		return g.writes.RoundTrip(request)
	case way.bundle != nil:
		return way.bundle.roundTrip(request, g)
	}
	return g.reads.RoundTrip(request)
}

// giveUpDialing ends the dials that no write waits for any more. A dial outlives the write that started it, and one
// that hangs would count against maxWrites.
func (c *connections) giveUpDialing() {
	// net/http ends such dials when it closes idle connections.
	c.current.Load().writes.CloseIdleConnections()
}

// heard notes that a byte came over a connection that is reused.
func (c *connections) heard(way way) {
	if way.bundle != nil {
		way.bundle.hears()
		return
	}
	p := c.pulse(way)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
}

// suspect closes the idle connections unless one that is reused got a byte after the given time, since which a request
// has got none: they may all have died without notice.
func (c *connections) suspect(way way, since time.Time) {
	switch {
	case way.bundle != nil:
		way.bundle.suspect(since)
	case !c.pulse(way).stopped(since):
	case way.write:
		c.current.Load().writes.CloseIdleConnections()
	default:
		c.current.Load().reads.CloseIdleConnections()
	}
}

func (p *pulse) stopped(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.heard.After(since) || now.Sub(p.closed) < closeInterval {
		return false
	}
	p.closed = now
	return true
}

func (c *connections) pulse(way way) *pulse {
	if way.write {
		return &c.pulses[1]
	}
	return &c.pulses[0]
}

// close closes all connections for good.
func (c *connections) close() {
	c.closeIdle()
	c.conns.Close()
}

func (c *connections) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g := c.current.Load(); g != nil; g = g.before {
		g.closeIdle()
	}
	c.bundles.closeIdle()
}

func (g *generation) closeIdle() {
	g.reads.CloseIdleConnections()
	g.writes.CloseIdleConnections()
}

func (c *connections) transport(http2 bool, maxConnections int) *http.Transport {
	transport := c.conns.Transport(c.roots, http2)
	idle := max(idlePerHost, c.maxReads)
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2*idle, idle
	transport.MaxConnsPerHost = maxConnections
	transport.ResponseHeaderTimeout = c.headTime
	// Between clouds the network is so fast that gzip costs more CPU than it saves time.
	transport.DisableCompression = true
	return transport
}

// learnProtocol adapts the number of writes to the protocol of a new connection.
func (c *Client) learnProtocol(conn net.Conn) {
	encrypted, ok := conn.(*tls.Conn)
	if !ok {
		return
	}
	writes := maxWrites
	if encrypted.ConnectionState().NegotiatedProtocol == "h2" {
		writes = manyTimes * c.connections.maxReads
	}
	c.tenants.SetPermits(share.Write, writes)
}

// emptyBody is a body of no bytes that the transport does not recognise as empty.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }

func (emptyBody) Close() error { return nil }

// neverProcessed reports whether an HTTP/2 error says that the server did not process the request: it refused the
// stream, or closed the connection and named an earlier stream as the last one. The transport has no type for that. If
// the text changes, a write counts as possibly sent, which is safe, and a test fails.
func neverProcessed(err error) bool {
	reason, ok := strings.CutPrefix(err.Error(), "http2: Transport: cannot retry err [")
	return ok && (strings.Contains(reason, "REFUSED_STREAM") || strings.HasPrefix(reason, "http2: Transport received Server's graceful shutdown GOAWAY"))
}
