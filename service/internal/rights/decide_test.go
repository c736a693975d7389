package rights

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

var allowedRead = EffectsOf(pb.GraphCall_READ)

// callOf is a call of an rpc without fields that add effects.
func callOf(principal, tenant, rpc string) Call {
	rule := theRules().named(rpc)
	return Call{Names: []string{principal}, Tenant: tenant, Rule: rule, Effects: rule.Effects(nil), Now: now}
}

// Each part of a right is needed, and each has its cause and its line.
func TestDecisions(t *testing.T) {
	f := mustParse(t, example, exampleFiles)
	const (
		read    = "ProtectionPolicyService/ListProtectionPolicies"
		create  = "ProtectionPolicyService/CreateExchangeProtectionPolicy"
		remove  = "ProtectionPolicyService/DeleteProtectionPolicy"
		restore = "RestoreSessionService/ListRestoreSessions"
	)
	for name, test := range map[string]struct {
		call        Call
		change      func(*Call)
		cause, text string
	}{
		"by a role":             {callOf(robot, tenantA, create), nil, "", "allowed: line 8 (caller), line 9 by line 2 of tenants.txt (tenant), line 10 (permission), line 10 (effect), until 2027-01-01T00:00:00Z"},
		"by permissions":        {callOf(portal, tenantA, create), nil, "", "allowed: line 13 (caller), line 14 (tenant), line 15 (permission), line 16 (effect)"},
		"everywhere":            {callOf("dns:admin.corp.example", tenantC, remove), nil, "", "allowed: line 17 (caller), line 18 (tenant), line 19 (permission), line 19 (effect)"},
		"permissions alone":     {callOf("urn:corp:restore", tenantC, restore), nil, "", "allowed: line 20 (caller), line 21 (tenant), line 22 (permission), line 22 (effect)"},
		"in upper case":         {callOf(robot, strings.ToUpper(tenantB), read), nil, "", "line 9 by line 4 of tenants.txt"},
		"on behalf":             {callOf(robot, tenantA, read), func(c *Call) { c.OnBehalfOfUser = true }, "", "on behalf of users"},
		"at the last moment":    {callOf(robot, tenantA, read), func(c *Call) { c.Now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }, "", "allowed"},
		"second name":           {callOf(robot, tenantA, read), func(c *Call) { c.Names = []string{"spiffe://a/b", portal} }, "", "allowed: line 13"},
		"nobody":                {callOf("spiffe://corp.example/other", tenantA, read), nil, "caller-unknown", "denied: no caller"},
		"no name":               {callOf("", tenantA, read), func(c *Call) { c.Names = nil }, "caller-unknown", "denied: no caller"},
		"a part of the name":    {callOf(portal[:len(portal)-1], tenantA, read), nil, "caller-unknown", ""},
		"name in upper case":    {callOf(strings.ToUpper(portal), tenantA, read), nil, "caller-unknown", ""},
		"too late":              {callOf(robot, tenantA, read), func(c *Call) { c.Now = time.Date(2027, 1, 1, 0, 0, 1, 0, time.UTC) }, "expired", "denied: line 12: notAfter was 2027-01-01T00:00:00Z"},
		"another tenant":        {callOf(portal, tenantB, read), nil, "tenant", "denied: line 14: the caller's tenants do not contain this one"},
		"an unknown tenant":     {callOf(robot, tenantC, read), nil, "tenant", "denied: line 9:"},
		"no tenant":             {callOf(robot, "", read), nil, "tenant", "denied: line 9:"},
		"a bad tenant":          {callOf(robot, tenantA[:35]+"x", read), nil, "tenant", "denied: line 9:"},
		"the zero tenant":       {callOf(robot, "00000000-0000-0000-0000-000000000000", read), nil, "tenant", ""},
		"a permission too few":  {callOf(portal, tenantA, restore), nil, "permission", "denied: line 15: the caller's permissions do not contain BackupRestore-Restore.Read.All"},
		"an effect too few":     {callOf(portal, tenantA, remove), nil, "effect", "denied: line 16: the caller's effects (READ, ADD) do not contain REMOVE"},
		"an effect of a role":   {callOf(robot, tenantA, remove), nil, "effect", "denied: line 10: the caller's effects (READ, ADD, CHANGE) do not contain REMOVE"},
		"an effect of a field":  {callOf(robot, tenantA, create), func(c *Call) { c.Effects |= EffectsOf(pb.GraphCall_REMOVE) }, "effect", "do not contain REMOVE"},
		"no user":               {callOf(portal, tenantA, read), func(c *Call) { c.OnBehalfOfUser = true }, "on-behalf", "denied: line 13: the caller has no onBehalfOfUsers: true"},
		"no rule":               {callOf("dns:admin.corp.example", tenantA, read), func(c *Call) { c.Rule = theRules().Of("/a.B/C") }, "no-rule", "nobody may call it"},
		"nil rule":              {callOf("dns:admin.corp.example", tenantA, read), func(c *Call) { c.Rule = nil }, "no-rule", ""},
		"no effect":             {callOf("dns:admin.corp.example", tenantA, read), func(c *Call) { c.Effects = 0 }, "no-rule", ""},
		"an effect of tomorrow": {callOf("dns:admin.corp.example", tenantA, read), func(c *Call) { c.Effects |= 1 << 6 }, "effect", ""},
	} {
		if test.change != nil {
			test.change(&test.call)
		}
		d := f.Decide(test.call)
		if d.Cause() != test.cause || d.Allowed != (test.cause == "") || !strings.Contains(d.String(), test.text) {
			t.Errorf("%s: %v because of %q: %s\nwant %q: %s", name, d.Allowed, d.Cause(), d.String(), test.cause, test.text)
		}
	}
	if d := f.Decide(callOf(robot, tenantA, read)); !d.Until.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) || d.Principal != robot {
		t.Errorf("the right of %s ends at %s", d.Principal, d.Until)
	}
}

