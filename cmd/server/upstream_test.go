package main

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// Every answer on the emulator says that it is one, and no answer on another upstream does.
func TestAnswersOfTheEmulatorAreMarked(t *testing.T) {
	onEmulator := start(t, "--max-calls", "50")
	onCloud := startOnCloud(t)
	for _, test := range []struct {
		name string
		call func(context.Context, *grpc.ClientConn, grpc.CallOption) error
		code codes.Code
	}{
		{"a call", func(ctx context.Context, conn *grpc.ClientConn, option grpc.CallOption) error {
			_, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest), option)
			return err
		}, codes.OK},
		{"a call that is refused", func(ctx context.Context, conn *grpc.ClientConn, option grpc.CallOption) error {
			_, err := pb.NewProtectionPolicyServiceClient(conn).GetProtectionPolicy(ctx, new(pb.GetProtectionPolicyRequest), option)
			return err
		}, codes.InvalidArgument},
		{"a method that is not there", func(ctx context.Context, conn *grpc.ClientConn, option grpc.CallOption) error {
			return conn.Invoke(ctx, "/m365.backupstorage.v1.BackupRestoreService/Frobnicate", new(emptypb.Empty), new(emptypb.Empty), option)
		}, codes.Unimplemented},
		{"health", func(ctx context.Context, conn *grpc.ClientConn, option grpc.CallOption) error {
			_, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest), option)
			return err
		}, codes.OK},
	} {
		for conn, want := range map[*grpc.ClientConn]string{onEmulator.conn: "emulator", onCloud.conn: ""} {
			ctx, _ := as(t.Context(), emulator.TenantA, "")
			var trailer metadata.MD
			if err := test.call(ctx, conn, grpc.Trailer(&trailer)); status.Code(err) != test.code {
				t.Errorf("%s: %v, want %v", test.name, err, test.code)
			}
			if got := strings.Join(trailer.Get("x-upstream"), ","); got != want {
				t.Errorf("%s: x-upstream is %q, want %q", test.name, got, want)
			}
		}
	}
	const warning = `"level":"WARN","msg":"the upstream is the built-in emulator`
	if !strings.Contains(onEmulator.log.String(), warning) || strings.Contains(onCloud.log.String(), warning) {
		t.Errorf("the warning is in the wrong log: %s", onEmulator.log)
	}
}

func TestExpectUpstreamDecidesReadiness(t *testing.T) {
	// Nothing is sent to Graph: there is no call.
	credential := []string{"--graph-credential=client-secret", "--graph-client-id=" + someGUID, "--graph-client-secret-file=" + files(t, map[string][]byte{"s": []byte("s")}) + "/s"}
	for _, test := range []struct {
		name      string
		arguments []string
		want      healthpb.HealthCheckResponse_ServingStatus
	}{
		{"the emulator, nothing expected", nil, healthpb.HealthCheckResponse_SERVING},
		{"the emulator", []string{"--expect-upstream", "graph"}, healthpb.HealthCheckResponse_NOT_SERVING},
		{"another server", []string{"--expect-upstream", "graph", "--graph-endpoint", "http://127.0.0.1:1/v1.0"}, healthpb.HealthCheckResponse_NOT_SERVING},
		{"a host with such a name", []string{"--expect-upstream", "graph", "--insecure-upstream", "--graph-endpoint", "https://graph.microsoft.com.example/v1.0"}, healthpb.HealthCheckResponse_NOT_SERVING},
		{"Graph", append([]string{"--expect-upstream", "graph", realGraph}, credential...), healthpb.HealthCheckResponse_SERVING},
	} {
		r := start(t, test.arguments...)
		for _, name := range []string{"", "m365.backupstorage.v1.BrowseSessionService"} {
			answer, err := healthpb.NewHealthClient(r.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if err != nil || answer.GetStatus() != test.want {
				t.Errorf("%s: %q is %v, %v; want %v", test.name, name, answer.GetStatus(), err, test.want)
			}
		}
		if warned := strings.Contains(r.log.String(), "--expect-upstream is graph"); warned != (test.want == healthpb.HealthCheckResponse_NOT_SERVING) {
			t.Errorf("%s: a warning: %v", test.name, warned)
		}
	}
}
