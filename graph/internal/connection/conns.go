// Package connection makes the connections to Graph and to the token authority: it dials, closes what was dialed, makes
// transports, and says why a connection failed.
package connection

import (
	"context"
	"net"
	"sync"
	"time"
)

// Conns are the open connections of a client, of whichever transport. The zero value is ready.
//
// net/http can only close idle connections. It leaves an HTTP/2 connection open whose last stream has delivered its
// response and is not yet forgotten.
type Conns struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
}

type conn struct {
	net.Conn
	of *Conns
}

var dialer = net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}

// DialContext is the function of that name of an http.Transport. After Close it fails.
func (c *Conns) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	made, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = made.Close()
		return nil, net.ErrClosed
	}
	if c.open == nil {
		c.open = make(map[*conn]struct{})
	}
	added := &conn{made, c}
	c.open[added] = struct{}{}
	return added, nil
}

// Close closes all connections, and those whose dial is under way.
func (c *Conns) Close() {
	c.mu.Lock()
	open := c.open
	c.open, c.closed = nil, true
	c.mu.Unlock()
	for conn := range open {
		_ = conn.Conn.Close()
	}
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
