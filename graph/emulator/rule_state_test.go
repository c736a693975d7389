package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

const preferUnknown = "include-unknown-enum-members"

func group(n int) string { return emulator.GroupID(emulator.TenantA, n) }

// of is the expression for members of groups.
func of(groups ...string) string {
	return "(memberOf -any (group.id -in ['" + strings.Join(groups, "', '") + "']))"
}

// ruleKind is how the rules of one workload are spelt, with an expression that
// selects something and the number of what it selects.
type ruleKind struct {
	policies, rules, property, typ, good string
	selected                             int
}

func ruleKinds() []ruleKind {
	return []ruleKind{
		{"exchangeProtectionPolicies", "mailboxInclusionRules", "mailboxExpression", "mailboxProtectionRule", of(group(2)), 10},
		{"oneDriveForBusinessProtectionPolicies", "driveInclusionRules", "driveExpression", "driveProtectionRule", of(group(2)), 10},
		{"sharePointProtectionPolicies", "siteInclusionRules", "siteExpression", "siteProtectionRule", "(displayName -contains 'Site 2')", 11},
	}
}

// rulesOf makes a policy of a kind, active when on, and returns the path of its
// rules.
func (w *world) rulesOf(k ruleKind, on bool) (policy, path string) {
	w.t.Helper()
	policy = w.do(http.MethodPost, "/"+k.policies, map[string]any{"displayName": "Rules"}).want(201).str("id")
	if on {
		w.do(http.MethodPost, "/protectionPolicies/"+policy+"/activate", nil).want(202)
		w.pass(5 * time.Minute)
	}
	return policy, "/" + k.policies + "/" + policy + "/" + k.rules
}

// mailboxRules is rulesOf for the first kind, active.
func (w *world) mailboxRules() (policy, path string) {
	w.t.Helper()
	return w.rulesOf(ruleKinds()[0], true)
}

// rule makes a rule and returns its path.
func (w *world) rule(path, expression string, dynamic bool) string {
	w.t.Helper()
	body := map[string]any{"mailboxExpression": expression, "isAutoApplyEnabled": dynamic}
	return path + "/" + w.do(http.MethodPost, path, body).want(201).str("id")
}

// settled is rule, whose time is over.
func (w *world) settled(path, expression string, dynamic bool) string {
	w.t.Helper()
	rule := w.rule(path, expression, dynamic)
	w.pass(time.Minute)
	return rule
}

func (w *world) wantRule(rule, status string) *reply {
	w.t.Helper()
	return w.do(http.MethodGet, rule, nil, "Prefer", preferUnknown).want(200).eq("status", status)
}

// members says which users a policy has, as numbers of mailbox units.
func (w *world) members(policy string) string {
	w.t.Helper()
	numbers := []int{}
	for _, item := range w.get("/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits?$top=999").want(200).list("value") {
		u := item.(map[string]any)
		for n := 1; n <= 200; n++ {
			if u["directoryObjectId"] == user(n) && u["status"] != "removeRequested" {
				numbers = append(numbers, n)
			}
		}
	}
	return strings.Trim(fmt.Sprint(numbers), "[]")
}

func (w *world) change(groupID string, add, remove []string) {
	w.t.Helper()
	if err := w.e.ChangeGroup(emulator.GroupChange{Group: groupID, Add: add, Remove: remove}); err != nil {
		w.t.Fatal(err)
	}
}

