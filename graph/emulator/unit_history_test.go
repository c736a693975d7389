package emulator_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// A long history of operations, the same in every run: after each of them the
// policy's status must be the aggregate of its units, and in the end the
// ledger's changes must lead to exactly the state that is there.
func TestALongHistoryStaysConsistent(t *testing.T) {
	for _, seeded := range []int{0, 12} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%d seeded units, history %d", seeded, seed), func(t *testing.T) {
				w := newWorld(t)
				var policy string
				if seeded > 0 {
					policy = w.withUnits(seeded)
				} else {
					policy = w.policyWith(user(1))
				}
				play(w, policy, rand.New(rand.NewPCG(seed, 1)))
				w.wantReplay(policy, seeded)
			})
		}
	}
}

func play(w *world, policy string, dice *rand.Rand) {
	w.t.Helper()
	for range 120 {
		switch dice.IntN(8) {
		case 0:
			w.do(http.MethodPost, "/protectionPolicies/"+policy+"/activate", nil)
		case 1:
			w.do(http.MethodPost, "/protectionPolicies/"+policy+"/deactivate", nil)
		case 2, 3:
			w.patch(policy, add(user(1+dice.IntN(16))), add(user(20+dice.IntN(5)))).want(200)
		case 4:
			w.patch(policy, remove(mailboxUnit(1+dice.IntN(16))), add(stranger)).want(200)
		default:
			w.pass(time.Duration(dice.IntN(200)) * time.Second)
		}
		want := aggregate(w.statuses(policy))
		// Without units the status says whether the policy is on, which the
		// units cannot tell.
		if got := w.policyStatus(policy); want != "" && got != want && got != "updating" {
			w.t.Fatalf("policy is %s, its units say %s: %v", got, want, w.statuses(policy))
		}
	}
	w.pass(time.Hour)
	if got, want := w.policyStatus(policy), aggregate(w.statuses(policy)); want != "" && got != want {
		w.t.Fatalf("at rest the policy is %s, its units say %s", got, want)
	}
}

// aggregate is the definition of a policy's status; "" without units.
func aggregate(units map[string]int) string {
	total := 0
	for _, n := range units {
		total += n
	}
	switch {
	case total == 0:
		return ""
	case units["protectRequested"]+units["unprotectRequested"]+units["removeRequested"] > 0:
		return "updating"
	case units["protected"] == total:
		return "active"
	case units["unprotected"] == total:
		return "inactive"
	}
	return "activeWithErrors"
}

// wantReplay replays the ledger and compares with what the API shows.
func (w *world) wantReplay(policy string, seeded int) {
	w.t.Helper()
	status := map[string]string{}
	block := map[string]int{"protected": seeded} // units that never left the block
	for _, e := range w.e.Ledger(0).Entries {
		if e.Kind != emulator.EntryChange || e.Resource != "mailboxProtectionUnit" {
			continue
		}
		n := max(e.Count, 1)
		if e.ID == "" { // the block
			block[e.From] -= n
			block[e.To] += n
			continue
		}
		if old, known := status[e.ID]; known && old != e.From {
			w.t.Fatalf("entry %d says that %s was %s, it was %s", e.Seq, e.ID, e.From, old)
		} else if !known && e.From != "" {
			block[e.From]-- // it has just left the block
		}
		status[e.ID] = e.To
	}
	want := maps.Clone(block)
	for _, s := range status {
		want[s]++
	}
	got := map[string]int{}
	for _, u := range w.do(http.MethodGet, mailboxCast+"?$top=999", nil, "Prefer", preferUnknown).want(200).list("value") {
		got[u.(map[string]any)["status"].(string)]++
	}
	maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(got, want) {
		w.t.Errorf("units are %v, the ledger leads to %v", got, want)
	}
}

func TestSeedAndResetWhileOthersAsk(t *testing.T) {
	w := newWorld(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			if i%2 == 0 {
				w.e.Reset()
			} else if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, ServiceStatus: "enabled"}); err != nil {
				t.Error(err)
			}
			w.e.Faults()
			w.e.Ledger(0)
		}
	}()
	for range 40 {
		r := w.do(http.MethodPost, "/exchangeProtectionPolicies", mailboxes())
		if r.status != 201 {
			t.Errorf("status %d: %s", r.status, r.raw)
		}
		w.get("/protectionPolicies").want(200)
	}
	<-done
}
