package service_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// withKeys has a server keep keys in memory.
func withKeys(o *service.Options) {
	o.Idempotency = service.Idempotency{Keys: idempotency.New(idempotency.NewMemory()), Upstream: "test"}
}

// leased is withKeys with another lease.
func leased(lease time.Duration) servicetest.Option {
	return func(o *service.Options) {
		o.Idempotency = service.Idempotency{Keys: idempotency.NewWithLease(idempotency.NewMemory(), lease), Upstream: "test"}
	}
}

const createPolicy = policies + "CreateExchangeProtectionPolicy"

func named(name, key string) *pb.CreateExchangeProtectionPolicyRequest {
	return &pb.CreateExchangeProtectionPolicyRequest{DisplayName: name, IdempotencyKey: &key}
}

// create creates a policy with a key.
func create(s *servicetest.Server, name, key string) (*servicetest.Outcome, string) {
	out := new(pb.CreateExchangeProtectionPolicyResponse)
	o := s.Call(createPolicy, named(name, key), out)
	return o, out.GetProtectionPolicy().GetId()
}

func isReplay(o *servicetest.Outcome) bool {
	return strings.Join(o.Trailer.Get("x-idempotent-replay"), ",") == "true"
}

// policiesCreated counts the policies that were created.
func policiesCreated(s *servicetest.Server, since uint64) (n int) {
	for _, entry := range s.Requests(since) {
		if entry.Method == http.MethodPost && entry.Status < 300 {
			n++
		}
	}
	return n
}

func TestARepeatedCreateIsReplayed(t *testing.T) {
	s := servicetest.New(t, withKeys)
	since, key := s.Mark(), uuid.NewString()
	first, id := create(s, "a", key)
	if first.Status != nil || isReplay(first) || id == "" {
		t.Fatalf("%v", first.Status)
	}
	second, again := create(s, "a", strings.ToUpper(key))
	if second.Status != nil || !isReplay(second) || again != id || policiesCreated(s, since) != 1 {
		t.Fatalf("%v: %q, want %q; created %d times", second.Status, again, id, policiesCreated(s, since))
	}
	if o, _ := create(s, "b", key); o.Reason() != "IDEMPOTENCY_KEY_REUSED" || servicetest.Detail[*errdetails.BadRequest](o.Status).GetFieldViolations()[0].GetField() != "idempotency_key" {
		t.Errorf("%v", o.Status)
	}
	if o := deletePolicy(s, id).call; o.Status != nil {
		t.Fatalf("%v", o.Status)
	}
	if o, _ := create(s, "a", key); o.Reason() != "POLICY_NOT_FOUND" {
		t.Errorf("%v", o.Status)
	}
	counts := s.Services.KeyedCalls()
	if counts[service.KeyedFirst] != 1 || counts[service.KeyedReplayed] != 2 || counts[service.KeyedReused] != 1 {
		t.Errorf("%v", counts)
	}
	log := strings.ToLower(s.Log.String())
	if strings.Contains(log, key) {
		t.Error("the log has the key")
	}
	for outcome, n := range counts {
		if lines := strings.Count(log, `"idempotency":"`+outcome+`"`); uint64(lines) != n {
			t.Errorf("%d lines of the log say %s, want %d", lines, outcome, n)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	s := servicetest.New(t, withKeys)
	old := "018f0000-0000-7000-8000-000000000000"
	for key, want := range map[string]string{
		"": "INVALID_REQUEST", "x": "INVALID_REQUEST", "{" + uuid.NewString() + "}": "INVALID_REQUEST", old: "IDEMPOTENCY_KEY_EXPIRED",
	} {
		if o, _ := create(s, "a", key); o.Reason() != want {
			t.Errorf("%q: %v", key, o.Status)
		}
	}
	unknown := named("a", uuid.NewString())
	unknown.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1))
	if o := s.Try(createPolicy, unknown); o.Reason() != "INVALID_REQUEST" {
		t.Errorf("%v", o.Status)
	}
	without := servicetest.New(t)
	if o, _ := create(without, "a", uuid.NewString()); o.Reason() != "INVALID_REQUEST" || !strings.Contains(o.Status.GetMessage(), "keeps no idempotency keys") {
		t.Errorf("%v", o.Status)
	}
}

