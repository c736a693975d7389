// Command go reads the typed errors of this server and prints what it would do about each.
//
// Usage: go run ./clients/go ADDRESS REQUEST_ID. With wait-and-stream or repeat-with-key in place of the id it does
// what that file shows.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/typederror"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	tenantC = "cccccccc-0000-4000-8000-00000000000c"
	unknown = "00000000-0000-4000-8000-000000000404"
	policyC = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6"
	unitC   = "e0000011-f1af-426c-8b0c-000000000003"
	// userC is the token of a user of tenant C, without a signature, which the emulator does not check.
	userC = "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ."
)

// typedError is the content of an error, with what this program makes of it.
type typedError struct{ typederror.Error }

// next returns what the program would do next.
func (e typedError) next() string {
	switch e.Reason { // The name of a pb.ErrorReason.
	case "POLICY_NOT_FOUND":
		return "forget"
	case "INVALID_DISPLAY_NAME":
		return "correct:" + strings.Join(e.Fields, ",")
	case "PROTECTION_UNITS_LIMIT_BREACHED":
		return "split:" + e.Metadata["documentedLimit"]
	case "FORBIDDEN":
		return "ask:" + e.Metadata["permission"]
	}
	switch {
	case e.OutcomeUnknown && !e.CanRepeat:
		return "look"
	case e.OutcomeUnknown:
		return "look-then-wait"
	case !e.CanRepeat:
		return "report"
	default:
		return "wait"
	}
}

func (e typedError) print(rpc string, trailer metadata.MD) {
	var resource, retry, pushback string
	if e.ResourceType != "" {
		resource = e.ResourceType + "/" + e.ResourceName
	}
	if e.CanRepeat {
		retry = fmt.Sprintf("%ds", e.RetryDelay/time.Second)
	}
	// gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
	if values := trailer["grpc-retry-pushback-ms"]; len(values) > 0 {
		if ms, err := strconv.Atoi(values[0]); err != nil || ms < 0 {
			pushback = "never"
		} else {
			pushback = fmt.Sprintf("%ds", ms/1000)
		}
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(e.Metadata)) {
		if key != "graphDate" {
			pairs = append(pairs, key+":"+strings.ReplaceAll(e.Metadata[key], " ", "_"))
		}
	}
	planted := e.Metadata["graphRequestId"]
	if planted == "" {
		planted = e.Message[strings.LastIndex(e.Message, " ")+1:]
	}
	or := func(value string) string { return cmp.Or(value, "-") }
	fmt.Println(rpc,
		"code="+code.Code(e.Code).String(),
		"reason="+or(e.Reason),
		"domain="+or(e.Domain),
		"resource="+or(resource),
		"retry="+or(retry),
		"pushback="+or(pushback),
		"field="+or(strings.Join(e.Fields, ",")),
		"metadata="+or(strings.Join(pairs, ",")),
		"request="+or(strings.Join(trailer["x-request-id"], ",")),
		"planted="+or(planted),
		"next="+e.next())
}

// failing is an rpc with its request. Its call fails.
type failing func(context.Context, ...grpc.CallOption) error

// with binds a request to an rpc.
func with[Q, R any](rpc func(context.Context, Q, ...grpc.CallOption) (R, error), request Q) failing {
	return func(ctx context.Context, options ...grpc.CallOption) error {
		_, err := rpc(ctx, request, options...)
		return err
	}
}

func main() {
	options, err := credentialOptions()
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(os.Args[1], options...)
	if err != nil {
		log.Fatal(err)
	}
	if other := map[string]func(*grpc.ClientConn) error{"wait-and-stream": waitAndStream, "repeat-with-key": repeatWithKey}[os.Args[2]]; other != nil {
		if err := other(conn); err != nil {
			log.Fatal(err)
		}
		return
	}
	policies, restores := pb.NewProtectionPolicyServiceClient(conn), pb.NewRestoreSessionServiceClient(conn)
	apps, units := pb.NewServiceAppServiceClient(conn), pb.NewProtectionUnitServiceClient(conn)

	var tooMany []*pb.NewMailboxProtectionUnit
	for i := range 51 {
		tooMany = append(tooMany, &pb.NewMailboxProtectionUnit{DirectoryObjectId: fmt.Sprintf("00000000-0000-4000-8000-%012d", i)})
	}
	for _, row := range []struct {
		rpc, tenant, user string
		call              failing
	}{
		{"GetProtectionPolicy", "", "", with(policies.GetProtectionPolicy, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknown})},
		{"CreateExchangeProtectionPolicy", "", "", with(policies.CreateExchangeProtectionPolicy, &pb.CreateExchangeProtectionPolicyRequest{})},
		{"CreateExchangeProtectionPolicy", "", "", with(policies.CreateExchangeProtectionPolicy, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "Mailboxes", MailboxProtectionUnits: tooMany})},
		{"CreateExchangeProtectionPolicy", tenantC, "", with(policies.CreateExchangeProtectionPolicy, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "Mailboxes"})},
		{"ActivateProtectionPolicy", tenantC, "", with(policies.ActivateProtectionPolicy, &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: policyC})},
		{"ActivateRestoreSession", "", "", with(restores.ActivateRestoreSession, &pb.ActivateRestoreSessionRequest{RestoreSessionId: unknown})},
		{"CreateSharePointProtectionPolicy", "", "", with(policies.CreateSharePointProtectionPolicy, &pb.CreateSharePointProtectionPolicyRequest{DisplayName: "Sites"})},
		{"CreateOneDriveForBusinessProtectionPolicy", "", "", with(policies.CreateOneDriveForBusinessProtectionPolicy, &pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: "Drives"})},
		{"ListServiceApps", "", "", with(apps.ListServiceApps, &pb.ListServiceAppsRequest{})},
		{"ListProtectionPolicies", "", "", with(policies.ListProtectionPolicies, &pb.ListProtectionPoliciesRequest{})},
		// Without a user this fails with DELEGATED_TOKEN_REQUIRED.
		{"OffboardProtectionUnit", tenantC, userC, with(units.OffboardProtectionUnit, &pb.OffboardProtectionUnitRequest{ProtectionUnitId: unitC})},
	} {
		ctx, cancel := callContext(row.tenant, row.user)
		var trailer metadata.MD
		err := row.call(ctx, grpc.Trailer(&trailer))
		cancel()
		if err == nil {
			log.Fatalf("%s did not fail", row.rpc)
		}
		typedError{typederror.Of(err)}.print(row.rpc, trailer)
	}

	// This call fails only for callers who may not make it. The unit in its response contains an error, which says why
	// it is not protected.
	ctx, cancel := callContext(tenantC, "")
	defer cancel()
	var trailer metadata.MD
	response, err := units.GetProtectionUnit(ctx, &pb.GetProtectionUnitRequest{ProtectionUnitId: unitC}, grpc.Trailer(&trailer))
	embedded := typederror.OfStatus(response.GetProtectionUnit().GetError())
	if err != nil {
		embedded = typederror.Of(err)
	}
	typedError{embedded}.print("GetProtectionUnit", trailer)
}

// callContext returns the context of one call in a tenant, on behalf of a user; empty selects the default tenant of the
// server, and the application.
func callContext(tenant, user string) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-request-id", os.Args[2])
	if tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
	}
	if user != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", user)
	}
	return context.WithTimeout(ctx, 20*time.Second)
}
