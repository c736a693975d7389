package service_test

import (
	"strings"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// ruleErrors are those of inclusion rules.
var ruleErrors = map[string]producer{
	"Create inclusion rule/InvalidInclusionRuleCreateRequest": func(w *world, l workload) produced {
		policy := l.activePolicy(w)
		w.wantRaw("POST", l.rulesPath(policy), "null", 400, "InvalidInclusionRuleCreateRequest")
		return w.scripted("POST "+l.rulesPath("{id}"), "InvalidInclusionRuleCreateRequest", l.ruleRPC("Create"), ruleRequest(policy, l.fits(w), false))
	},
	"Create inclusion rule/InvalidRuleExpression": func(w *world, l workload) produced {
		return w.fails(l.ruleRPC("Create"), ruleRequest(l.activePolicy(w), "everybody", false))
	},
	"Create inclusion rule/InvalidRuleExpressionGroupLimitExceeded": func(w *world, l workload) produced {
		return w.fails(l.ruleRPC("Create"), ruleRequest(l.activePolicy(w), w.membersOf(101), false))
	},
	"Update inclusion rule/InvalidProtectionRulePatchRequest": func(w *world, l workload) produced {
		policy, rule := l.restingRule(w, true)
		w.wantRaw("PATCH", l.rulesPath(policy)+"/"+rule, "null", 400, "InvalidProtectionRulePatchRequest")
		return w.scripted("PATCH "+l.rulesPath("{id}")+"/{rule}", "InvalidProtectionRulePatchRequest", l.ruleRPC("Update"), ruleUpdate(policy, rule, l.fits(w)))
	},
	"Update inclusion rule/InvalidProtectionRuleStatusForUpdation": func(w *world, l workload) produced {
		policy, rule := l.newRule(w, true)
		return w.fails(l.ruleRPC("Update"), ruleUpdate(policy, rule, l.fits(w)))
	},
	"Update inclusion rule/InvalidRuleExpression": func(w *world, l workload) produced {
		policy, rule := l.restingRule(w, true)
		return w.fails(l.ruleRPC("Update"), ruleUpdate(policy, rule, "everybody"))
	},
	"Update inclusion rule/PatchNotAllowedForStaticRule": func(w *world, l workload) produced {
		policy, rule := l.restingRule(w, false)
		return w.fails(l.ruleRPC("Update"), ruleUpdate(policy, rule, l.fits(w)))
	},
	"Update inclusion rule/ProtectionRuleNotFound": func(w *world, l workload) produced {
		return w.fails(l.ruleRPC("Update"), ruleUpdate(l.activePolicy(w), unknown, l.fits(w)))
	},
	"Update inclusion rule/InvalidRuleExpressionGroupLimitExceeded": func(w *world, l workload) produced {
		policy, rule := l.restingRule(w, true)
		return w.fails(l.ruleRPC("Update"), ruleUpdate(policy, rule, w.membersOf(101)))
	},
	"Update inclusion rule/InvalidProtectionRuleStatusForDynamicRuleEdit": func(w *world, l workload) produced {
		policy, rule := l.restingRule(w, true)
		must[pb.DeleteAndUnprotectMailboxInclusionRuleResponse](w, l.ruleRPC("DeleteAndUnprotect"), ruleID(policy, rule))
		return w.fails(l.ruleRPC("Update"), ruleUpdate(policy, rule, l.fits(w)))
	},
	"Delete and unprotect inclusion rule/InvalidInclusionRuleId": malformedRule("DeleteAndUnprotect"),
	"Delete and unprotect inclusion rule/ProtectionRuleNotFound": unknownRule("DeleteAndUnprotect"),
	"Delete and unprotect inclusion rule/InvalidProtectionRuleStatusForDynamicRuleDeleteAndUnprotectAll": func(w *world, l workload) produced {
		policy, rule := l.newRule(w, true)
		return w.fails(l.ruleRPC("DeleteAndUnprotect"), ruleID(policy, rule))
	},
	"Run inclusion rule/InvalidInclusionRuleId": malformedRule("Run"),
	"Run inclusion rule/ProtectionRuleNotFound": unknownRule("Run"),
	"Run inclusion rule/ProtectionRuleActionNotAllowed": func(w *world, l workload) produced {
		policy, rule := l.newRule(w, false)
		return w.fails(l.ruleRPC("Run"), ruleID(policy, rule))
	},
	"Run inclusion rule/RunNotAllowedForDynamicRule": func(w *world, l workload) produced {
		policy, rule := l.restingRule(w, true)
		return w.fails(l.ruleRPC("Run"), ruleID(policy, rule))
	},
	"Get inclusion rule by ID/InvalidInclusionRuleId":    malformedRule("Get"),
	"Get inclusion rule by ID/ProtectionRuleNotFound":    unknownRule("Get"),
	"Delete inclusion rule by ID/InvalidInclusionRuleId": malformedRule("Delete"),
	"Delete inclusion rule by ID/ProtectionRuleNotFound": unknownRule("Delete"),
	"Delete inclusion rule by ID/InvalidProtectionRuleStatusForDeletion": func(w *world, l workload) produced {
		policy, rule := l.newRule(w, false)
		return w.fails(l.ruleRPC("Delete"), ruleID(policy, rule))
	},
	"Delete inclusion rule by ID/InvalidProtectionRuleStatusForDynamicRuleDeletion": func(w *world, l workload) produced {
		policy, rule := l.newRule(w, true)
		return w.fails(l.ruleRPC("Delete"), ruleID(policy, rule))
	},
}

func malformedRule(verb string) producer {
	return func(w *world, l workload) produced {
		return w.fails(l.ruleRPC(verb), ruleID(l.activePolicy(w), notGUID))
	}
}

func unknownRule(verb string) producer {
	return func(w *world, l workload) produced {
		return w.fails(l.ruleRPC(verb), ruleID(l.activePolicy(w), unknown))
	}
}

func (l workload) ruleRPC(verb string) string {
	return "InclusionRuleService/" + verb + l.thing() + "InclusionRule"
}

func (l workload) rulesPath(policy string) string {
	return "/" + l.collection + "/" + policy + "/" + l.things() + "InclusionRules"
}

// The requests of the workloads have the same shape on the wire, so those of one do for all.

func ruleRequest(policy, expression string, dynamic bool) *pb.CreateMailboxInclusionRuleRequest {
	return &pb.CreateMailboxInclusionRuleRequest{ProtectionPolicyId: policy, MailboxExpression: expression, IsAutoApplyEnabled: &dynamic}
}

func ruleUpdate(policy, rule, expression string) *pb.UpdateMailboxInclusionRuleRequest {
	return &pb.UpdateMailboxInclusionRuleRequest{ProtectionPolicyId: policy, InclusionRuleId: rule, MailboxExpression: expression}
}

func ruleID(policy, rule string) *pb.GetMailboxInclusionRuleRequest {
	return &pb.GetMailboxInclusionRuleRequest{ProtectionPolicyId: policy, InclusionRuleId: rule}
}

// fits is an expression that the rules of the workload may have.
func (l workload) fits(w *world) string {
	if l.name == "SharePoint" {
		return "displayName -contains 'Site 4'"
	}
	return w.membersOf(1)
}

// membersOf is an expression with a number of groups.
func (w *world) membersOf(groups int) string {
	var ids []string
	for n := range groups {
		ids = append(ids, "'"+emulator.GroupID(w.tenant, n%10+1)+"'")
	}
	return "memberOf -any (group.id -in [" + strings.Join(ids, ", ") + "])"
}

// newRule makes a rule that is being carried out. Graph refuses dynamic rules of sites: what is asked about one then is
// asked about a rule that is not there.
func (l workload) newRule(w *world, dynamic bool) (policy, rule string) {
	w.t.Helper()
	policy = l.activePolicy(w)
	response := new(pb.CreateMailboxInclusionRuleResponse)
	if o := w.call(l.ruleRPC("Create"), ruleRequest(policy, l.fits(w), dynamic), response); o.reason() == "INVALID_INCLUSION_RULE_CREATE_REQUEST" {
		return policy, unknown
	} else if o.status != nil {
		w.t.Fatalf("no rule: %v", o.status)
	}
	return policy, response.GetInclusionRule().GetId()
}

// restingRule makes a rule and waits until it has been carried out.
func (l workload) restingRule(w *world, dynamic bool) (policy, rule string) {
	w.t.Helper()
	policy, rule = l.newRule(w, dynamic)
	w.emulator.Clock().Advance(time.Hour)
	return policy, rule
}
