package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/typederror"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// waitAndStream waits for a policy, and reads a long list of mailboxes by a stream that is cut.
func waitAndStream(conn *grpc.ClientConn) error {
	ctx := context.Background()
	if err := waitForPolicy(ctx, pb.NewProtectionPolicyServiceClient(conn)); err != nil {
		return err
	}
	lists, streams := pb.NewProtectionUnitServiceClient(conn), pb.NewProtectionUnitStreamServiceClient(conn)
	// The server can end a stream before the list ends: when it stops, and after ten minutes. Another one goes on.
	var whole reading
	for {
		err := whole.stream(ctx, streams, 0)
		if err == nil {
			break
		}
		e := typederror.Of(err)
		if e.Reason != "STREAM_RESUME" {
			return err
		}
		fmt.Println("the stream is to be resumed")
		time.Sleep(e.RetryDelay)
	}
	whole.print("stream")

	for _, way := range []string{"stream", "list"} {
		var cut reading
		if err := cut.stream(ctx, streams, 2); err != nil {
			return err
		}
		if way == "stream" {
			if err := cut.stream(ctx, streams, 0); err != nil {
				return err
			}
		}
		for cut.next != "" { // It is empty after the last page.
			page, err := lists.ListMailboxProtectionUnits(ctx, cut.request())
			if err != nil {
				return err
			}
			cut.add(page)
		}
		cut.print("cut after 2 pages, resumed with the " + way)
	}

	// The second page of this list fails. The first one is valid.
	stream, err := streams.StreamExchangeProtectionPolicyUnits(ctx, &pb.ListExchangeProtectionPolicyUnitsRequest{
		ProtectionPolicyId: whole.units[0].PolicyId, PageSize: 500})
	pages := -1
	for ; err == nil; pages++ {
		_, err = stream.Recv()
	}
	fmt.Printf("error after %d page: %s\n", pages, typederror.Of(err).Reason)
	return nil
}

// waitForPolicy creates and activates a policy, waits for a second, and then until it is active.
func waitForPolicy(ctx context.Context, policies pb.ProtectionPolicyServiceClient) error {
	created, err := policies.CreateSharePointProtectionPolicy(ctx, &pb.CreateSharePointProtectionPolicyRequest{DisplayName: "Sites"})
	if err != nil {
		return err
	}
	id := created.ProtectionPolicy.Id
	if _, err := policies.ActivateProtectionPolicy(ctx, &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: id}); err != nil {
		return err
	}
	show := func(what string, response *pb.WaitProtectionPolicyResponse) {
		fmt.Printf("%s: %s, %s\n", what, strings.TrimPrefix(response.Result.String(), "WAIT_RESULT_"), response.ProtectionPolicy.Status)
	}
	// With nothing seen the wait ends at once. Then a change ends it: another content than the one with this revision.
	response, err := policies.WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: id})
	if err != nil {
		return err
	}
	show("wait with nothing seen", response)
	request := &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: id, Seen: response.Revision, MaxWait: durationpb.New(time.Second)}
	if response, err = policies.WaitProtectionPolicy(ctx, request); err != nil {
		return err
	}
	show("wait for a change", response)

	request = &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: id, Until: []pb.ProtectionPolicyStatus{pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE}}
	for {
		if response, err = policies.WaitProtectionPolicy(ctx, request); err != nil {
			return err
		}
		if response.Result != pb.WaitResult_WAIT_RESULT_TIMED_OUT { // A wait lasts at most 45 s.
			show("wait until ACTIVE", response)
			return nil
		}
	}
}

// reading is what was read of a list.
type reading struct {
	pages int
	units []*pb.ProtectionUnit
	next  string // Where the next call goes on, whether it is a stream or the list.
}

func (r *reading) request() *pb.ListMailboxProtectionUnitsRequest {
	return &pb.ListMailboxProtectionUnitsRequest{PageSize: 500, PageToken: r.next}
}

func (r *reading) add(page *pb.ListMailboxProtectionUnitsResponse) {
	r.pages, r.units, r.next = r.pages+1, append(r.units, page.ProtectionUnits...), page.NextPageToken
}

// stream reads from a stream, up to page most, 0 for all. nil then says that the list is complete.
func (r *reading) stream(ctx context.Context, streams pb.ProtectionUnitStreamServiceClient, most int) error {
	ctx, cancel := context.WithCancel(ctx) // A stream has no deadline, or one of minutes.
	defer cancel()
	stream, err := streams.StreamMailboxProtectionUnits(ctx, r.request())
	if err != nil {
		return err
	}
	for most == 0 || r.pages < most {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.add(page)
	}
	return nil
}

func (r *reading) print(what string) {
	ids := map[string]bool{}
	for _, unit := range r.units {
		ids[unit.Id] = true
	}
	fmt.Printf("%s: %d pages, %d units, %d ids\n", what, r.pages, len(r.units), len(ids))
}
