package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/typederror"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// repeatWithKey creates a policy although the answer to the first call is lost, and shows that there is one policy
// then.
func repeatWithKey(conn *grpc.ClientConn) error {
	ctx := context.Background()
	policies := pb.NewProtectionPolicyServiceClient(conn)
	// A key for this write alone. A program that may die before it is done keeps it, with the request.
	key := uuid.Must(uuid.NewV7()).String()
	request := &pb.CreateSharePointProtectionPolicyRequest{DisplayName: "Sites", IdempotencyKey: &key}
	create := func(timeout time.Duration) (id string, repeated bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var trailer metadata.MD
		response, err := policies.CreateSharePointProtectionPolicy(ctx, request, grpc.Trailer(&trailer))
		return response.GetProtectionPolicy().GetId(), len(trailer.Get("x-idempotent-replay")) > 0, err
	}
	var id string
	for n := 1; ; n++ {
		var repeated bool
		var err error
		if id, repeated, err = create(20 * time.Second); err == nil {
			fmt.Printf("call %d: OK, repeated: %t\n", n, repeated)
			break
		}
		e := typederror.Of(err)
		fmt.Printf("call %d: %s, outcome unknown: %t\n", n, e.Reason, e.OutcomeUnknown)
		// With a key it is safe to call again when nobody knows what was done. Without one a program looks first.
		if n == 5 || !e.OutcomeUnknown && !e.CanRepeat {
			return err
		}
		time.Sleep(max(e.RetryDelay, 100*time.Millisecond))
	}
	again, repeated, err := create(20 * time.Second)
	if err != nil {
		return err
	}
	fmt.Printf("the same again: the same policy: %t, repeated: %t\n", again == id, repeated)
	// Another request needs a key of its own.
	request.DisplayName = "Other sites"
	_, _, err = create(20 * time.Second)
	fmt.Printf("another request with the key: %s\n", typederror.Of(err).Reason)
	list, err := policies.ListProtectionPolicies(ctx, &pb.ListProtectionPoliciesRequest{})
	if err != nil {
		return err
	}
	fmt.Printf("policies: %d\n", len(list.GetProtectionPolicies()))
	return nil
}
