package emulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestRuleOperationsRefuseBadAndUnknownIds(t *testing.T) {
	for _, k := range ruleKinds() {
		w := newWorld(t)
		_, path := w.rulesOf(k, false)
		for _, op := range []string{"GET ", "DELETE ", "POST /run", "PATCH ", "POST /deleteAndUnprotect"} {
			method, action, _ := strings.Cut(op, " ")
			if k.policies == "sharePointProtectionPolicies" && (method == "PATCH" || action == "/deleteAndUnprotect") {
				continue
			}
			t.Run(k.rules+" "+op, func(t *testing.T) {
				w := *w
				w.t = t
				w.unchanged(func() {
					var body any
					if method == http.MethodPatch {
						body = map[string]any{k.property: k.good}
					}
					ask := func(path string) *reply { return w.do(method, path+action, body) }
					ask(path+"/nothing").wantError(400, "InvalidInclusionRuleId")
					ask(path+"/"+stranger).wantError(404, "ProtectionRuleNotFound")
					ask("/"+k.policies+"/nothing/"+k.rules+"/"+stranger).wantError(400, "InvalidPolicyId")
					ask("/"+k.policies+"/"+stranger+"/"+k.rules+"/"+stranger).wantError(404, "PolicyNotFound")
				})
			})
		}
		w.get("/"+k.policies+"/nothing/"+k.rules).wantError(400, "InvalidPolicyId")
		w.do(http.MethodPost, "/"+k.policies+"/"+stranger+"/"+k.rules, "{}").wantError(404, "PolicyNotFound")
	}
}

func TestSiteRulesAreNeitherChangedNorDeletedWithTheirUnits(t *testing.T) {
	w := newWorld(t)
	_, path := w.rulesOf(ruleKinds()[2], false)
	w.do(http.MethodPatch, path+"/"+stranger, "{}").wantError(405, "MethodNotAllowed")
	w.do(http.MethodPost, path+"/"+stranger+"/deleteAndUnprotect", nil).wantError(404, "ResourceNotFound")
}

func TestCreateRuleRefusals(t *testing.T) {
	mail := func(expression any) map[string]any { return map[string]any{"mailboxExpression": expression} }
	dynamic := func(body map[string]any) map[string]any { body["isAutoApplyEnabled"] = true; return body }
	many := func(n int) string { return of(strings.Split(strings.Repeat(stranger+" ", n-1)+stranger, " ")...) }
	words := func(n int) string {
		return strings.TrimSuffix(strings.Repeat("webUrl -contains 'abc' -or ", n), " -or ")
	}
	const malformed, expression = "InvalidInclusionRuleCreateRequest", "InvalidRuleExpression"
	for _, tc := range []struct {
		name   string
		kind   int
		body   any
		status int
		code   string
	}{
		{"nothing", 0, "", 400, malformed},
		{"null", 0, "null", 400, malformed},
		{"a list", 0, "[]", 400, malformed},
		{"broken JSON", 0, `{"mailboxExpression":`, 400, malformed},
		{"a misspelt property", 0, map[string]any{"mailboxexpression": of(group(2))}, 400, malformed},
		{"the expression of another workload", 0, map[string]any{"driveExpression": of(group(2))}, 400, malformed},
		{"isAutoApplyEnabled that is a string", 0, map[string]any{"mailboxExpression": of(group(2)), "isAutoApplyEnabled": "true"}, 400, malformed},
		{"a dynamic rule for sites", 2, dynamic(map[string]any{"siteExpression": words(1)}), 400, malformed},
		{"no expression", 0, "{}", 400, expression},
		{"an expression that is null", 0, mail(nil), 400, expression},
		{"an expression that is a number", 0, mail(5), 400, expression},
		{"an empty expression", 0, mail(""), 400, expression},
		{"an expression that cannot be read", 0, mail("everybody"), 400, expression},
		{"4 groups in a static rule", 0, mail(many(4)), 400, expression},
		{"101 groups in a dynamic rule", 0, dynamic(mail(many(101))), 413, "InvalidRuleExpressionGroupLimitExceeded"},
		{"101 groups in a static rule", 0, mail(many(101)), 413, "InvalidRuleExpressionGroupLimitExceeded"},
		{"11 keywords", 2, map[string]any{"siteExpression": words(11)}, 400, expression},
		{"a keyword of 2 characters", 2, map[string]any{"siteExpression": "webUrl -contains 'ab'"}, 400, expression},
		{"a body above 4 MiB", 0, strings.Repeat(" ", emulator.MaxBody+1), 413, "RequestEntityTooLarge"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			_, path := w.rulesOf(ruleKinds()[tc.kind], false)
			w.unchanged(func() { w.do(http.MethodPost, path, tc.body).wantError(tc.status, tc.code) })
			w.get(path).want(200).eq("value", "[]")
		})
	}
	t.Run("a second dynamic rule", func(t *testing.T) {
		w := newWorld(t)
		_, path := w.mailboxRules()
		w.rule(path, of(group(2)), true)
		w.unchanged(func() {
			w.do(http.MethodPost, path, dynamic(mail(of(group(3))))).wantError(400, malformed)
		})
		w.rule(path, of(group(3)), false) // another static one is fine
		_, drives := w.rulesOf(ruleKinds()[1], true)
		w.do(http.MethodPost, drives, dynamic(map[string]any{"driveExpression": of(group(3))})).want(201)
	})
}