// A write that was refused leaves its key free.
func TestARefusedWriteLeavesItsKeyFree(t *testing.T) {
	s := servicetest.New(t, withKeys)
	key := uuid.NewString()
	if o, _ := create(s, "", key); o.Reason() != "INVALID_DISPLAY_NAME" {
		t.Fatalf("%v", o.Status)
	}
	s.Fault(emulator.Fault{Operation: "POST *", Status: 429, RetryAfter: []string{"0.01"}, Times: 3})
	if o, _ := create(s, "a", key); o.Reason() != "TOO_MANY_REQUESTS" {
		t.Fatalf("%v", o.Status)
	}
	eventually(t, "the key is free", func() bool {
		o, _ := create(s, "b", key)
		if o.Status != nil && o.Reason() != "TOO_MANY_REQUESTS" {
			t.Fatalf("%v", o.Status)
		}
		return o.Status == nil
	})
}

// A call whose key came before needs no place for a write: it is answered also while writes are throttled.
func TestAReplayNeedsNoSlotOfWrites(t *testing.T) {
	s := servicetest.New(t, withKeys)
	key := uuid.NewString()
	_, id := create(s, "a", key)
	s.Fault(emulator.Fault{Operation: "POST *", Status: 429, RetryAfter: []string{"60"}, Times: 1})
	if o, _ := create(s, "b", uuid.NewString()); o.Reason() != "TOO_MANY_REQUESTS" {
		t.Fatalf("%v", o.Status)
	}
	if o, again := create(s, "a", key); o.Status != nil || again != id {
		t.Errorf("%v", o.Status)
	}
}

// Calls with one key at the same time: one creates, the others wait for it and get the same.
func TestCallsWithOneKeyAtOnce(t *testing.T) {
	s := servicetest.New(t, withKeys)
	s.Fault(emulator.Fault{Operation: "POST *", Delay: emulator.Duration(200 * time.Millisecond), Times: 1})
	since, key := s.Mark(), uuid.NewString()
	ids := make(chan string)
	for range 8 {
		go func() {
			o, id := create(s, "a", key)
			if o.Status != nil {
				t.Errorf("%v", o.Status)
			}
			ids <- id
		}()
	}
	first := <-ids
	for range 7 {
		if id := <-ids; id != first {
			t.Errorf("%q, want %q", id, first)
		}
	}
	if n := policiesCreated(s, since); n != 1 {
		t.Errorf("created %d times", n)
	}
	// A call without the time to wait is told so.
	s.Fault(emulator.Fault{Operation: "POST *", Delay: emulator.Duration(time.Minute), Times: 1})
	key = uuid.NewString()
	held, stop := context.WithCancel(s.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.CallContext(held, createPolicy, named("b", key), new(pb.CreateExchangeProtectionPolicyResponse))
	}()
	eventually(t, "the first call is at Graph", func() bool {
		rules := s.Emulator.Faults()
		return rules[len(rules)-1].Applied == 1
	})
	ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
	defer cancel()
	o := s.CallContext(ctx, createPolicy, named("b", key), new(pb.CreateExchangeProtectionPolicyResponse))
	if o.Reason() != "IDEMPOTENCY_KEY_IN_USE" || servicetest.Detail[*errdetails.RetryInfo](o.Status) == nil {
		t.Errorf("%v", o.Status)
	}
	stop()
	<-ended
}

// A call that waits for another one with its key is told to come again when the server stops: else it would be cut.
func TestDrainEndsCallsThatWaitForAKey(t *testing.T) {
	s := servicetest.New(t, withKeys)
	since, key := s.Mark(), uuid.NewString()
	s.Fault(emulator.Fault{Operation: "POST *", Delay: emulator.Duration(time.Second), Times: 1})
	outcomes := make(chan *servicetest.Outcome, 2)
	for range 2 {
		go func() {
			o, _ := create(s, "a", key)
			outcomes <- o
		}()
	}
	// Both are under way: one was sent, the other waits.
	eventually(t, "two calls are under way", func() bool {
		return s.Services.CallsInFlight() == 2 && s.Emulator.Faults()[0].Applied == 1
	})
	s.Services.Drain()
	if o := <-outcomes; o.Reason() != "IDEMPOTENCY_KEY_IN_USE" {
		t.Errorf("%v", o.Status)
	}
	if o := <-outcomes; o.Status != nil || policiesCreated(s, since) != 1 {
		t.Errorf("%v: created %d times", o.Status, policiesCreated(s, since))
	}
}