func TestAStaticRuleIsAppliedOnce(t *testing.T) {
	for _, k := range ruleKinds() {
		t.Run(k.rules, func(t *testing.T) {
			w := newWorld(t)
			policy, path := w.rulesOf(k, true)
			r := w.do(http.MethodPost, path, map[string]any{k.property: k.good}).want(201).
				eq("status", "active").eq("isAutoApplyEnabled", false).eq(k.property, k.good).
				eq("createdDateTime", "2030-01-02T03:09:05.6000000Z").eq("createdBy.application.id", emulator.DefaultApp)
			if !strings.Contains(string(r.raw), `"@odata.type":"#microsoft.graph.`+k.typ+`"`) {
				t.Errorf("type is missing: %s", r.raw)
			}
			rule := path + "/" + r.str("id")
			if got, want := r.header.Get("Content-Location"), w.server.URL+root+path+"('"+r.str("id")+"')"; got != want {
				t.Errorf("Content-Location = %s, want %s", got, want)
			}
			w.pass(time.Minute - time.Second)
			w.wantRule(rule, "active")
			units := "/" + k.policies + "/" + policy + "/" + strings.TrimSuffix(k.rules, "InclusionRules") + "ProtectionUnits"
			w.get(units).want(200).eq("value", "[]")
			w.pass(time.Second)
			w.wantRule(rule, "completed").eq("error", nil)
			got := w.get(units).want(200).eq("value.0.status", "protectRequested").eq("value.0.protectionSources", "manual")
			if n := len(got.list("value")); n != k.selected {
				t.Errorf("%d units, want %d", n, k.selected)
			}
			w.pass(5 * time.Minute)
			w.wantPolicy(policy, "active")
			w.get(path).want(200).eq("value.0.id", r.str("id")).eq("value.0.status", "completed").eq("value.1", nil)
			w.do(http.MethodDelete, rule, nil).want(204)
			w.get(rule).wantError(404, "ProtectionRuleNotFound")
			if n := len(w.get(units).want(200).list("value")); n != k.selected {
				t.Errorf("%d units after the rule is gone, want %d", n, k.selected)
			}
		})
	}
}

func TestAStaticRuleTakesTheMembersOfItsMoment(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	rule := w.settled(path, of(emulator.GroupA1), false)
	if got, want := w.members(policy), "1 2 3 5 6 7 8 9 10"; got != want { // user 4 has no mailbox
		t.Errorf("members %s, want %s", got, want)
	}
	w.change(emulator.GroupA1, []string{user(30)}, []string{user(1)})
	w.pass(48 * time.Hour)
	if got, want := w.members(policy), "1 2 3 5 6 7 8 9 10"; got != want {
		t.Errorf("members %s, want them unchanged: %s", got, want)
	}
	w.do(http.MethodPost, rule+"/run", nil).want(200).eq("status", "active")
	w.pass(time.Minute)
	w.wantRule(rule, "completed")
	if got, want := w.members(policy), "1 2 3 5 6 7 8 9 10 30"; got != want { // a static rule never removes
		t.Errorf("members %s after the run, want %s", got, want)
	}
}

func TestAStaticRuleFlattensNestedGroups(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	w.change(group(1), []string{emulator.GroupANested}, nil) // a circle
	rule := w.settled(path, of(group(6)), false)             // holds group 5, which holds 1 and 2, and user 41
	w.wantRule(rule, "completed")
	if got, want := w.members(policy), "1 2 3 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 41"; got != want {
		t.Errorf("members %s, want %s", got, want)
	}
}

func TestADynamicRuleFollowsItsGroup(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	rule := w.settled(path, of(group(2)), true)
	w.wantRule(rule, "completed").eq("isAutoApplyEnabled", true)
	w.pass(5 * time.Minute)
	w.unit(mailboxUnit(11)).eq("status", "protected").eq("protectionSources", "dynamicRule").
		eq("createdBy.application.id", emulator.DefaultApp) // whose rule it is
	w.change(group(2), []string{user(30)}, []string{user(11)})
	w.unit(mailboxUnit(30)).eq("status", "protectRequested").eq("protectionSources", "dynamicRule")
	w.unit(mailboxUnit(11)).eq("status", "removeRequested")
	w.pass(5 * time.Minute)
	w.unit(mailboxUnit(11)).eq("status", "unprotected").eq("policyId", nil)
	w.unit(mailboxUnit(30)).eq("status", "protected")
	w.wantPolicy(policy, "active")
	w.wantRule(rule, "completed")
}

func TestWhatADynamicRuleHoldsCannotBeRemovedByHand(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	w.settled(path, of(group(2)), true)
	w.pass(5 * time.Minute)
	w.patch(policy, add(user(12))).want(200).eq("mailboxProtectionUnits@delta.0.protectionSources", "manual,dynamicRule")
	w.patch(policy, add(user(12))).want(200).wantFailed(0, "add", "ProtectionUnitAlreadyExists")
	for _, n := range []int{11, 12} {
		w.unchanged(func() {
			w.patch(policy, remove(mailboxUnit(n))).wantError(400, "ProtectionUnitActionNotAllowed")
		})
	}
	w.change(group(2), nil, []string{user(12)}) // the hand still holds it
	w.unit(mailboxUnit(12)).eq("status", "protected").eq("protectionSources", "manual")
	w.patch(policy, remove(mailboxUnit(12))).want(200).eq("mailboxProtectionUnits@delta.0.status", "removeRequested")
}

