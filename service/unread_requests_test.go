package service_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"sync"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// TestRequestsThatDoNotEndAreBounded has connections that bring large requests whose last byte never comes: what they
// bring is bounded, and others are served meanwhile.
func TestRequestsThatDoNotEndAreBounded(t *testing.T) {
	const limit = 16 << 20
	s := servicetest.New(t, func(o *service.Options) { o.MaxRequestBytes = limit })
	ctx, cancel := context.WithCancel(t.Context())
	var floods sync.WaitGroup
	defer floods.Wait()
	defer cancel()
	for range 8 {
		flooder := &http.Transport{Protocols: new(http.Protocols)}
		flooder.Protocols.SetUnencryptedHTTP2(true)
		defer flooder.CloseIdleConnections()
		for range 20 {
			floods.Go(func() {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Conn.Target()+listPolicies, &endless{ctx: ctx, left: 7 << 20})
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/grpc")
				request.Header.Set("Te", "trailers")
				// It ends with the test, or when the server closes the connection.
				if response, err := flooder.RoundTrip(request); err == nil {
					response.Body.Close()
				}
			})
		}
	}
	highest := int64(0)
	for calls, began := 0, time.Now(); calls < 500; {
		start := time.Now()
		if o := s.Try("ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest)); o.Status != nil {
			t.Fatal(o.Status)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("a call of others took %v", took)
		}
		if highest = max(highest, s.Services.InboundBytes()); highest >= limit/2 {
			calls++
		} else if time.Since(began) > 20*time.Second {
			t.Fatalf("the connections bring only %d bytes", highest)
		}
	}
	// Each connection reads one frame more, and buffers are larger than what they hold.
	if highest < limit/2 || highest > limit+8*(64<<10) {
		t.Errorf("up to %d bytes were held, want about %d", highest, limit)
	}
	t.Logf("at most %d bytes", highest)
}

// endless is the body of a call whose message never comes to its end.
type endless struct {
	ctx   context.Context
	left  int
	begun bool
}

// Read returns all bytes of the message but the last one, and then waits.
func (e *endless) Read(p []byte) (int, error) {
	switch {
	case !e.begun:
		e.begun = true
		return copy(p, binary.BigEndian.AppendUint32([]byte{0}, uint32(e.left))), nil
	case e.left == 1:
		<-e.ctx.Done()
		return 0, e.ctx.Err()
	}
	n := min(len(p), e.left-1)
	clear(p[:n])
	e.left -= n
	return n, nil
}

// flood begins a call, and sends a body of which the last byte never comes, as fast as the server takes it.
func (c *stalledClient) flood(stream uint32, size int, timeout time.Duration) {
	c.mu.Lock()
	c.writeHeaders(listPolicies, stream, timeout, emulator.TenantA)
	_ = c.framer.WriteData(stream, false, binary.BigEndian.AppendUint32([]byte{0}, uint32(size)))
	c.mu.Unlock()
	frame := make([]byte, 16<<10)
	for sent := 0; sent < size-1; sent += len(frame) {
		n := min(len(frame), size-1-sent)
		c.mu.Lock()
		err := c.framer.WriteData(stream, false, frame[:n])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}
