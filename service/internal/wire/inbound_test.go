package wire

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// take takes a buffer as gRPC does when a frame arrives over a connection.
func take(in *Inbound, c *inboundConn, size int) (free func()) {
	buffer := in.Get(size)
	c.read += int64(size)
	return func() { in.Put(buffer) }
}

func TestTheConnectionThatBringsMostIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frame, limit = 16 << 10, 1 << 20
		in := NewInbound(limit)
		var greedy, modest inboundConn
		open := make(chan struct{})
		var frees []func()
		for range limit / 2 / frame {
			if err := in.wait(&greedy, open); err != nil {
				t.Fatal(err)
			}
			frees = append(frees, take(in, &greedy, frame))
		}
		// Half of the bound is in use. What was read before does not count.
		for in.Used() <= limit*3/4 {
			if err := in.wait(&greedy, open); err != nil {
				t.Fatal(err)
			}
			frees = append(frees, take(in, &greedy, frame))
		}
		paused := make(chan error)
		go func() { paused <- in.wait(&greedy, open) }()
		synctest.Wait()
		select {
		case <-paused:
			t.Fatalf("read on with %d of %d bytes in use", in.Used(), limit)
		default:
		}
		for range 4 {
			if err := in.wait(&modest, open); err != nil {
				t.Fatal(err)
			}
			frees = append(frees, take(in, &modest, frame))
		}
		for _, free := range frees {
			free()
		}
		if err := <-paused; err != nil || in.Used() != 0 {
			t.Errorf("%v, %d bytes in use after all were freed", err, in.Used())
		}
	})
}

func TestAConnectionIsPausedForFiveSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewInbound(1 << 20)
		var c inboundConn
		free := take(in, &c, 1<<20)
		defer free()
		open := make(chan struct{})
		if err := in.wait(&c, open); err != nil {
			t.Errorf("the first read under pressure: %v", err)
		}
		c.read = 1
		began := time.Now()
		if err := in.wait(&c, open); !errors.Is(err, errPaused) || time.Since(began) != pauseTime {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		close(open)
		if err := in.wait(&c, open); err != nil {
			t.Errorf("a connection that was closed: %v", err)
		}
	})
}

// gRPC forgets what a call has not read. That must not count for ever: the server would pause its connections in the
// end.
func TestForgottenBuffersDoNotCount(t *testing.T) {
	in := NewInbound(1 << 20)
	kept := in.Get(4 << 10)
	for range 100 {
		in.Get(16 << 10)
	}
	if in.Used() < 100*16<<10 {
		t.Fatalf("%d bytes are in use", in.Used())
	}
	want := int64(cap(*kept))
	for began := time.Now(); in.Used() != want; runtime.GC() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d bytes are in use, want %d", in.Used(), want)
		}
	}
	in.Put(kept)
	if in.Used() != 0 || len(in.buffers) != 0 {
		t.Errorf("%d bytes and %d buffers are in use", in.Used(), len(in.buffers))
	}
}