func TestCreateRuleAcceptsItsLimits(t *testing.T) {
	w := newWorld(t)
	_, path := w.mailboxRules()
	w.rule(path, of(group(1), group(2), group(3)), false)
	var hundred []string
	for n := 1; n <= 100; n++ {
		hundred = append(hundred, group(1+n%10))
	}
	w.rule(path, of(hundred...), true)
	w.do(http.MethodPost, path, map[string]any{"mailboxExpression": of(group(2)), "isAutoApplyEnabled": nil}).want(201).
		eq("isAutoApplyEnabled", false)
}

// Each state of a rule, and how each operation is answered in it.
func TestTheStateOfARuleDecidesWhatWorks(t *testing.T) {
	const (
		patch  = "PATCH "
		run    = "POST /run"
		drop   = "DELETE "
		unprot = "POST /deleteAndUnprotect"
	)
	states := map[string]func(w *world, path string) string{
		"an active static rule":     func(w *world, path string) string { return w.rule(path, of(group(2)), false) },
		"a completed static rule":   func(w *world, path string) string { return w.settled(path, of(group(2)), false) },
		"a static rule with errors": func(w *world, path string) string { return w.settled(path, of(stranger), false) },
		"an active dynamic rule":    func(w *world, path string) string { return w.rule(path, of(group(2)), true) },
		"a completed dynamic rule":  func(w *world, path string) string { return w.settled(path, of(group(2)), true) },
		"a dynamic rule with errors": func(w *world, path string) string {
			return w.settled(path, of(stranger), true)
		},
		"a dynamic rule that is being updated": func(w *world, path string) string {
			rule := w.settled(path, of(group(2)), true)
			w.do(http.MethodPatch, rule, map[string]any{"mailboxExpression": of(group(3))}).want(200)
			return rule
		},
		"a dynamic rule that is being deleted": func(w *world, path string) string {
			rule := w.settled(path, of(group(2)), true)
			w.do(http.MethodPost, rule+"/deleteAndUnprotect", nil).want(202)
			return rule
		},
	}
	const noUnprotect = "InvalidProtectionRuleStatusForDynamicRuleDeleteAndUnprotectAll"
	for _, tc := range []struct {
		state, operation string
		status           int
		code             string
	}{
		{"an active static rule", patch, 400, "PatchNotAllowedForStaticRule"},
		{"an active static rule", run, 400, "ProtectionRuleActionNotAllowed"},
		{"an active static rule", drop, 400, "InvalidProtectionRuleStatusForDeletion"},
		{"an active static rule", unprot, 422, noUnprotect},
		{"a completed static rule", patch, 400, "PatchNotAllowedForStaticRule"},
		{"a completed static rule", run, 200, ""},
		{"a completed static rule", drop, 204, ""},
		{"a completed static rule", unprot, 422, noUnprotect},
		{"a static rule with errors", run, 200, ""},
		{"a static rule with errors", drop, 204, ""},
		{"an active dynamic rule", patch, 400, "InvalidProtectionRuleStatusForUpdation"},
		{"an active dynamic rule", run, 400, "RunNotAllowedForDynamicRule"},
		{"an active dynamic rule", drop, 422, "InvalidProtectionRuleStatusForDynamicRuleDeletion"},
		{"an active dynamic rule", unprot, 422, noUnprotect},
		{"a completed dynamic rule", patch, 200, ""},
		{"a completed dynamic rule", run, 400, "RunNotAllowedForDynamicRule"},
		{"a completed dynamic rule", drop, 204, ""},
		{"a completed dynamic rule", unprot, 202, ""},
		{"a dynamic rule with errors", patch, 200, ""},
		{"a dynamic rule with errors", drop, 204, ""},
		{"a dynamic rule with errors", unprot, 202, ""},
		{"a dynamic rule that is being updated", patch, 400, "InvalidProtectionRuleStatusForUpdation"},
		{"a dynamic rule that is being updated", drop, 422, "InvalidProtectionRuleStatusForDynamicRuleDeletion"},
		{"a dynamic rule that is being updated", unprot, 422, noUnprotect},
		{"a dynamic rule that is being deleted", patch, 422, "InvalidProtectionRuleStatusForDynamicRuleEdit"},
		{"a dynamic rule that is being deleted", drop, 422, "InvalidProtectionRuleStatusForDynamicRuleDeletion"},
		{"a dynamic rule that is being deleted", unprot, 422, noUnprotect},
	} {
		t.Run(tc.operation+" of "+tc.state, func(t *testing.T) {
			w := newWorld(t)
			_, path := w.mailboxRules()
			rule := states[tc.state](w, path)
			method, action, _ := strings.Cut(tc.operation, " ")
			var body any
			if method == http.MethodPatch {
				body = map[string]any{"mailboxExpression": of(group(4))}
			}
			before := w.changes()
			r := w.do(method, rule+action, body)
			if tc.code == "" {
				r.want(tc.status)
				if w.changes() == before {
					t.Error("nothing changed")
				}
				return
			}
			r.wantError(tc.status, tc.code)
			if w.changes() != before {
				t.Error("a refusal changed something")
			}
		})
	}
}

