package service_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // Clients of the test compress with it.
	"google.golang.org/grpc/stats"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// encodings notes how responses are encoded.
type encodings struct{ seen []string }

func (*encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*encodings) HandleConn(context.Context, stats.ConnStats)                       {}

func (e *encodings) HandleRPC(_ context.Context, event stats.RPCStats) {
	if header, ok := event.(*stats.InHeader); ok {
		e.seen = append(e.seen, header.Compression)
	}
}

// Graph's response counts among the bytes that calls hold, a compressed copy would not.
func TestResponsesAreNotCompressed(t *testing.T) {
	s := servicetest.NewOnHandler(t, largeList(5_000))
	var e encodings
	conn, err := grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(&e))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewProtectionPolicyServiceClient(conn)
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		if _, err := client.ListProtectionPolicies(s.Context(), new(pb.ListProtectionPoliciesRequest), options...); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.seen) != 2 || e.seen[0] != "" || e.seen[1] != "" && e.seen[1] != "identity" {
		t.Errorf("the responses are encoded as %q", e.seen)
	}
}
