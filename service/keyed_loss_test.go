package service_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// forgetful is a store that loses its records.
type forgetful struct {
	mu      sync.Mutex
	records *idempotency.Memory
	loss    idempotency.Loss
	// down has each step to HELD fail.
	down bool
}

// lose forgets all records, and tells that servers write theirs again within a time.
func (f *forgetful) lose(grace time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records, f.loss = idempotency.NewMemory(), idempotency.Loss{ID: uuid.NewString(), Grace: grace}
}

func (f *forgetful) Read(ctx context.Context, key idempotency.ID) (idempotency.Stored, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records.Read(ctx, key)
}

func (f *forgetful) Swap(ctx context.Context, s idempotency.Swap) (idempotency.Swapped, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down && s.Passing {
		return idempotency.Swapped{}, idempotency.NotWritten(idempotency.ErrUnavailable)
	}
	if is, _ := f.records.Read(ctx, s.Key); is.Record == nil && s.Old == nil && f.loss.ID != s.Looked {
		return idempotency.Swapped{Loss: &f.loss}, nil
	}
	return f.records.Swap(ctx, s)
}

// forgetting has a server keep keys in a store that can lose them. Its first loss is over.
func forgetting(f *forgetful) servicetest.Option {
	f.records = idempotency.NewMemory()
	return func(o *service.Options) {
		o.Idempotency = service.Idempotency{Keys: idempotency.New(f), Upstream: "test", Application: emulator.DefaultApp}
	}
}

