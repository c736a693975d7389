package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// idlePerHost is how many connections to Graph are kept. With net/http's default of 2 most of the calls that are made
	// at once would shake hands anew: BenchmarkKeptConnections prints what that costs.
	idlePerHost = 256
	// mostReads is how many connections reads have at most; more reads wait for one. A thousand handshakes at once would
	// take each of them beyond its time.
	mostReads = 512
	// mostWrites is how many connections are made for writes at once. Over HTTP/2 they soon share the first: without a
	// bound, each of a thousand writes would shake hands before there is one, again with every renewal. One that is full
	// of streams does not count, so that no write waits for another. Without HTTP/2 it is how many writes go at once.
	mostWrites = 64
	// Connections are renewed after leastAge to mostAge, so that a change of Graph's addresses is seen, and not by all
	// replicas at once.
	leastAge, mostAge = 10 * time.Minute, 15 * time.Minute
)

// way says over which connections a request goes.
type way struct {
	// Reads and writes go separate ways: pages are cheaper over several HTTP/1.1 connections, and for writes HTTP/2
	// tells what was not processed.
	write bool
	// fresh is a connection for this request alone: after a 503 another server may be better off.
	fresh bool
}

// connections are the transports of a client. They are replaced from time to time; calls under way keep theirs.
type connections struct {
	roots   *x509.CertPool
	current atomic.Pointer[generation]
	mu      sync.Mutex
}

// generation is the transports that are in use at a time, and those before them, whose calls may not have ended.
type generation struct {
	reads, writes, fresh *http.Transport
	until                time.Time
	before               *generation
}

func newConnections(roots *x509.CertPool) *connections {
	c := &connections{roots: roots}
	c.current.Store(c.generation())
	return c
}

func (c *connections) generation() *generation {
	g := &generation{
		reads:  newTransport(c.roots, false),
		writes: newTransport(c.roots, true),
		fresh:  newTransport(c.roots, false),
		until:  time.Now().Add(leastAge + rand.N(mostAge-leastAge)),
	}
	g.fresh.DisableKeepAlives = true
	return g
}

// get returns the transports to use now.
func (c *connections) get() *generation {
	if g := c.current.Load(); time.Now().Before(g.until) {
		return g
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.current.Load()
	if time.Now().Before(old.until) {
		return old
	}
	next := c.generation()
	next.before, old.before = old, nil
	c.current.Store(next)
	// What is still in use is closed when it has been idle for IdleConnTimeout.
	old.closeIdle()
	return next
}

func (c *connections) roundTrip(request *http.Request, way way) (*http.Response, error) {
	g := c.get()
	switch {
	case way.fresh:
		if _, ok := request.Body.(emptyBody); ok {
			// This way there is no HTTP/2, and no need to send nothing in chunks.
			request.Body = http.NoBody
		}
		return g.fresh.RoundTrip(request)
	case way.write:
		return g.writes.RoundTrip(request)
	}
	return g.reads.RoundTrip(request)
}

// giveUpDialing ends the dialing that no write waits for any more. A dial outlives the write that began it, and one that
// hangs would keep its place among the few that there are.
func (c *connections) giveUpDialing() {
	// net/http does so when it closes idle connections.
	c.current.Load().writes.CloseIdleConnections()
}

func (c *connections) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g := c.current.Load(); g != nil; g = g.before {
		g.closeIdle()
	}
}

func (g *generation) closeIdle() {
	g.reads.CloseIdleConnections()
	g.writes.CloseIdleConnections()
}

func newTransport(roots *x509.CertPool, http2 bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	mostConnections := mostReads
	if http2 {
		mostConnections = mostWrites
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dialer.DialContext,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
			return proxyResponse(response.StatusCode)
		},
		TLSHandshakeTimeout:   10 * time.Second,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Protocols:             protocols,
		MaxIdleConns:          2 * idlePerHost,
		MaxIdleConnsPerHost:   idlePerHost,
		MaxConnsPerHost:       mostConnections,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		// On a network as fast as that between clouds, gzip costs more CPU than it saves time.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		// A dead connection would fail calls for minutes if nobody asked it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}

// emptyBody is a body of no bytes that the transport does not recognise as such.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }

func (emptyBody) Close() error { return nil }

// neverProcessed tells whether an error of HTTP/2 says that the server did not work on the request: it refused the
// stream, or closed the connection and named an earlier one as the last. The transport has no type for that: when the
// text changes, a write is taken for lost, which is the safe side, and a test fails.
func neverProcessed(err error) bool {
	reason, ok := strings.CutPrefix(err.Error(), "http2: Transport: cannot retry err [")
	return ok && (strings.Contains(reason, "REFUSED_STREAM") || strings.HasPrefix(reason, "http2: Transport received Server's graceful shutdown GOAWAY"))
}