// The outcome of an update is kept item by item: ids and reasons, and none of Graph's words.
func TestTheItemsOfAnUpdateAreReplayed(t *testing.T) {
	const added, removed, failed = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002", "aaaaaaaa-0000-4000-8000-000000000003"
	var updates atomic.Int64
	s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/mailboxProtectionUnits"):
			servicetest.Respond(200, `{"value":[]}`)(w, r)
			return
		case r.Method == http.MethodGet:
			servicetest.Respond(200, `{"id":"`+unknownPolicy+`"}`)(w, r)
			return
		}
		updates.Add(1)
		servicetest.Respond(200, `{"mailboxProtectionUnits@delta":[{"id":"`+added+`"},{"@removed":{"reason":"changed"},"id":"`+removed+`"},`+
			`{"id":"`+failed+`","@Core.DataModificationException":{"info":{"code":"ProtectionUnitAlreadyExists","message":"Ada has it"},"failedOperation":"Add","responseCode":409}}]}`)(w, r)
	}, withKeys)
	request := &pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, RemoveMailboxProtectionUnitIds: []string{removed}, IdempotencyKey: new(uuid.NewString())}
	var seen [2][]string
	for i := range seen {
		out := new(pb.UpdateExchangeProtectionPolicyResponse)
		if o := s.Call(policies+"UpdateExchangeProtectionPolicy", request, out); o.Status != nil || isReplay(o) != (i == 1) {
			t.Fatalf("call %d: replay %v, %v", i+1, isReplay(o), o.Status)
		}
		for _, change := range out.GetMailboxProtectionUnits() {
			line := fmt.Sprintf("%s removed: %v", change.GetProtectionUnit().GetId(), change.GetRemoved())
			if failed := change.GetError(); failed != nil {
				line += " " + servicetest.InfoOf(failed).GetReason()
				if replay := i == 1; strings.Contains(failed.String(), "Ada") == replay {
					t.Errorf("call %d: %v", i+1, failed)
				}
			}
			seen[i] = append(seen[i], line)
		}
	}
	want := []string{added + " removed: false", removed + " removed: true", failed + " removed: false PROTECTION_UNIT_ALREADY_EXISTS"}
	if !slices.Equal(seen[0], want) || !slices.Equal(seen[1], want) {
		t.Errorf("first %q\nthen  %q\nwant  %q", seen[0], seen[1], want)
	}
	if n := updates.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

// What is done for a user has keys of its own: another user, or the application, does not get it.
func TestKeysAreThoseOfTheUser(t *testing.T) {
	s := servicetest.New(t, withKeys)
	key := uuid.NewString()
	seen := make(map[string]bool)
	for _, user := range []int{0, 1, 2} {
		s.User = user
		first, id := create(s, "a", key)
		if first.Status != nil || isReplay(first) || seen[id] {
			t.Errorf("user %d: %q, replay %v, %v", user, id, isReplay(first), first.Status)
		}
		seen[id] = true
		if second, again := create(s, "a", key); second.Status != nil || !isReplay(second) || again != id {
			t.Errorf("user %d, again: %q, want %q, replay %v, %v", user, again, id, isReplay(second), second.Status)
		}
	}
}

// A lost create of a thing with a name is found again, when exactly one thing can be it.
func TestALostCreateIsFoundByItsName(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			s := servicetest.New(t, withKeys)
			l.newPolicy(s, 1, 1)
			request := l.create(s, "mine", 2, 2)
			setKey(request, uuid.NewString())
			since := s.Mark()
			s.Fault(emulator.Fault{Operation: "POST *", Cut: "after", Times: 1})
			if o := s.Try(l.createRPC(), request); o.Reason() != "OUTCOME_UNKNOWN" || servicetest.Detail[*errdetails.RetryInfo](o.Status) == nil || o.Pushback()[0] != "-1" {
				t.Fatalf("%v", o.Status)
			}
			o := s.Try(l.createRPC(), request)
			if o.Status != nil || !isReplay(o) || policiesCreated(s, since) != 1 {
				t.Fatalf("%v: created %d times", o.Status, policiesCreated(s, since))
			}
			if s.Services.KeyedCalls()[service.KeyedResolved] != 1 {
				t.Errorf("%v", s.Services.KeyedCalls())
			}
		})
	}
}