func TestUpdateRuleRefusals(t *testing.T) {
	many := of(strings.Split(strings.Repeat(stranger+" ", 100)+stranger, " ")...)
	for _, tc := range []struct {
		name   string
		body   any
		status int
		code   string
	}{
		{"isAutoApplyEnabled", map[string]any{"mailboxExpression": of(group(3)), "isAutoApplyEnabled": true}, 400, "InvalidProtectionRulePatchRequest"},
		{"a misspelt property", map[string]any{"expression": of(group(3))}, 400, "InvalidProtectionRulePatchRequest"},
		{"nothing", "", 400, "InvalidProtectionRulePatchRequest"},
		{"null", "null", 400, "InvalidProtectionRulePatchRequest"},
		{"no expression", "{}", 400, "InvalidRuleExpression"},
		{"an expression that is null", map[string]any{"mailboxExpression": nil}, 400, "InvalidRuleExpression"},
		{"an expression that cannot be read", map[string]any{"mailboxExpression": "()"}, 400, "InvalidRuleExpression"},
		{"101 groups", map[string]any{"mailboxExpression": many}, 413, "InvalidRuleExpressionGroupLimitExceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			_, path := w.mailboxRules()
			rule := w.settled(path, of(group(2)), true)
			w.unchanged(func() { w.do(http.MethodPatch, rule, tc.body).wantError(tc.status, tc.code) })
			w.wantRule(rule, "completed").eq("mailboxExpression", of(group(2)))
		})
	}
}

