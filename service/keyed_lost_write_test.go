package service_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// keyedLosses calls each write with a key, loses it, and calls it again with the same key.
type keyedLosses struct {
	mu sync.Mutex
	// found are the rpcs of which a look found that the write was done, unknown those of which it did not.
	found, unknown map[string]bool
}

func (k *keyedLosses) note(into map[string]bool, rpc string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	into[rpc] = true
}

func (k *keyedLosses) carryOut(s *story, proxy *servicetest.LossyProxy, method protoreflect.MethodDescriptor, in, out proto.Message, first bool) {
	s.TB.Helper()
	rpc := string(method.Name())
	field := method.Input().Fields().ByName("idempotency_key")
	do := func(request proto.Message) *servicetest.Outcome {
		return s.Call(string(method.Parent().Name())+"/"+rpc, request, out)
	}
	if field == nil || !first {
		s.wantOK(rpc, do(in))
		return
	}
	with := proto.Clone(in)
	with.ProtoReflect().Set(field, protoreflect.ValueOfString(uuid.NewString()))
	since := s.Mark()
	proxy.Lose(1)
	one := do(with)
	lost, _ := proxy.Stop()
	writes := s.writes(since)
	two := do(with)
	done := s.writes(since)
	if done > 1 {
		s.TB.Errorf("%s: done %d times", rpc, done)
	}
	switch {
	case one.Status == nil:
		if two.Status != nil || !isReplay(two) || done != 1 {
			s.TB.Errorf("%s: was done %d times, and then: %v", rpc, done, two.Status)
		}
	case one.Reason() == "OUTCOME_UNKNOWN":
		if done != writes {
			s.TB.Errorf("%s: the second call did it", rpc)
		}
		switch {
		case two.Status == nil && isReplay(two) && done == 1:
			k.note(k.found, rpc)
			return
		case two.Status == nil:
			s.TB.Errorf("%s: was done %d times, and the second call is OK; replay: %v", rpc, done, isReplay(two))
		case two.Reason() != "OUTCOME_UNKNOWN" || !slices.Equal(two.Pushback(), []string{"-1"}):
			s.TB.Errorf("%s: %v", rpc, two.Status)
		}
		if done == 1 {
			k.note(k.unknown, rpc)
			fill(s, lost, out)
			return
		}
		// It was lost on its way: only a person can say so.
		s.wantOK(rpc, do(in))
	default:
		// Nothing was sent, so the second call is a first one.
		if two.Status != nil || isReplay(two) || done != 1 {
			s.TB.Errorf("%s: %v, and then: %v; done %d times", rpc, one.Status, two.Status, done)
		}
	}
}

// writes counts the writes that were carried out.
func (s *story) writes(since uint64) (n int) {
	for _, entry := range s.Requests(since) {
		if entry.Method != http.MethodGet && entry.Status < 300 {
			n++
		}
	}
	return n
}

// notShown are the writes of which no look can tell that they were done: what they create has no name, or no state
// proves them. With a policy it takes minutes until a state does.
var notShown = []string{
	"ActivateProtectionPolicy", "ActivateServiceApp", "CancelOffboardProtectionUnit", "CreateDriveInclusionRule",
	"CreateExchangeRestoreSession", "CreateMailboxInclusionRule", "CreateOneDriveForBusinessBrowseSession",
	"CreateOneDriveForBusinessRestoreSession", "CreateServiceApp", "CreateSharePointBrowseSession",
	"CreateSharePointRestoreSession", "CreateSiteInclusionRule", "DeactivateProtectionPolicy", "DeactivateServiceApp",
	"DeleteAndUnprotectDriveInclusionRule", "DeleteAndUnprotectMailboxInclusionRule", "EnableBackupRestore",
	"OffboardProtectionUnit", "RunDriveInclusionRule", "RunMailboxInclusionRule", "RunSiteInclusionRule",
	"UpdateDriveInclusionRule", "UpdateMailboxInclusionRule",
}

// TestALostWriteWithAKeyIsDoneOnce runs the lifecycles with keys. In each, the first write by every rpc with a key gets
// lost in one way, and is called again: nothing is done twice, and the second call tells what became of the first.
func TestALostWriteWithAKeyIsDoneOnce(t *testing.T) {
	all := newCoverage(t)
	k := &keyedLosses{found: make(map[string]bool), unknown: make(map[string]bool)}
	t.Run("losses", func(t *testing.T) {
		for _, transport := range transports {
			for _, loss := range servicetest.Losses(transport) {
				t.Run(fmt.Sprintf("%s/%s", transport, loss.Name), func(t *testing.T) {
					t.Parallel()
					tried := make(map[string]int)
					start := func(p workloadCase) *story {
						server, proxy := servicetest.NewLossy(t, transport, loss, func(o *service.Options) {
							withKeys(o)
							o.Idempotency.Application = emulator.DefaultApp
						})
						s := newStoryOn(server, p, all)
						s.losses = &lostWrites{proxy: proxy, tried: tried, keyed: k}
						return s
					}
					for _, p := range workloadCases {
						start(p).runLifecycle()
					}
					start(workloadCases[0]).runTakeover()
				})
			}
		}
	})
	if unknown := slices.Sorted(maps.Keys(k.unknown)); !slices.Equal(unknown, notShown) {
		t.Errorf("not found although they were done: %s\nwant %s", unknown, notShown)
	}
	for rpc := range k.found {
		if k.unknown[rpc] {
			t.Errorf("%s was found after some losses only", rpc)
		}
	}
}