func TestADynamicRuleAlsoHoldsWhatWasAddedByHand(t *testing.T) {
	w := newWorld(t)
	policy := w.activePolicyWith(user(11), user(50))
	path := "/exchangeProtectionPolicies/" + policy + "/mailboxInclusionRules"
	rule := w.settled(path, of(group(2)), true)
	w.unit(mailboxUnit(11)).eq("protectionSources", "manual,dynamicRule").eq("status", "protected")
	w.unit(mailboxUnit(50)).eq("protectionSources", "manual")
	w.do(http.MethodPost, rule+"/deleteAndUnprotect", nil, "Prefer", preferUnknown).want(202).eq("status", "deleteRequested")
	w.wantRule(rule, "deleteRequested")
	w.pass(time.Minute)
	w.get(rule).wantError(404, "ProtectionRuleNotFound")
	w.unit(mailboxUnit(11)).eq("protectionSources", "manual").eq("status", "protected")
	w.unit(mailboxUnit(12)).eq("status", "removeRequested")
	w.pass(2 * time.Minute)
	if got := w.members(policy); got != "11 50" {
		t.Errorf("members %s", got)
	}
	w.wantPolicy(policy, "active")
}

func TestDeletingADynamicRuleLeavesItsUnitsToTheHand(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	rule := w.settled(path, of(group(2)), true)
	w.pass(5 * time.Minute)
	w.do(http.MethodDelete, rule, nil).want(204)
	w.unit(mailboxUnit(11)).eq("status", "protected").eq("protectionSources", "manual")
	w.change(group(2), nil, []string{user(11)})
	w.pass(24 * time.Hour)
	w.unit(mailboxUnit(11)).eq("status", "protected")
	w.patch(policy, remove(mailboxUnit(11))).want(200)
	w.rule(path, of(group(1)), true) // there is room for another one
}

func TestADynamicRuleGetsAnotherExpression(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	rule := w.settled(path, of(group(2)), true)
	w.pass(5 * time.Minute)
	body := map[string]any{"mailboxExpression": of(group(3))}
	w.do(http.MethodPatch, rule, body, "Prefer", preferUnknown).want(200).
		eq("status", "updateRequested").eq("mailboxExpression", of(group(3))).eq("lastModifiedDateTime", "2030-01-02T03:15:05.6000000Z")
	w.unit(mailboxUnit(11)).eq("status", "protected")
	w.wantRule(rule, "updateRequested")
	w.pass(time.Minute)
	w.wantRule(rule, "completed")
	w.unit(mailboxUnit(11)).eq("status", "removeRequested")
	if got, want := w.members(policy), "21 22 23 24 25 26 27 28 29 30"; got != want {
		t.Errorf("members %s, want %s", got, want)
	}
}

// What keeps a unit out may end by itself; the rule then takes it at the end of
// an interval, not before.
func TestADynamicRuleIsEvaluatedAtIntervals(t *testing.T) {
	w := newWorld(t)
	other := w.policyWith(user(11))
	w2 := w.do(http.MethodPost, "/exchangeProtectionPolicies", map[string]any{"displayName": "x"}).want(201).str("id")
	path := "/exchangeProtectionPolicies/" + w2 + "/mailboxInclusionRules"
	rule := w.settled(path, of(group(2)), true) // at minute 1
	w.wantRule(rule, "completedWithErrors").eq("error.code", "ProtectionUnitAlreadyExists").
		eq("error.details.0.target", user(11)).eq("error.details.1", nil)
	w.do(http.MethodDelete, "/protectionPolicies/"+other, nil).want(204)
	w.pass(59 * time.Minute)
	w.unit(mailboxUnit(11)).eq("policyId", nil)
	w.wantRule(rule, "completedWithErrors")
	w.pass(time.Minute)
	w.unit(mailboxUnit(11)).eq("policyId", w2)
	w.wantRule(rule, "completed").eq("error", nil)
	w.pass(10 * 365 * 24 * time.Hour) // costs nothing
	w.wantRule(rule, "completed")
}

