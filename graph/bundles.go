package graph

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// aloneReads is how many reads under way have a connection of their own, over HTTP/1.1: a page costs 1.2 times the CPU
	// over HTTP/2. Further ones share connections: each connection costs a handshake, and 70 kB.
	aloneReads = 128
	// bundleReads is how many reads are in a bundle. Graph allows as many streams on a connection.
	bundleReads = 100
	// bundleDials is how many connections a bundle makes at once: one that hangs does not hold up its reads. A connection
	// that is full of streams does not count, so that an upstream that allows fewer of them gets more connections.
	bundleDials = 2
	// bundleBuffer is how much of a body a connection takes that nobody has read: nobody was asked for that memory.
	bundleBuffer = 256 << 10
)

// bundles are the reads under way, those that have a connection of their own and the bundles of all others.
type bundles struct {
	connections *connections
	mu          sync.Mutex
	// most is how many reads have a connection of their own, alone how many have one now.
	most, alone int
	all         []*bundle
	// plain is the generation in which the upstream has shown that it does not speak HTTP/2.
	plain *generation
}

// bundle is reads that share a connection over HTTP/2. It has a transport of its own: a thousand reads that come at
// once wait for ten handshakes then, and do not start a thousand.
type bundle struct {
	of *bundles
	// reads is how many are under way. The lock of bundles guards all of these.
	reads     int
	transport *http.Transport
	// generation is what the transport was made in, and made when.
	generation *generation
	made       time.Time
	// heard is when a byte came over a connection of the transport that is reused.
	heard time.Time
}

// take returns the bundle of one more read, nil for a connection of its own. The read has to leave it.
func (b *bundles) take(now *generation) *bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alone < b.most || b.plain == now {
		b.alone++
		return nil
	}
	for _, one := range b.all {
		if one.reads < bundleReads {
			one.reads++
			return one
		}
	}
	one := &bundle{of: b, reads: 1}
	b.all = append(b.all, one)
	return one
}

// leave ends a read.
func (b *bundles) leave(one *bundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one == nil {
		b.alone--
		return
	}
	one.reads--
}

// closeIdle closes the connections that no read uses.
func (b *bundles) closeIdle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.all {
		if one.transport != nil {
			one.transport.CloseIdleConnections()
		}
	}
}

// roundTrip sends a read. When the upstream does not speak HTTP/2, the read gets a connection of its own, and so do all
// later ones of the generation.
func (one *bundle) roundTrip(request *http.Request, now *generation) (*http.Response, error) {
	response, err := one.current(now).RoundTrip(request)
	if err == nil || !lacksHTTP2(err) {
		return response, err
	}
	one.of.mu.Lock()
	one.of.plain = now
	one.of.mu.Unlock()
	return now.reads.RoundTrip(request)
}

// current returns the transport to use now. It is renewed with the others.
func (one *bundle) current(now *generation) *http.Transport {
	one.of.mu.Lock()
	defer one.of.mu.Unlock()
	if one.generation != now {
		if one.transport != nil {
			// A connection in use is closed later, when it has been idle for IdleConnTimeout.
			one.transport.CloseIdleConnections()
		}
		one.transport, one.generation, one.made = one.of.connections.sharing(), now, time.Now()
	}
	return one.transport
}

// hears notes that a byte came over a connection that is reused.
func (one *bundle) hears() {
	one.of.mu.Lock()
	defer one.of.mu.Unlock()
	one.heard = time.Now()
}

// suspect has later reads get another connection, unless the bundle has got a byte since the given time. Since then a
// read has got none, or no connection: it may have died without notice, and net/http closes none that has reads.
func (one *bundle) suspect(since time.Time) {
	one.of.mu.Lock()
	defer one.of.mu.Unlock()
	if !one.heard.After(since) && !one.made.After(since) {
		one.generation = nil
	}
}

// sharing returns a transport for a bundle. It speaks nothing but HTTP/2: the reads of a bundle would wait for each
// other over HTTP/1.1.
func (c *connections) sharing() *http.Transport {
	transport := c.transport(true, bundleDials)
	transport.Protocols.SetHTTP1(false)
	transport.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
		if state.NegotiatedProtocol != "h2" {
			return errNoHTTP2
		}
		return nil
	}
	transport.HTTP2.MaxReceiveBufferPerStream = bundleBuffer
	// As for all reads.
	transport.ResponseHeaderTimeout = 0
	return transport
}

// errNoHTTP2 ends the handshake with an upstream that ignores which protocols it is offered.
var errNoHTTP2 = errors.New("the upstream does not speak HTTP/2")

// lacksHTTP2 reports whether a handshake failed because the upstream does not speak HTTP/2. The alert of an upstream
// that speaks none of what it is offered has no type outside of crypto/tls.
func lacksHTTP2(err error) bool {
	return errors.Is(err, errNoHTTP2) || strings.HasSuffix(err.Error(), "remote error: tls: no application protocol")
}