// A key that the store does not know after a loss is looked for, and its write is sent only when nothing of it is
// there.
func TestAfterALossACallLooksFirst(t *testing.T) {
	start := func(t *testing.T) (*servicetest.Server, *forgetful) {
		f := new(forgetful)
		return servicetest.New(t, forgetting(f)), f
	}
	wantCounts := func(t *testing.T, s *servicetest.Server, want map[string]uint64) {
		t.Helper()
		for outcome, n := range s.Services.KeyedCalls() {
			if n != want[outcome] {
				t.Errorf("%d calls are %q, want %d", n, outcome, want[outcome])
			}
		}
	}
	t.Run("a policy that is there", func(t *testing.T) {
		s, f := start(t)
		since, key := s.Mark(), uuid.NewString()
		_, id := create(s, "a", key)
		f.lose(0)
		for range 2 {
			// The second call finds the record that the first one wrote.
			if o, again := create(s, "a", key); o.Status != nil || !isReplay(o) || again != id {
				t.Fatalf("%q: %v", again, o.Status)
			}
		}
		if n := policiesCreated(s, since); n != 1 {
			t.Errorf("created %d times", n)
		}
		wantCounts(t, s, map[string]uint64{service.KeyedFirst: 1, service.KeyedResolved: 1, service.KeyedReplayed: 1})
	})
	t.Run("nothing is there", func(t *testing.T) {
		s, f := start(t)
		f.lose(0)
		since, key := s.Mark(), uuid.NewString()
		_, id := create(s, "a", key)
		if o, again := create(s, "a", key); o.Status != nil || !isReplay(o) || again != id || id == "" || policiesCreated(s, since) != 1 {
			t.Errorf("%q, then %q: %v", id, again, o.Status)
		}
		wantCounts(t, s, map[string]uint64{service.KeyedFirst: 1, service.KeyedReplayed: 1})
	})
	t.Run("two can be it", func(t *testing.T) {
		s, f := start(t)
		create(s, "a", uuid.NewString())
		create(s, "a", uuid.NewString())
		f.lose(0)
		since, key := s.Mark(), uuid.NewString()
		o, _ := create(s, "a", key)
		if ids := o.Info().GetMetadata()["candidateIds"]; o.Reason() != "OUTCOME_UNKNOWN" || strings.Count(ids, ",") != 1 || o.Pushback()[0] != "-1" || policiesCreated(s, since) != 0 {
			t.Errorf("%v", o.Status)
		}
		// Whoever knows better uses another name, or another key after a while; this one is not burnt.
		if o, _ := create(s, "b", key); o.Status != nil || isReplay(o) {
			t.Errorf("%v", o.Status)
		}
	})
	t.Run("it is that of another key", func(t *testing.T) {
		s, f := start(t)
		theirs := uuid.NewString()
		_, id := create(s, "a", theirs)
		f.lose(0)
		if o, again := create(s, "a", theirs); o.Status != nil || again != id {
			t.Fatalf("%v", o.Status)
		}
		o, mine := create(s, "a", uuid.NewString())
		if o.Status != nil || isReplay(o) || mine == id || mine == "" {
			t.Errorf("%q: %v", mine, o.Status)
		}
	})
	t.Run("a session, which has no name", func(t *testing.T) {
		s, f := start(t)
		rpc, request := "RestoreSessionService/CreateExchangeRestoreSession", new(pb.CreateExchangeRestoreSessionRequest)
		setKey(request, uuid.NewString())
		f.lose(0)
		if o := s.Try(rpc, request); o.Status != nil || isReplay(o) {
			t.Fatalf("%v", o.Status)
		}
		f.lose(0)
		if o := s.Try(rpc, request); o.Reason() != "OUTCOME_UNKNOWN" || o.Info().GetMetadata()["candidateIds"] == "" {
			t.Errorf("%v", o.Status)
		}
	})
	t.Run("the others have no time to write what they know", func(t *testing.T) {
		s, f := start(t)
		f.lose(time.Hour)
		since, key := s.Mark(), uuid.NewString()
		o, _ := create(s, "a", key)
		if o.Reason() != "IDEMPOTENCY_STORE_UNAVAILABLE" || servicetest.Detail[*errdetails.RetryInfo](o.Status) == nil || policiesCreated(s, since) != 0 {
			t.Errorf("%v", o.Status)
		}
		f.lose(0)
		if o, _ := create(s, "a", key); o.Status != nil || isReplay(o) {
			t.Errorf("its key is not free: %v", o.Status)
		}
		wantCounts(t, s, map[string]uint64{service.KeyedUnavailable: 1, service.KeyedFirst: 1})
	})
	t.Run("the store fails", func(t *testing.T) {
		s, f := start(t)
		f.lose(0)
		f.down = true
		since := s.Mark()
		if o, _ := create(s, "a", uuid.NewString()); o.Reason() != "IDEMPOTENCY_STORE_UNAVAILABLE" || policiesCreated(s, since) != 0 {
			t.Errorf("%v", o.Status)
		}
	})
	t.Run("who cannot look does not send", func(t *testing.T) {
		s, f := start(t)
		request := named("a", uuid.NewString())
		policy := servicetest.Must[pb.CreateExchangeProtectionPolicyResponse](s, createPolicy, request).GetProtectionPolicy().GetId()
		writes := map[string]proto.Message{
			createPolicy:                                request,
			policies + "ActivateProtectionPolicy":       &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: policy},
			policies + "UpdateExchangeProtectionPolicy": &pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: policy, DisplayName: new("b")},
		}
		f.lose(0)
		s.Fault(emulator.Fault{Operation: "GET *", Status: 503, Times: 1000})
		since := s.Mark()
		for rpc, request := range writes {
			setKey(request, uuid.NewString())
			if o := s.Try(rpc, request); o.Reason() != "OUTCOME_UNKNOWN" || servicetest.Detail[*errdetails.RetryInfo](o.Status) == nil || o.Pushback()[0] != "-1" {
				t.Errorf("%s: %v", rpc, o.Status)
			}
		}
		for _, entry := range s.Requests(since) {
			if entry.Method != http.MethodGet {
				t.Errorf("sent: %s %s", entry.Method, entry.Path)
			}
		}
		wantCounts(t, s, map[string]uint64{service.KeyedFirst: 1, service.KeyedUnknown: 3})
	})
}