func TestAMemberThatComesBackTooEarlyIsTakenLater(t *testing.T) {
	w := newWorld(t)
	_, path := w.mailboxRules()
	rule := w.settled(path, of(group(2)), true)
	w.pass(5 * time.Minute)
	w.change(group(2), nil, []string{user(11)})
	w.change(group(2), []string{user(11)}, nil)
	w.wantRule(rule, "completed")
	w.unit(mailboxUnit(11)).eq("status", "removeRequested")
	w.pass(2 * time.Minute)
	w.unit(mailboxUnit(11)).eq("status", "unprotected").eq("policyId", nil)
	w.pass(time.Hour)
	w.unit(mailboxUnit(11)).eq("protectionSources", "dynamicRule")
}

func TestARuleTellsWhatItCouldNotSelect(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	static := w.settled(path, of(stranger, group(2)), false)
	w.wantRule(static, "completedWithErrors").eq("error.code", "invalidGroupId").eq("error.innerError.code", "invalidGroupId").
		eq("error.details.0.code", "invalidGroupId").eq("error.details.0.target", stranger).eq("error.details.1", nil)
	dynamic := w.settled(path, of(emulator.GroupANested, group(6)), true)
	w.wantRule(dynamic, "completedWithErrors").eq("error.details.0.target", emulator.GroupANested).
		eq("error.details.1.target", group(6)).eq("error.details.2", nil)
	if got, want := w.members(policy), "11 12 13 14 15 16 17 18 19 20 41"; got != want { // no group within a group
		t.Errorf("members %s, want %s", got, want)
	}
}

func TestExpressionsCombineMemberships(t *testing.T) {
	for expression, want := range map[string]string{
		of(group(2)) + " -and " + of(group(7)):                               "",
		of(emulator.GroupANested) + " -and " + of(group(1)):                  "1 2 3 5 6 7 8 9 10",
		"(" + of(group(2)) + " -or " + of(group(2)) + ")":                    "11 12 13 14 15 16 17 18 19 20",
		of(group(2)) + " -or " + of(group(1)) + " -and " + of(group(1)):      "1 2 3 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
		"(" + of(group(2)) + " -or " + of(group(6)) + ")-and" + of(group(6)): "1 2 3 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 41",
	} {
		w := newWorld(t)
		policy, path := w.mailboxRules()
		w.settled(path, expression, false)
		got := strings.Fields(w.members(policy))
		if fmt.Sprint(len(got)) != fmt.Sprint(len(strings.Fields(want))) {
			t.Errorf("%s selects %v, want %s", expression, got, want)
		}
		for n := range strings.FieldsSeq(want) {
			if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+n+" ") {
				t.Errorf("%s does not select %s", expression, n)
			}
		}
	}
}

func TestADynamicRuleProtects6000Users(t *testing.T) {
	w := newWorld(t)
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, Users: 7000, ServiceStatus: "enabled"}); err != nil {
		t.Fatal(err)
	}
	policy, path := w.mailboxRules()
	w.change(group(10), users(1000, 6999), users(91, 100)) // 6,000 members
	rule := w.settled(path, of(group(10)), true)
	w.wantRule(rule, "completed")
	w.wantCount(policy, 6000)
	w.change(group(10), users(95, 95), nil)
	w.wantRule(rule, "completedWithErrors").eq("error.code", "InvalidRuleExpression")
	w.wantCount(policy, 6000)
	w.change(group(10), nil, users(1000, 1000))
	w.wantRule(rule, "completed")
	w.wantCount(policy, 6000)
	w.do(http.MethodDelete, rule, nil).want(204)
	w.change(group(10), users(96, 96), nil)
	w.wantRule(w.settled(path, of(group(10)), false), "completed") // static rules know no such limit
	w.wantCount(policy, 6001)
}

// wantCount counts the units of a policy that are not on their way out.
func (w *world) wantCount(policy string, want int) {
	w.t.Helper()
	ids, _ := w.walk("/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits" +
		query("$filter", "status eq protectRequested or status eq protected", "$top", "999"))
	if len(ids) != want {
		w.t.Errorf("%d units, want %d", len(ids), want)
	}
}

