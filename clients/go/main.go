// Command go reads the typed errors of this server and says what it would do: go run ./clients/go ADDRESS REQUEST_ID
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// show makes a call that fails and prints what the error says.
func show[Q, R any](ctx context.Context, rpc string, call func(context.Context, Q, ...grpc.CallOption) (R, error), request Q) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var trailer metadata.MD
	_, err := call(ctx, request, grpc.Trailer(&trailer))
	if err == nil {
		log.Fatalf("%s did not fail", rpc)
	}
	info, retry, next, resource, fields := &errdetails.ErrorInfo{}, "no", "report", "", []string{}
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry, next = "yes", "wait" // for d.RetryDelay.AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range d.FieldViolations {
				fields = append(fields, violation.Field)
			}
		case *errdetails.ResourceInfo:
			resource = d.ResourceType + "/" + d.ResourceName
		}
	}
	pushback := "" // What the gRPC runtime obeys if a service config lets it retry; milliseconds, or -1 for not.
	if values := trailer["grpc-retry-pushback-ms"]; len(values) > 0 {
		pushback = map[bool]string{true: "never", false: "allowed"}[strings.HasPrefix(values[0], "-")]
	}
	switch info.Reason { // The name of a pb.ErrorReason.
	case "POLICY_NOT_FOUND":
		next = "forget"
	case "INVALID_DISPLAY_NAME":
		next = "correct:" + strings.Join(fields, ",")
	case "PROTECTION_UNITS_LIMIT_BREACHED":
		next = "split:" + info.Metadata["documentedLimit"]
	}
	or := func(value string) string { return cmp.Or(value, "-") }
	fmt.Printf("%s code=%s reason=%s domain=%s resource=%s retry=%s pushback=%s field=%s metadata.graphCode=%s metadata.documentedLimit=%s request=%s next=%s\n", rpc,
		code.Code(status.Code(err)), or(info.Reason), or(info.Domain), or(resource), retry, or(pushback), or(strings.Join(fields, ",")), or(info.Metadata["graphCode"]),
		or(info.Metadata["documentedLimit"]), or(strings.Join(trailer["x-request-id"], ",")), next)
}

func main() {
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	policies := pb.NewProtectionPolicyServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-request-id", os.Args[2])
	show(ctx, "GetProtectionPolicy", policies.GetProtectionPolicy, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: "00000000-0000-4000-8000-000000000404"})
	show(ctx, "CreateExchangeProtectionPolicy", policies.CreateExchangeProtectionPolicy, &pb.CreateExchangeProtectionPolicyRequest{})
	units := make([]*pb.NewMailboxProtectionUnit, 51)
	for i := range units {
		units[i] = &pb.NewMailboxProtectionUnit{DirectoryObjectId: fmt.Sprintf("00000000-0000-4000-8000-%012d", i)}
	}
	show(ctx, "CreateExchangeProtectionPolicy", policies.CreateExchangeProtectionPolicy, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "Mailboxes", MailboxProtectionUnits: units})
	show(ctx, "ListProtectionPolicies", policies.ListProtectionPolicies, &pb.ListProtectionPoliciesRequest{})
}
