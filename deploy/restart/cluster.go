package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// cluster stands for what a cluster does around the replicas: it probes them, tells everybody which ones are ready, and
// spreads new connections over those.
type cluster struct {
	listener net.Listener
	next     atomic.Uint64

	mu    sync.Mutex
	ready []string // As everybody knows it by now.
}

// serveCluster begins to listen, as the cluster's own address of a service would.
func serveCluster(ctx context.Context, ready []string) (*cluster, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &cluster{listener: listener, ready: ready}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.join(ctx, client)
		}
	}()
	return c, nil
}

// join connects a client with the next replica that everybody believes to be ready. Like the rules of a kernel it does
// not try another one when that replica refuses.
func (c *cluster) join(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	c.mu.Lock()
	address := c.ready[int(c.next.Add(1))%len(c.ready)]
	c.mu.Unlock()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// remove takes a replica out of the list.
func (c *cluster) remove(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []string
	for _, a := range c.ready {
		if a != address {
			left = append(left, a)
		}
	}
	c.ready = left
}

// probe asks a replica by the readiness probe until it has failed often enough, and removes it when the news has had
// time to spread.
func (c *cluster) probe(ctx context.Context, r *replica) {
	r.probes[readiness].untilFails(ctx, r.admin)
	pause(ctx, propagation)
	c.remove(r.Address)
}

// propagation is how long a cluster takes to tell all nodes. render.Numbers in deploy/kubernetes counts with the same.
const propagation = 3 * time.Second
