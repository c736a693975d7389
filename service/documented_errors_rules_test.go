package service_test

import (
	"strings"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// ruleErrors produce the errors of inclusion rules.
var ruleErrors = map[string]producer{
	"Create inclusion rule/InvalidInclusionRuleCreateRequest": func(s *servicetest.Server, l workload) produced {
		policy := l.activePolicy(s)
		wantRaw(s, "POST", l.rulesPath(policy), "null", 400, "InvalidInclusionRuleCreateRequest")
		return scripted(s, "POST "+l.rulesPath("{id}"), "InvalidInclusionRuleCreateRequest", l.ruleRPC("Create"), ruleRequest(policy, l.expression(s), false))
	},
	"Create inclusion rule/InvalidRuleExpression": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.ruleRPC("Create"), ruleRequest(l.activePolicy(s), "everybody", false))
	},
	"Create inclusion rule/InvalidRuleExpressionGroupLimitExceeded": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.ruleRPC("Create"), ruleRequest(l.activePolicy(s), membersOf(s, 101), false))
	},
	"Update inclusion rule/InvalidProtectionRulePatchRequest": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.completedRule(s, true)
		wantRaw(s, "PATCH", l.rulesPath(policy)+"/"+rule, "null", 400, "InvalidProtectionRulePatchRequest")
		return scripted(s, "PATCH "+l.rulesPath("{id}")+"/{rule}", "InvalidProtectionRulePatchRequest", l.ruleRPC("Update"), ruleUpdate(policy, rule, l.expression(s)))
	},
	"Update inclusion rule/InvalidProtectionRuleStatusForUpdation": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.newRule(s, true)
		return fails(s, l.ruleRPC("Update"), ruleUpdate(policy, rule, l.expression(s)))
	},
	"Update inclusion rule/InvalidRuleExpression": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.completedRule(s, true)
		return fails(s, l.ruleRPC("Update"), ruleUpdate(policy, rule, "everybody"))
	},
	"Update inclusion rule/PatchNotAllowedForStaticRule": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.completedRule(s, false)
		return fails(s, l.ruleRPC("Update"), ruleUpdate(policy, rule, l.expression(s)))
	},
	"Update inclusion rule/ProtectionRuleNotFound": func(s *servicetest.Server, l workload) produced {
		return fails(s, l.ruleRPC("Update"), ruleUpdate(l.activePolicy(s), unknown, l.expression(s)))
	},
	"Update inclusion rule/InvalidRuleExpressionGroupLimitExceeded": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.completedRule(s, true)
		return fails(s, l.ruleRPC("Update"), ruleUpdate(policy, rule, membersOf(s, 101)))
	},
	"Update inclusion rule/InvalidProtectionRuleStatusForDynamicRuleEdit": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.completedRule(s, true)
		servicetest.Must[pb.DeleteAndUnprotectMailboxInclusionRuleResponse](s, l.ruleRPC("DeleteAndUnprotect"), ruleID(policy, rule))
		return fails(s, l.ruleRPC("Update"), ruleUpdate(policy, rule, l.expression(s)))
	},
	"Delete and unprotect inclusion rule/InvalidInclusionRuleId": malformedRule("DeleteAndUnprotect"),
	"Delete and unprotect inclusion rule/ProtectionRuleNotFound": unknownRule("DeleteAndUnprotect"),
	"Delete and unprotect inclusion rule/InvalidProtectionRuleStatusForDynamicRuleDeleteAndUnprotectAll": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.newRule(s, true)
		return fails(s, l.ruleRPC("DeleteAndUnprotect"), ruleID(policy, rule))
	},
	"Run inclusion rule/InvalidInclusionRuleId": malformedRule("Run"),
	"Run inclusion rule/ProtectionRuleNotFound": unknownRule("Run"),
	"Run inclusion rule/ProtectionRuleActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.newRule(s, false)
		return fails(s, l.ruleRPC("Run"), ruleID(policy, rule))
	},
	"Run inclusion rule/RunNotAllowedForDynamicRule": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.completedRule(s, true)
		return fails(s, l.ruleRPC("Run"), ruleID(policy, rule))
	},
	"Get inclusion rule by ID/InvalidInclusionRuleId":    malformedRule("Get"),
	"Get inclusion rule by ID/ProtectionRuleNotFound":    unknownRule("Get"),
	"Delete inclusion rule by ID/InvalidInclusionRuleId": malformedRule("Delete"),
	"Delete inclusion rule by ID/ProtectionRuleNotFound": unknownRule("Delete"),
	"Delete inclusion rule by ID/InvalidProtectionRuleStatusForDeletion": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.newRule(s, false)
		return fails(s, l.ruleRPC("Delete"), ruleID(policy, rule))
	},
	"Delete inclusion rule by ID/InvalidProtectionRuleStatusForDynamicRuleDeletion": func(s *servicetest.Server, l workload) produced {
		policy, rule := l.newRule(s, true)
		return fails(s, l.ruleRPC("Delete"), ruleID(policy, rule))
	},
}

