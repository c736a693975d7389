package rights

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	f := mustParse(t, example, exampleFiles)
	warnings := `warning: line 13: a caller by certificate beside callers by token: the certificate of a proxy must not be here, it would be everybody's
warning: line 17: a caller by certificate beside callers by token: the certificate of a proxy must not be here, it would be everybody's
warning: line 20: a caller by certificate beside callers by token: the certificate of a proxy must not be here, it would be everybody's
`
	warnings = "warning: line 18: the caller may act in every tenant\n" + warnings
	for name, test := range map[string]struct{ principal, tenant, rpc, want string }{
		"a field removes": {robot, tenantA, "ProtectionPolicyService/UpdateExchangeProtectionPolicy",
			"allowed: line 8 (caller), line 9 by line 2 of tenants.txt (tenant), line 10 (permission), line 10 (effect), until 2027-01-01T00:00:00Z\n" +
				"with remove_mailbox_protection_unit_ids: denied: line 10: the caller's effects (READ, ADD, CHANGE) do not contain REMOVE\n"},
		"no user": {portal, tenantA, "/m365.backupstorage.v1.ProtectionPolicyService/ListProtectionPolicies",
			"allowed: line 13 (caller), line 14 (tenant), line 15 (permission), line 16 (effect)\n" +
				"on behalf of a user: denied: line 13: the caller has no onBehalfOfUsers: true\n"},
		"denied": {portal, tenantB, "ProtectionPolicyService/ListProtectionPolicies",
			"denied: line 14: the caller's tenants do not contain this one\n"},
		"nobody": {"spiffe://a/b", tenantB, "ProtectionPolicyService/ListProtectionPolicies",
			"denied: no caller of the file has this principal\n"},
	} {
		text, allowed, err := f.Check(theRules(), test.principal, test.tenant, test.rpc, now)
		if err != nil || text != test.want+warnings || allowed != strings.HasPrefix(test.want, "allowed") {
			t.Errorf("%s: %v %v\n%swant\n%s", name, allowed, err, text, test.want+warnings)
		}
	}
	for name, arguments := range map[string][3]string{
		"no rpc":    {portal, tenantA, "ProtectionPolicyService/ListPolicies"},
		"no tenant": {portal, "contoso", "ProtectionPolicyService/ListProtectionPolicies"},
	} {
		if text, allowed, err := f.Check(theRules(), arguments[0], arguments[1], arguments[2], now); err == nil || allowed || text != "" {
			t.Errorf("%s: %q %v %v", name, text, allowed, err)
		}
	}
}
