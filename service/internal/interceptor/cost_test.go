package interceptor

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// discarding is a log that takes every line and forgets it.
type discarding struct{}

func (discarding) Enabled(context.Context, slog.Level) bool  { return true }
func (discarding) Handle(context.Context, slog.Record) error { return nil }
func (d discarding) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discarding) WithGroup(string) slog.Handler           { return d }

// maxAllocations is how many allocations of a small call are the chain's, from the headers to the response. With a
// closure for each interceptor, or with a timer for each call that waits for its message, there are more.
const maxAllocations = 33

func TestTheChainAllocatesLittle(t *testing.T) {
	s := newSuiteWith(t, 1000, discarding{})
	message, response := new(pb.GetProtectionPolicyRequest), new(pb.GetProtectionPolicyResponse)
	header := metadata.MD{tenantKey: {"aaaaaaaa-0000-4000-8000-00000000000a"}}
	carrier := new(transport)
	info := &grpc.UnaryServerInfo{FullMethod: getPolicy}
	begun := &tap.Info{FullMethodName: getPolicy, Header: header}
	handler := func(context.Context, any) (any, error) { return response, nil }
	n := testing.AllocsPerRun(200, func() {
		// As gRPC does.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx, err := s.Tap(metadata.NewIncomingContext(ctx, header), begun)
		if err != nil {
			t.Fatal(err)
		}
		carrier.trailer = nil
		got, err := s.Unary(grpc.NewContextWithServerTransportStream(ctx, carrier), message, info, handler)
		if err != nil {
			t.Fatal(err)
		}
		data, err := wire.Codec{}.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		data.Free()
	})
	t.Logf("%v allocations", n)
	if n > maxAllocations {
		t.Errorf("%v allocations, want %d at most", n, maxAllocations)
	}
	if s.calls.count() != 0 {
		t.Errorf("%d calls are still under way", s.calls.count())
	}
}