func malformedRule(verb string) producer {
	return func(s *servicetest.Server, l workload) produced {
		return fails(s, l.ruleRPC(verb), ruleID(l.activePolicy(s), notGUID))
	}
}

func unknownRule(verb string) producer {
	return func(s *servicetest.Server, l workload) produced {
		return fails(s, l.ruleRPC(verb), ruleID(l.activePolicy(s), unknown))
	}
}

func (l workload) ruleRPC(verb string) string {
	return "InclusionRuleService/" + verb + l.thing() + "InclusionRule"
}

func (l workload) rulesPath(policy string) string {
	return "/" + l.collection + "/" + policy + "/" + l.things() + "InclusionRules"
}

// The requests of the three workloads have the same shape on the wire, so those of one serve all.

func ruleRequest(policy, expression string, dynamic bool) *pb.CreateMailboxInclusionRuleRequest {
	return &pb.CreateMailboxInclusionRuleRequest{ProtectionPolicyId: policy, MailboxExpression: expression, IsAutoApplyEnabled: &dynamic}
}

func ruleUpdate(policy, rule, expression string) *pb.UpdateMailboxInclusionRuleRequest {
	return &pb.UpdateMailboxInclusionRuleRequest{ProtectionPolicyId: policy, InclusionRuleId: rule, MailboxExpression: expression}
}

func ruleID(policy, rule string) *pb.GetMailboxInclusionRuleRequest {
	return &pb.GetMailboxInclusionRuleRequest{ProtectionPolicyId: policy, InclusionRuleId: rule}
}

// expression is an expression that rules of the workload can have.
func (l workload) expression(s *servicetest.Server) string {
	if l.name == "SharePoint" {
		return "displayName -contains 'Site 4'"
	}
	return membersOf(s, 1)
}

// membersOf is an expression that names a number of groups.
func membersOf(s *servicetest.Server, groups int) string {
	var ids []string
	for n := range groups {
		ids = append(ids, "'"+emulator.GroupID(s.Tenant, n%10+1)+"'")
	}
	return "memberOf -any (group.id -in [" + strings.Join(ids, ", ") + "])"
}

// newRule makes a rule that is being applied. Graph refuses dynamic rules of sites; the id of a rule that does not
// exist is returned for them.
func (l workload) newRule(s *servicetest.Server, dynamic bool) (policy, rule string) {
	s.TB.Helper()
	policy = l.activePolicy(s)
	response := new(pb.CreateMailboxInclusionRuleResponse)
	if o := s.Call(l.ruleRPC("Create"), ruleRequest(policy, l.expression(s), dynamic), response); o.Reason() == "INVALID_INCLUSION_RULE_CREATE_REQUEST" {
		return policy, unknown
	} else if o.Status != nil {
		s.TB.Fatalf("no rule: %v", o.Status)
	}
	return policy, response.GetInclusionRule().GetId()
}

// completedRule makes a rule and waits until it has been applied.
func (l workload) completedRule(s *servicetest.Server, dynamic bool) (policy, rule string) {
	s.TB.Helper()
	policy, rule = l.newRule(s, dynamic)
	s.Emulator.Clock().Advance(time.Hour)
	return policy, rule
}
