package wire

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// Inbound bounds the bytes of requests that have arrived and are not decoded yet, over all connections. It is the pool
// of gRPC's buffers for them, which counts those that are in use, and it pauses the connections that bring more.
//
// While less than half of the bound is in use, every connection reads. Then a connection reads on only while it has
// read less, since that moment, than what is free: the one that brings most is paused first, and one that brings little
// is not. A connection that is paused for 5 s is closed.
//
// gRPC takes no pooled buffer for a frame under 1 KiB, so those are not counted. It forgets the buffers that wait for a
// call which ends before it has read its message. They count until the collector has found them.
type Inbound struct {
	max  int64
	used atomic.Int64
	pool mem.BufferPool

	mu sync.Mutex
	// buffers are those in use, by their addresses, which keep none alive.
	buffers map[uintptr]*inUse
	// pressure counts how often half of the bound was exceeded, and over says whether it is now.
	pressure uint64
	over     bool
	// freed is closed when something was freed while connections were paused.
	freed chan struct{}
}

// pauseTime is how long a connection is paused at most.
const pauseTime = 5 * time.Second

var errPaused = errors.New("more bytes of requests arrive than the server takes")

// NewInbound returns a bound of max bytes.
func NewInbound(limit int64) *Inbound {
	return &Inbound{max: limit, pool: mem.DefaultBufferPool(), buffers: make(map[uintptr]*inUse), freed: make(chan struct{})}
}

// Used returns how many bytes are in use now.
func (in *Inbound) Used() int64 { return in.used.Load() }

// inUse is what is known of a buffer in use.
type inUse struct {
	in      *Inbound
	address uintptr
	size    int64
	forget  runtime.Cleanup
}

// Get implements mem.BufferPool.
func (in *Inbound) Get(length int) *[]byte {
	buffer := in.pool.Get(length)
	one := &inUse{in: in, address: uintptr(unsafe.Pointer(buffer)), size: int64(cap(*buffer))}
	one.forget = runtime.AddCleanup(buffer, (*inUse).forgotten, one)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.buffers[one.address] = one
	in.used.Add(one.size)
	in.look()
	return buffer
}

// Put implements mem.BufferPool.
func (in *Inbound) Put(buffer *[]byte) {
	in.mu.Lock()
	one := in.buffers[uintptr(unsafe.Pointer(buffer))]
	in.mu.Unlock()
	if one != nil {
		one.forget.Stop()
		one.end()
	}
	in.pool.Put(buffer)
}

// forgotten is called when the collector has found a buffer that nobody has given back.
func (one *inUse) forgotten() { one.end() }

// end notes that a buffer is no longer in use.
func (one *inUse) end() {
	in := one.in
	in.mu.Lock()
	defer in.mu.Unlock()
	// Another buffer can have its address by now.
	if in.buffers[one.address] == one {
		delete(in.buffers, one.address)
	}
	before := in.used.Add(-one.size) + one.size
	if before <= in.max/2 {
		return
	}
	in.look()
	close(in.freed)
	in.freed = make(chan struct{})
}

// look notes whether half of the bound is exceeded.
func (in *Inbound) look() {
	over := in.used.Load() > in.max/2
	if over && !in.over {
		in.pressure++
	}
	in.over = over
}

// inboundConn is what a connection has brought.
type inboundConn struct {
	pressure uint64
	read     int64
}

// wait pauses a connection while it brings too much. closed ends the wait.
func (in *Inbound) wait(c *inboundConn, closed <-chan struct{}) error {
	if in.used.Load() <= in.max/2 {
		return nil
	}
	var timer *time.Timer
	for {
		in.mu.Lock()
		in.look()
		if c.pressure != in.pressure {
			c.pressure, c.read = in.pressure, 0
		}
		freed, free := in.freed, in.max-in.used.Load()
		goes := !in.over || c.read == 0 || c.read < free
		in.mu.Unlock()
		if goes {
			return nil
		}
		if timer == nil {
			timer = time.NewTimer(pauseTime)
			defer timer.Stop()
		}
		select {
		case <-freed:
		case <-timer.C:
			return errPaused
		case <-closed:
			return nil
		}
	}
}