// Two things that can be it are none: the error names both.
func TestTwinsAreNotAdopted(t *testing.T) {
	s := servicetest.New(t, withKeys)
	key := uuid.NewString()
	s.Fault(emulator.Fault{Operation: "POST *", Cut: "after", Times: 1})
	create(s, "twin", key)
	out := new(pb.CreateExchangeProtectionPolicyResponse)
	if o := s.Call(createPolicy, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "twin"}, out); o.Status != nil {
		t.Fatalf("%v", o.Status)
	}
	o, _ := create(s, "twin", key)
	ids := o.Info().GetMetadata()["candidateIds"]
	if o.Reason() != "OUTCOME_UNKNOWN" || strings.Count(ids, ",") != 1 || !strings.Contains(ids, out.GetProtectionPolicy().GetId()) || o.Pushback()[0] != "-1" {
		t.Errorf("%v", o.Status)
	}
	// What stands for another key is no candidate to adopt.
	lost, other := uuid.NewString(), uuid.NewString()
	s.Fault(emulator.Fault{Operation: "POST *", Cut: "before", Times: 1})
	create(s, "one", lost)
	_, id := create(s, "one", other)
	if o, _ := create(s, "one", lost); o.Reason() != "OUTCOME_UNKNOWN" || o.Info().GetMetadata()["candidateIds"] != id {
		t.Errorf("%v", o.Status)
	}
}

// The one known gap: a request that is held up for longer than the lease between the step to SENT and Graph. The second
// call finds nothing, so a client that goes on with another key has two things in the end. Nothing is sent twice under
// one key.
func TestTheGapOfAHeldRequest(t *testing.T) {
	s := servicetest.New(t, leased(300*time.Millisecond))
	s.Fault(emulator.Fault{Operation: "POST *", Delay: emulator.Duration(3 * time.Second), Times: 1})
	since, key := s.Mark(), uuid.NewString()
	done := make(chan *servicetest.Outcome)
	go func() {
		o, _ := create(s, "a", key)
		done <- o
	}()
	eventually(t, "the request is held", func() bool {
		all := s.Emulator.Faults()
		return len(all) > 0 && all[0].Applied > 0
	})
	if o, _ := create(s, "a", key); o.Reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("%v", o.Status)
	}
	if o, _ := create(s, "a", uuid.NewString()); o.Status != nil {
		t.Errorf("%v", o.Status)
	}
	if o := <-done; o.Status != nil {
		t.Errorf("%v", o.Status)
	}
	if n := policiesCreated(s, since); n != 2 {
		t.Errorf("created %d times; the gap is shown by 2", n)
	}
	if o, _ := create(s, "a", key); o.Status != nil || !isReplay(o) {
		t.Errorf("the owner did not say what it heard: %v", o.Status)
	}
}

func setKey(request proto.Message, key string) {
	field := request.ProtoReflect().Descriptor().Fields().ByName("idempotency_key")
	request.ProtoReflect().Set(field, protoreflect.ValueOfString(key))
}

// goldenKey is the key of golden Statuses.
const goldenKey = "0c222222-2222-4333-8444-555555555555"

// answers is a store that always answers alike.
type answers struct {
	swapped idempotency.Swapped
	err     error
}

func (a answers) Read(context.Context, idempotency.ID) (idempotency.Stored, error) {
	return a.swapped.Stored, a.err
}

func (a answers) Swap(context.Context, idempotency.Swap) (idempotency.Swapped, error) {
	return a.swapped, a.err
}

func storing(store idempotency.Store) servicetest.Option {
	return func(o *service.Options) { o.Idempotency = service.Idempotency{Keys: idempotency.New(store)} }
}

// withoutStore has a server whose store is down.
func withoutStore(o *service.Options) {
	storing(answers{err: idempotency.NotWritten(idempotency.ErrUnavailable)})(o)
}

// inUse has a server whose keys are all in use: each record is that of the same request, and HELD by another call.
func inUse(o *service.Options) { storing(&occupied{Memory: idempotency.NewMemory()})(o) }

// occupied has another call hold each record just before.
type occupied struct{ *idempotency.Memory }

func (o *occupied) Swap(ctx context.Context, s idempotency.Swap) (idempotency.Swapped, error) {
	if s.Old == nil && s.New != nil {
		if _, err := o.Memory.Swap(ctx, s); err != nil {
			return idempotency.Swapped{}, err
		}
	}
	return o.Memory.Swap(ctx, s)
}

// While the store is down calls with a key are refused, and others go on.
func TestWithoutAStoreOnlyKeysAreRefused(t *testing.T) {
	s := servicetest.New(t, withoutStore)
	since := s.Mark()
	if o, _ := create(s, "a", uuid.NewString()); o.Reason() != "IDEMPOTENCY_STORE_UNAVAILABLE" {
		t.Errorf("%v", o.Status)
	}
	if n := policiesCreated(s, since); n != 0 {
		t.Errorf("created %d times", n)
	}
	if o := s.Try(createPolicy, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "a"}); o.Status != nil {
		t.Errorf("%v", o.Status)
	}
}
