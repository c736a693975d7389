package wire

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultConnections is how many connections a server has at most unless told otherwise.
	DefaultConnections = 10_000
	// takeTime is how long after the deadline of its call a response is held for a client that does not take it.
	takeTime = 5 * time.Second
	// sweepInterval is how often the connections are searched for such responses.
	sweepInterval = time.Second
)

// Limits bounds the connections of a listener.
type Limits struct {
	// Inbound bounds the bytes of requests that they bring; nil for no bound.
	Inbound *Inbound
	// Connections is how many there are at most; 0 means DefaultConnections.
	Connections int
	// ConnectionsPerPeer is how many of them one address has at most; 0 means a tenth of Connections. Connections that
	// have no address of their own, such as those of a unix socket, do not count.
	ConnectionsPerPeer int
}

// Listener bounds the connections of another listener. Connections over a limit are closed at once. Close ends it.
type Listener struct {
	net.Listener
	limits  Limits
	refused atomic.Uint64
	cut     atomic.Uint64
	paused  atomic.Uint64
	stop    chan struct{}
	once    sync.Once
	// gone gets a value when a connection has ended.
	gone chan struct{}

	mu     sync.Mutex
	conns  map[*conn]struct{}
	byPeer map[string]int
}

// Listen bounds the connections of a listener.
func Listen(inner net.Listener, limits Limits) *Listener {
	if limits.Connections == 0 {
		limits.Connections = DefaultConnections
	}
	if limits.ConnectionsPerPeer == 0 {
		limits.ConnectionsPerPeer = max(1, limits.Connections/10)
	}
	l := &Listener{
		Listener: inner, limits: limits, stop: make(chan struct{}), gone: make(chan struct{}, 1),
		conns: make(map[*conn]struct{}), byPeer: make(map[string]int),
	}
	go l.sweep()
	return l
}

// Accept returns the next connection that is within the limits.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.add(inner); c != nil {
			return c, nil
		}
		l.refused.Add(1)
		_ = inner.Close()
	}
}

// Close ends the listener. Its connections go on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.stop) })
	return l.Listener.Close()
}

// Connections returns how many connections there are now.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Refused returns how many connections were closed because there were too many.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// Cut returns how many connections were closed because their client did not take a response.
func (l *Listener) Cut() uint64 { return l.cut.Load() }

// Paused returns how many connections were closed because they brought more bytes of requests than the server takes.
func (l *Listener) Paused() uint64 { return l.paused.Load() }

// add takes a connection, nil when it is one too many.
func (l *Listener) add(inner net.Conn) *conn {
	c := &conn{Conn: inner, listener: l, peer: peerOf(inner.RemoteAddr()), held: make(map[*Response]struct{}), done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.limits.Connections || c.peer != "" && l.byPeer[c.peer] >= l.limits.ConnectionsPerPeer {
		return nil
	}
	l.conns[c] = struct{}{}
	if c.peer != "" {
		l.byPeer[c.peer]++
	}
	return c
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; !ok {
		return
	}
	delete(l.conns, c)
	select {
	case l.gone <- struct{}{}:
	default:
	}
	if c.peer == "" {
		return
	}
	if l.byPeer[c.peer]--; l.byPeer[c.peer] == 0 {
		delete(l.byPeer, c.peer)
	}
}

// sweep closes the connections whose clients do not take their responses. It outlives the listener until the last of
// its connections is gone.
func (l *Listener) sweep() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	stop, stopped := l.stop, false
	for {
		var gone chan struct{}
		if stopped {
			gone = l.gone
		}
		select {
		case <-ticker.C:
		case <-gone:
		case <-stop:
			stopped, stop = true, nil
		}
		now := time.Now()
		l.mu.Lock()
		all := make([]*conn, 0, len(l.conns))
		for c := range l.conns {
			all = append(all, c)
		}
		l.mu.Unlock()
		if stopped && len(all) == 0 {
			return
		}
		for _, c := range all {
			if c.overdue(now) {
				l.cut.Add(1)
				_ = c.Close()
			}
		}
	}
}

// peerOf returns the address of a peer without its port, empty for one that has none of its own.
func peerOf(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return ""
	}
	if tcp.IP.To4() == nil {
		// Whoever has one address of IPv6 has 2^64 of them.
		return tcp.IP.Mask(net.CIDRMask(64, 128)).String()
	}
	return tcp.IP.String()
}

// conn is a connection that knows which responses its client has not taken yet.
type conn struct {
	net.Conn
	listener *Listener
	peer     string

	inbound inboundConn
	// done is closed with the connection.
	done chan struct{}

	mu     sync.Mutex
	closed bool
	held   map[*Response]struct{}
}

// Read waits while the connection brings more than its share of what the server takes of requests.
func (c *conn) Read(p []byte) (int, error) {
	in := c.listener.limits.Inbound
	if in == nil {
		return c.Conn.Read(p)
	}
	if err := in.wait(&c.inbound, c.done); err != nil {
		c.listener.paused.Add(1)
		_ = c.Close()
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.inbound.read += int64(n)
	return n, err
}

// RemoteAddr returns an address that leads back to the connection: it is all that gRPC tells a call of its connection.
func (c *conn) RemoteAddr() net.Addr {
	address := c.Conn.RemoteAddr()
	return &connAddr{address, c, hostOf(address)}
}

// Close releases what the connection holds: gRPC frees nothing of a connection that ends.
func (c *conn) Close() error {
	c.listener.remove(c)
	c.mu.Lock()
	held := c.held
	if !c.closed {
		close(c.done)
	}
	c.closed, c.held = true, nil
	c.mu.Unlock()
	err := c.Conn.Close()
	for r := range held {
		r.release()
	}
	return err
}

// hold notes a response that gRPC is about to write. It reports whether the connection is still there.
func (c *conn) hold(r *Response) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.held[r] = struct{}{}
	return true
}

func (c *conn) letGo(r *Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, r)
}

// overdue reports whether the client has had its time to take a response.
func (c *conn) overdue(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.held {
		if now.After(r.until) {
			return true
		}
	}
	return false
}

// connAddr is the address of the peer of a connection.
type connAddr struct {
	net.Addr
	conn *conn
	host string
}

// Host is the address of a client without its port.
func Host(address net.Addr) string {
	if own, ok := address.(*connAddr); ok {
		// Every call asks for it.
		return own.host
	}
	return hostOf(address)
}

func hostOf(address net.Addr) string {
	host, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return host
}
