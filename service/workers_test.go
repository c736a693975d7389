package service_test

import (
	"bytes"
	"runtime/debug"
	"sync/atomic"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// stacks counts the calls that run in a goroutine of gRPC's that has run others before.
type stacks struct{ workers, others atomic.Int64 }

func (s *stacks) CallBegan(string) {
	if bytes.Contains(debug.Stack(), []byte("serverWorker")) {
		s.workers.Add(1)
	} else {
		s.others.Add(1)
	}
}

func (*stacks) CallEnded(service.CallInfo) {}

// A goroutine that is new grows its stack on the way of a call, which costs a third of it.
func TestCallsRunInWorkers(t *testing.T) {
	seen := new(stacks)
	s := servicetest.New(t, func(o *service.Options) { o.Observers = []service.Observer{seen} })
	ctx := s.Context()
	for range 20 {
		if _, err := pb.NewBackupRestoreServiceClient(s.Conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
			t.Fatal(err)
		}
	}
	if workers, others := seen.workers.Load(), seen.others.Load(); workers < 15 {
		t.Errorf("%d calls ran in workers, %d in goroutines of their own", workers, others)
	}
}