func TestRulesStayInTheirTenantAndPolicy(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	rule := w.settled(path, of(group(2)), true)
	w.in(emulator.TenantC).get(rule).wantError(404, "PolicyNotFound")
	id := rule[strings.LastIndexByte(rule, '/')+1:]
	w.in(emulator.TenantC).get("/exchangeProtectionPolicies/"+emulator.PolicyC+"/mailboxInclusionRules/"+id).wantError(404, "ProtectionRuleNotFound")
	w.get("/oneDriveForBusinessProtectionPolicies/"+policy+"/driveInclusionRules/"+id).wantError(404, "PolicyNotFound")
	// A group of another tenant is no group here.
	w.do(http.MethodPatch, rule, map[string]any{"mailboxExpression": of(emulator.GroupID(emulator.TenantC, 1))}).want(200)
	w.pass(time.Minute)
	w.wantRule(rule, "completedWithErrors").eq("error.code", "invalidGroupId")
}

func TestTheLedgerTellsWhatARuleDid(t *testing.T) {
	w := newWorld(t)
	policy := w.activePolicyWith(user(11))
	rule := w.rule("/exchangeProtectionPolicies/"+policy+"/mailboxInclusionRules", of(group(2)), true)
	w.change(group(2), nil, users(13, 20))
	since := w.e.Ledger(0).Last
	w.pass(time.Minute)
	w.do(http.MethodDelete, rule, nil).want(204)
	var got []string
	for _, e := range w.e.Ledger(since).Entries {
		got = append(got, line(e))
	}
	want := []string{
		"protectionSources manual>manual,dynamicRule by 0",
		"mailboxProtectionUnit >unprotected by 0",
		"mailboxProtectionUnit unprotected>protectRequested by 0",
		"mailboxProtectionRule active>completed by 0",
		"exchangeProtectionPolicy active>updating by 0",
		"DELETE /exchangeProtectionPolicies/{policyId}/mailboxInclusionRules/{ruleId} -> 204",
		"protectionSources manual,dynamicRule>manual by 6",
		"protectionSources dynamicRule>manual by 6",
		"mailboxProtectionRule completed> by 6",
	}
	for i := range got {
		got[i], want[i%len(want)] = cutCause(got[i]), cutCause(want[i%len(want)])
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("ledger:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// cutCause leaves out which request a change belongs to.
func cutCause(line string) string {
	line, _, _ = strings.Cut(line, " by ")
	return line
}

func TestRulesArePagedAndCarryScriptedErrors(t *testing.T) {
	w := newWorld(t)
	_, path := w.mailboxRules()
	var want []string
	for range 3 {
		rule := w.settled(path, of(group(2)), false)
		want = append(want, rule[strings.LastIndexByte(rule, '/')+1:])
	}
	got, pages := w.walk(path + "?$top=2")
	if strings.Join(got, " ") != strings.Join(want, " ") || pages != 2 {
		t.Errorf("%v on %d pages, want %v on 2", got, pages, want)
	}
	w.get(path+"?$filter=x").wantError(400, "BadRequest")
	w.fault(emulator.Fault{Operation: "GET /exchangeProtectionPolicies/{p}/mailboxInclusionRules/{r}", Item: want[0],
		InBand: &emulator.InBandError{Code: "invalidGroupId"}})
	w.get(path+"/"+want[0]).want(200).eq("error.code", "invalidGroupId")
	w.get(path+"/"+want[1]).want(200).eq("error", nil)
}
