package service_test

import (
	"encoding/binary"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// TestRequestsThatDoNotEndAreBounded has connections that bring large requests whose last byte never comes: what they
// bring is bounded, others are served meanwhile, and such a connection is closed after a while.
func TestRequestsThatDoNotEndAreBounded(t *testing.T) {
	const limit = 16 << 20
	s := servicetest.New(t, func(o *service.Options) { o.MaxRequestBytes = limit })
	closed := make(chan struct{}, 8)
	for range 8 {
		c := newStalledClient(t, s.Conn.Target())
		go func() {
			<-c.closed
			closed <- struct{}{}
		}()
		go func() {
			// It fails when the server closes the connection.
			for stream := range 20 {
				c.flood(uint32(2*stream+1), 7<<20)
			}
		}()
	}
	highest, calls := int64(0), 0
	for waiting := true; waiting; {
		select {
		case <-closed:
			waiting = false
		default:
			began := time.Now()
			if o := s.Try("ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest)); o.Status != nil {
				t.Fatal(o.Status)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("a call of others took %v", took)
			}
			calls++
			highest = max(highest, s.Services.InboundBytes())
		}
	}
	// Each connection reads one frame more, and buffers are larger than what they hold.
	if highest < limit/2 || highest > limit+8*(64<<10) {
		t.Errorf("up to %d bytes were held, want about %d", highest, limit)
	}
	t.Logf("%d calls of others, at most %d bytes", calls, highest)
}

// flood begins a call, and sends a body of which the last byte never comes, as fast as the server takes it.
func (c *stalledClient) flood(stream uint32, size int) {
	c.mu.Lock()
	c.writeHeaders(listPolicies, stream, time.Minute, emulator.TenantA)
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
