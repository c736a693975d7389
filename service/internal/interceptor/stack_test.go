//go:build !race

// The race detector has larger frames.

package interceptor

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// maxStack is how much stack a call has, in bytes, that has come through the chain and waits. Stacks double when they
// are full, and a third of the memory of a call under way was its stack: a line of the log took 2.4 kB of it for as
// long as Graph worked.
const maxStack = 5 << 10

func TestCallsUnderWayHaveSmallStacks(t *testing.T) {
	const calls = 1000
	s := newSuiteWith(t, 2*calls, discarding{})
	header := metadata.MD{tenantKey: {"aaaaaaaa-0000-4000-8000-00000000000a"}}
	info, begun := &grpc.UnaryServerInfo{FullMethod: getPolicy}, &tap.Info{FullMethodName: getPolicy, Header: header}
	release := make(chan struct{})
	var come, gone sync.WaitGroup
	handler := func(context.Context, any) (any, error) {
		come.Done()
		<-release
		return new(pb.GetProtectionPolicyResponse), nil
	}
	// A collection makes stacks smaller.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	come.Add(calls)
	for range calls {
		gone.Go(func() {
			ctx, err := s.Tap(metadata.NewIncomingContext(t.Context(), header), begun)
			if err == nil {
				_, err = s.Unary(grpc.NewContextWithServerTransportStream(ctx, new(transport)), new(pb.GetProtectionPolicyRequest), info, handler)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	come.Wait()
	runtime.ReadMemStats(&after)
	close(release)
	gone.Wait()
	each := (after.StackInuse - before.StackInuse) / calls
	t.Logf("%d bytes of stack each", each)
	if each > maxStack {
		t.Errorf("a call under way has %d bytes of stack, want %d at most", each, maxStack)
	}
}
