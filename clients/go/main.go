// Command go reads the typed errors of this server and prints what it would do about each.
//
// Usage: go run ./clients/go ADDRESS REQUEST_ID
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
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	tenantC = "cccccccc-0000-4000-8000-00000000000c"
	unknown = "00000000-0000-4000-8000-000000000404"
	policyC = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6"
	unitC   = "e0000011-f1af-426c-8b0c-000000000003"
	// userC is the token of a user of tenant C, without a signature, which the emulator does not check.
	userC = "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ."
)

// typedError is the content of an error: of a call that failed, or of a field in a response.
type typedError struct {
	code     codes.Code
	message  string
	info     *errdetails.ErrorInfo // Never nil.
	retry    *errdetails.RetryInfo
	resource *errdetails.ResourceInfo
	fields   []string
}

// read reads the details of a Status.
func read(s *status.Status) typedError {
	e := typedError{code: s.Code(), message: s.Message(), info: &errdetails.ErrorInfo{}}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			e.info = d
		case *errdetails.RetryInfo:
			e.retry = d
		case *errdetails.BadRequest:
			for _, violation := range d.FieldViolations {
				e.fields = append(e.fields, violation.Field)
			}
		case *errdetails.ResourceInfo:
			e.resource = d
		}
	}
	return e
}

// next returns what the program would do next.
func (e typedError) next() string {
	switch e.info.Reason { // The name of a pb.ErrorReason.
	case "POLICY_NOT_FOUND":
		return "forget"
	case "INVALID_DISPLAY_NAME":
		return "correct:" + strings.Join(e.fields, ",")
	case "PROTECTION_UNITS_LIMIT_BREACHED":
		return "split:" + e.info.Metadata["documentedLimit"]
	case "FORBIDDEN":
		return "ask:" + e.info.Metadata["permission"]
	}
	// A write that may have been done: look before calling again.
	unknown := e.info.Metadata["outcome"] == "unknown"
	switch {
	case unknown && e.retry == nil:
		return "look"
	case unknown:
		return "look-then-wait"
	case e.retry == nil:
		return "report"
	default:
		return "wait"
	}
}

func (e typedError) print(rpc string, trailer metadata.MD) {
	var resource, retry, pushback string
	if e.resource != nil {
		resource = e.resource.ResourceType + "/" + e.resource.ResourceName
	}
	if e.retry != nil {
		retry = fmt.Sprintf("%ds", e.retry.RetryDelay.AsDuration()/time.Second)
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
	for _, key := range slices.Sorted(maps.Keys(e.info.Metadata)) {
		if key != "graphDate" {
			pairs = append(pairs, key+":"+strings.ReplaceAll(e.info.Metadata[key], " ", "_"))
		}
	}
	planted := e.info.Metadata["graphRequestId"]
	if planted == "" {
		planted = e.message[strings.LastIndex(e.message, " ")+1:]
	}
	or := func(value string) string { return cmp.Or(value, "-") }
	fmt.Println(rpc,
		"code="+code.Code(e.code).String(),
		"reason="+or(e.info.Reason),
		"domain="+or(e.info.Domain),
		"resource="+or(resource),
		"retry="+or(retry),
		"pushback="+or(pushback),
		"field="+or(strings.Join(e.fields, ",")),
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
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
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
		read(status.Convert(err)).print(row.rpc, trailer)
	}

	// This call does not fail. The unit in its response contains an error, which says why it is not protected.
	ctx, cancel := callContext(tenantC, "")
	defer cancel()
	var trailer metadata.MD
	response, err := units.GetProtectionUnit(ctx, &pb.GetProtectionUnitRequest{ProtectionUnitId: unitC}, grpc.Trailer(&trailer))
	if err != nil {
		log.Fatal(err)
	}
	read(status.FromProto(response.ProtectionUnit.Error)).print("GetProtectionUnit", trailer)
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