// Every rpc with every set of permissions and every set of effects or role is allowed exactly when they contain what
// the descriptor says. The expectation is made of names, not of sets of bits.
func TestEveryRPCWithAllRights(t *testing.T) {
	names := theRules().permissions
	effects := []string{"READ", "ADD", "CHANGE", "REMOVE", "RESTORE"}
	roleEffects := map[string][]string{
		"reader": {"READ"}, "operator": {"READ", "ADD", "CHANGE"}, "restorer": {"READ", "RESTORE"}, "admin": effects,
	}
	type entry struct{ permissions, effects []string }
	var entries []entry
	var text strings.Builder
	add := func(e entry, line string) {
		fmt.Fprintf(&text, "  - {principal: 'spiffe://a/%d', tenants: [%s], %s}\n", len(entries), tenantA, line)
		entries = append(entries, e)
	}
	for bits := 1; bits < 1<<len(names); bits++ {
		granted := subset(names, bits)
		list := "permissions: [" + strings.Join(granted, ", ") + "]"
		for bits := 1; bits < 1<<len(effects); bits++ {
			add(entry{granted, subset(effects, bits)}, list+", effects: ["+strings.Join(subset(effects, bits), ", ")+"]")
		}
		add(entry{granted, []string{"READ", "ADD", "CHANGE", "RESTORE"}}, list)
		for role, effects := range roleEffects {
			add(entry{granted, effects}, list+", role: "+role)
		}
	}
	for role, effects := range roleEffects {
		add(entry{names, effects}, "role: "+role)
	}
	f := mustParse(t, "version: 1\ncallers:\n"+text.String(), nil)
	allowed, denied := 0, 0
	for _, op := range theContract().Operations() {
		rule := theRules().Of(op.FullMethod)
		effects := rule.Effects(newRequest(t, op))
		for n, e := range entries {
			d := f.Decide(Call{Names: []string{fmt.Sprintf("spiffe://a/%d", n)}, Tenant: tenantA, Rule: rule, Effects: effects, Now: now})
			needed := op.Spec.GetPermission()
			want := slices.Contains(e.effects, op.Spec.GetEffect().String()) && (slices.Contains(e.permissions, needed) ||
				strings.Contains(needed, ".Read.") && slices.Contains(e.permissions, strings.Replace(needed, ".Read.", ".ReadWrite.", 1)))
			if d.Allowed != want {
				t.Fatalf("%s, which needs %s and %s, is allowed with %v: %v, want %v", op.Name, needed, op.Spec.GetEffect(), e, d.Allowed, want)
			}
			if want {
				allowed++
			} else {
				denied++
			}
		}
	}
	t.Logf("%d decisions allowed, %d denied", allowed, denied)
	if len(theContract().Operations()) < 96 || allowed == 0 || denied == 0 {
		t.Errorf("%d rpcs, %d allowed, %d denied", len(theContract().Operations()), allowed, denied)
	}
}