func TestTheSeededDynamicRuleIsARule(t *testing.T) {
	w := newWorld(t).in(emulator.TenantC)
	path := "/exchangeProtectionPolicies/" + emulator.PolicyC + "/mailboxInclusionRules"
	r := w.get(path).want(200).eq("value.0.status", "completed").eq("value.0.isAutoApplyEnabled", true).
		eq("value.0.id", emulator.SeededRuleID(emulator.TenantC, emulator.Exchange))
	if !strings.Contains(r.str("value.0.mailboxExpression"), emulator.SeededGroupID(emulator.TenantC, emulator.Exchange)) {
		t.Errorf("expression: %s", r.raw)
	}
	c := func(n int) string { return emulator.UserID(emulator.TenantC, n) }
	change := emulator.GroupChange{Tenant: emulator.TenantC, Group: emulator.SeededGroupID(emulator.TenantC, emulator.Exchange),
		Add: []string{c(3)}, Remove: []string{c(1)}}
	if err := w.e.ChangeGroup(change); err != nil {
		t.Fatal(err)
	}
	w.unit(emulator.UnitCDynamic).eq("status", "removeRequested")
	w.unit(emulator.UnitCManual).eq("status", "protected").eq("protectionSources", "manual,dynamicRule")
	w.do(http.MethodPost, path+"/"+r.str("value.0.id")+"/deleteAndUnprotect", nil).want(202)
	w.pass(time.Hour)
	w.wantUnits(emulator.PolicyC, map[string]int{"protected": 18})
	w.unit(emulator.UnitCManual).eq("protectionSources", "manual")
	w.get(path).want(200).eq("value", "[]")
}

func TestDeletingAPolicyEndsItsRules(t *testing.T) {
	w := newWorld(t)
	policy, path := w.rulesOf(ruleKinds()[0], false)
	w.rule(path, of(group(2)), true)
	w.do(http.MethodDelete, "/protectionPolicies/"+policy, nil).want(204)
	w.unchanged(func() {
		w.pass(time.Hour)
		w.change(group(2), nil, nil)
		w.get(path).wantError(404, "PolicyNotFound")
	})
}

func TestRulesAreNotEvaluatedWhileProtectionMayNotChange(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	w.settled(path, of(group(2)), true)
	w.do(http.MethodDelete, "/serviceApps/"+emulator.DefaultApp, nil).want(204)
	w.pass(7 * 24 * time.Hour)
	w.change(group(2), users(30, 30), nil)
	other := w.as(map[string]any{"appid": stranger})
	if got := other.members(policy); got != "11 12 13 14 15 16 17 18 19 20" {
		t.Errorf("members %s while the service is locked", got)
	}
	other.do(http.MethodPost, "/enable", enableBody(emulator.TenantA)).want(200)
	w.pass(time.Hour)
	if got := other.members(policy); got != "11 12 13 14 15 16 17 18 19 20 30" {
		t.Errorf("members %s after the service was enabled", got)
	}
}

func TestDrivesHaveDynamicRulesToo(t *testing.T) {
	w := newWorld(t)
	policy, path := w.rulesOf(ruleKinds()[1], true)
	rule := path + "/" + w.do(http.MethodPost, path, map[string]any{"driveExpression": of(group(2)), "isAutoApplyEnabled": true}).want(201).str("id")
	w.pass(time.Minute)
	drive := func(n int) string { return emulator.UnitID(emulator.TenantA, emulator.OneDrive, n) }
	w.unit(drive(11)).eq("protectionSources", "dynamicRule").eq("policyId", policy)
	w.do(http.MethodPatch, rule, map[string]any{"driveExpression": of(group(3))}).want(200).eq("driveExpression", of(group(3)))
	w.pass(time.Minute)
	w.unit(drive(11)).eq("status", "removeRequested")
	w.unit(drive(21)).eq("protectionSources", "dynamicRule")
	w.do(http.MethodPost, rule+"/run", nil).wantError(400, "RunNotAllowedForDynamicRule")
	w.do(http.MethodPost, rule+"/deleteAndUnprotect", nil).want(202)
	w.pass(time.Hour)
	w.get("/oneDriveForBusinessProtectionPolicies/"+policy+"/driveProtectionUnits").want(200).eq("value", "[]")
}
