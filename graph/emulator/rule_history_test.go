package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// A long history of everything that moves units into and out of a policy, the
// same in every run: the policy's status stays the aggregate of its units, the
// ledger leads to what is there, and in the end the dynamic rule holds exactly
// its group's members.
func TestALongHistoryWithRulesStaysConsistent(t *testing.T) {
	for _, seeded := range []int{0, 12} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%d seeded units, history %d", seeded, seed), func(t *testing.T) {
				w := newWorld(t)
				var policy string
				if seeded > 0 {
					policy = w.withUnits(seeded, func(s *emulator.Seed) { s.Policies[0].DynamicRuleUnits = 5 })
				} else {
					policy = w.activePolicyWith(user(1))
				}
				path := "/exchangeProtectionPolicies/" + policy + "/mailboxInclusionRules"
				playRules(w, policy, path, rand.New(rand.NewPCG(seed, 2)))
				w.pass(12 * time.Hour) // so that the last evaluation has happened and taken effect
				w.wantReplay(policy, seeded)
				w.wantHeld(policy, path)
			})
		}
	}
}

func playRules(w *world, policy, path string, dice *rand.Rand) {
	w.t.Helper()
	someUser := func() string { return user(1 + dice.IntN(40)) }
	someRule := func() string {
		list := w.get(path).want(200).list("value")
		if len(list) == 0 {
			return stranger
		}
		return list[dice.IntN(len(list))].(map[string]any)["id"].(string)
	}
	for range 150 {
		unit := "/protectionUnits/" + mailboxUnit(1+dice.IntN(40))
		switch dice.IntN(14) {
		case 0:
			w.do(http.MethodPost, path, map[string]any{"mailboxExpression": of(group(1 + dice.IntN(4)))}).want(201)
		case 1, 2:
			w.do(http.MethodPost, path, map[string]any{"mailboxExpression": of(group(1+dice.IntN(4)), group(2)), "isAutoApplyEnabled": true})
		case 3:
			w.change(group(1+dice.IntN(4)), []string{someUser()}, []string{someUser(), someUser(), someUser()})
		case 4:
			w.patch(policy, add(someUser()))
		case 5:
			w.patch(policy, remove(mailboxUnit(1+dice.IntN(40))))
		case 6:
			w.do(http.MethodDelete, path+"/"+someRule(), nil)
		case 7:
			w.do(http.MethodPost, path+"/"+someRule()+"/deleteAndUnprotect", nil)
		case 8:
			w.do(http.MethodPatch, path+"/"+someRule(), map[string]any{"mailboxExpression": of(group(1 + dice.IntN(4)))})
		case 9:
			w.do(http.MethodPost, unit+[]string{"/offboard", "/cancelOffboard"}[dice.IntN(2)], nil)
		case 10:
			w.do(http.MethodPost, "/protectionPolicies/"+policy+[]string{"/activate", "/deactivate"}[dice.IntN(2)], nil)
		case 11:
			jobs := strings.Replace(path, "mailboxInclusionRules", "mailboxProtectionUnitsBulkAdditionJobs", 1)
			w.do(http.MethodPost, jobs, map[string]any{"directoryObjectIds": []string{someUser(), someUser()}}).want(201)
		default:
			w.pass(time.Duration(dice.IntN(40)) * time.Minute)
		}
		want := aggregate(w.statuses(policy))
		if got := w.policyStatus(policy); want != "" && got != want && got != "updating" {
			w.t.Fatalf("policy is %s, its units say %s: %v", got, want, w.statuses(policy))
		}
	}
}

// wantHeld checks that a dynamic rule, if there is one, is applied.
func (w *world) wantHeld(policy, path string) {
	w.t.Helper()
	wanted := map[string]bool{}
	elsewhere := map[string]bool{} // what the rule says it could not take
	for _, item := range w.get(path).want(200).list("value") {
		rule := item.(map[string]any)
		if rule["isAutoApplyEnabled"] != true {
			continue
		}
		for word := range strings.SplitSeq(rule["mailboxExpression"].(string), "'") {
			members, err := w.e.GroupMembers("", word)
			if err != nil {
				continue
			}
			for _, m := range members {
				wanted[m] = m != user(emulator.UserNoLicense)
			}
		}
		if failure, _ := rule["error"].(map[string]any); failure != nil {
			for _, d := range failure["details"].([]any) {
				elsewhere[fmt.Sprint(d.(map[string]any)["target"])] = true
			}
		}
	}
	for _, item := range w.get("/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits?$top=999").want(200).list("value") {
		u := item.(map[string]any)
		object := u["directoryObjectId"].(string)
		if u["status"] != "protected" {
			delete(wanted, object) // sources are shown for what is protected only
			continue
		}
		held := strings.Contains(u["protectionSources"].(string), "dynamicRule")
		if held != wanted[object] {
			w.t.Errorf("unit of %s has the sources %v, want held: %v", object, u["protectionSources"], wanted[object])
		}
		delete(wanted, object)
	}
	for object, want := range wanted {
		if want && !elsewhere[object] {
			w.t.Errorf("the rule does not hold %s", object)
		}
	}
}