func subset(all []string, bits int) []string {
	var some []string
	for n, name := range all {
		if bits&(1<<n) != 0 {
			some = append(some, name)
		}
	}
	return some
}

// newRequest returns an empty request of an operation, of the generated type.
func newRequest(t *testing.T, op *contract.Operation) protoreflect.Message {
	t.Helper()
	message, err := protoregistry.GlobalTypes.FindMessageByName(op.Request.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return message.New()
}

// A caller that can only add protects, and can never unprotect: neither by an rpc, nor by a field of an rpc. Nor can
// one whose permissions come without effects.
func TestAddOnlyCallers(t *testing.T) {
	all := strings.Join(theRules().permissions, ", ")
	f := mustParse(t, "version: 1\ncallers:\n"+
		"  - {principal: 'spiffe://a/add', tenants: ['*'], permissions: ["+all+"], effects: [READ, ADD]}\n"+
		"  - {principal: 'spiffe://a/most', tenants: ['*'], permissions: ["+all+"]}\n"+
		"  - {principal: 'spiffe://a/all', tenants: ['*'], role: admin}\n", nil)
	decide := func(principal string, rule *Rule, effects Effects) bool {
		d := f.Decide(Call{Names: []string{"spiffe://a/" + principal}, Tenant: tenantA, Rule: rule, Effects: effects, Now: now})
		return d.Allowed
	}
	rpcs, fields := 0, 0
	for _, op := range theContract().Operations() {
		rule := theRules().Of(op.FullMethod)
		effects := rule.Effects(newRequest(t, op))
		if op.Spec.GetEffect() == pb.GraphCall_REMOVE {
			rpcs++
			if decide("add", rule, effects) || decide("most", rule, effects) {
				t.Errorf("%s removes, and callers without REMOVE may call it", op.Name)
			}
		}
		if !decide("all", rule, effects) {
			t.Errorf("%s: an admin may not call it", op.Name)
		}
		for i := range op.Request.Fields().Len() {
			field := op.Request.Fields().Get(i)
			if !strings.HasPrefix(string(field.Name()), "remove_") || !strings.HasSuffix(string(field.Name()), "_protection_unit_ids") {
				continue
			}
			fields++
			request := newRequest(t, op)
			request.Mutable(field).List().Append(protoreflect.ValueOfString("a"))
			raised := rule.Effects(request)
			if decide("add", rule, raised) || decide("most", rule, raised) || !decide("most", rule, effects) || !decide("all", rule, raised) {
				t.Errorf("%s with %s has the effects %s, and is not for those with REMOVE alone", op.Name, field.Name(), raised)
			}
			if got := rule.RaisingFields()[string(field.Name())]; got != EffectsOf(pb.GraphCall_REMOVE) {
				t.Errorf("%s: %s is listed as adding %s", op.Name, field.Name(), got)
			}
		}
	}
	t.Logf("%d rpcs and %d fields remove", rpcs, fields)
	if rpcs < 9 || fields < 3 {
		t.Errorf("only %d rpcs and %d fields were seen", rpcs, fields)
	}
}

// A new rpc whose options are forgotten is denied to everybody.
func TestRPCsWithoutARule(t *testing.T) {
	for name, spec := range map[string]*pb.GraphCall{
		"nothing":       {},
		"no permission": {Effect: pb.GraphCall_READ},
		"no effect":     {Permission: "BackupRestore-Search.Read.All"},
	} {
		request := (&pb.ListServiceAppsRequest{}).ProtoReflect()
		rules := NewRules(append(theContract().Operations(),
			&contract.Operation{Name: "TestService/New", FullMethod: "/test.TestService/New", Spec: spec, Request: request.Descriptor()}))
		f, err := Parse([]byte("version: 1\ncallers:\n  - {principal: "+portal+", tenants: ['*'], role: admin}\n"), rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		rule := rules.Of("/test.TestService/New")
		d := f.Decide(Call{Names: []string{portal}, Tenant: tenantA, Rule: rule, Effects: rule.Effects(request), Now: now})
		if d.Allowed || d.Cause() != "no-rule" {
			t.Errorf("%s: allowed: %v, because of %q", name, d.Allowed, d.Cause())
		}
	}
}

// Not granted and unknown take the same time, so that a stranger cannot find out which tenants and callers there are.
func TestDenialsTakeTheSameTime(t *testing.T) {
	var tenants, others strings.Builder
	for n := range 10000 {
		fmt.Fprintf(&tenants, "11111111-2222-4333-8444-%012x\n", n)
		fmt.Fprintf(&others, "22222222-2222-4333-8444-%012x\n", n)
	}
	f := mustParse(t, "version: 1\ntenantSets: {a: {file: a}, b: {file: b}}\ncallers:\n"+
		"  - {principal: 'spiffe://a/a', tenants: [set:a], role: admin}\n"+
		"  - {principal: 'spiffe://a/b', tenants: [set:b], role: reader}\n", files{"a": tenants.String(), "b": others.String()})
	rule := theRules().named("ProtectionPolicyService/DeleteProtectionPolicy")
	kinds := []struct{ name, principal, tenant string }{
		{"tenant of another caller", "spiffe://a/a", "22222222-2222-4333-8444-%012x"},
		{"unknown tenant", "spiffe://a/a", "33333333-2222-4333-8444-%012x"},
		{"effect not granted", "spiffe://a/b", "22222222-2222-4333-8444-%012x"},
		{"unknown caller", "spiffe://a/c", "11111111-2222-4333-8444-%012x"},
	}
	const samples, repeats = 10000, 20
	took := make([][]time.Duration, len(kinds))
	calls := make([][repeats]Call, len(kinds))
	for sample := range samples {
		for k, kind := range kinds {
			for n := range repeats {
				tenant := fmt.Sprintf(kind.tenant, (sample*7919+n*104729)%10000)
				calls[k][n] = Call{Names: []string{kind.principal}, Tenant: tenant, Rule: rule, Effects: rule.Effects(nil), Now: now}
			}
		}
		for k := range kinds {
			k = (k + sample) % len(kinds)
			began := time.Now()
			for n := range repeats {
				if d := f.Decide(calls[k][n]); d.Allowed {
					t.Fatalf("%s: allowed", kinds[k].name)
				}
			}
			took[k] = append(took[k], time.Since(began))
		}
	}
	for _, of := range took {
		slices.Sort(of)
	}
	for k, kind := range kinds[1:] {
		for _, quantile := range []int{50, 95} {
			a, b := took[0][samples*quantile/100], took[k+1][samples*quantile/100]
			ratio := float64(max(a, b)) / float64(min(a, b))
			t.Logf("%s: quantile %d is %s for %d decisions, %s for %s: factor %.2f", kind.name, quantile, b, repeats, a, kinds[0].name, ratio)
			if ratio > 1.5 {
				t.Errorf("%s: quantile %d is %s, that of %s %s", kind.name, quantile, b, kinds[0].name, a)
			}
		}
	}
}

// What a decision costs a call: no allocation.
func TestDecisionsAllocateNothing(t *testing.T) {
	f := mustParse(t, example, exampleFiles)
	call := callOf(robot, tenantA, "ProtectionPolicyService/ListProtectionPolicies")
	if got := testing.AllocsPerRun(100, func() { _ = f.Decide(call) }); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
