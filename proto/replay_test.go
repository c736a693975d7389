package proto_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// keyNumber is the number of the field idempotency_key in each request that has one.
const keyNumber = 15

// withoutReplay are the rpcs of unknown idempotency that take no key, with the reason.
var withoutReplay = map[string]string{}

// A client can make a call repeatable exactly where the contract says what a repeated call gets.
func TestExactlyRPCsWithReplayTakeKeys(t *testing.T) {
	var wrong []string
	with := 0
	left := sortedKeys(withoutReplay)
	for _, r := range allRPCs() {
		bad := func(format string, args ...any) {
			wrong = append(wrong, r.name()+": "+fmt.Sprintf(format, args...))
		}
		key := r.Input().Fields().ByName("idempotency_key")
		replay := r.call.GetReplay()
		if (key != nil) != (replay != pb.GraphCall_REPLAY_UNSPECIFIED) {
			bad("has the replay %s, and the field idempotency_key: %v", replay, key != nil)
		}
		if key != nil {
			with++
			if key.Number() != keyNumber || key.Kind() != protoreflect.StringKind || !key.HasOptionalKeyword() {
				bad("idempotency_key is not `optional string` with the number %d", keyNumber)
			}
		} else if other := r.Input().Fields().ByNumber(keyNumber); other != nil {
			bad("%s has the number of idempotency_key", other.Name())
		}
		switch {
		case replay == pb.GraphCall_READ_CREATED && !r.call.GetCreates(), replay == pb.GraphCall_READ_TARGET && r.call.GetCreates():
			bad("creates is %v, with the replay %s", r.call.GetCreates(), replay)
		case (replay == pb.GraphCall_STORED_OUTCOME) != (r.call.GetMissingItem() != 0):
			bad("the replay is %s, and it removes items: %v", replay, r.call.GetMissingItem() != 0)
		}
		_, excepted := withoutReplay[r.name()]
		unknown := r.level == descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN && r.call.GetOf() == ""
		if unknown && replay == pb.GraphCall_REPLAY_UNSPECIFIED && !excepted {
			bad("is neither repeatable nor has it a replay")
		}
		if excepted && replay != pb.GraphCall_REPLAY_UNSPECIFIED {
			bad("is an exception and has a replay")
		}
	}
	for _, name := range left {
		if withoutReplay[name] == "" {
			wrong = append(wrong, name+": is an exception without a reason")
		}
	}
	if with != 39 {
		wrong = append(wrong, fmt.Sprintf("%d rpcs take a key, want 39", with))
	}
	report(t, wrong)
}
