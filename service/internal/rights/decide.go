package rights

import (
	"fmt"
	"strings"
	"time"
)

// Call is what a decision is about.
type Call struct {
	// Names are the principals that the caller's credential proves (identity.Caller.Names). The first one that the file
	// has counts.
	Names []string
	// Tenant is the tenant's GUID, in upper or lower case. Any other text is the GUID of nobody's tenant.
	Tenant string
	// Rule is the rule of the rpc, Effects are those of this call (Rule.Effects).
	Rule    *Rule
	Effects Effects
	// OnBehalfOfUser is set when the call has a user assertion.
	OnBehalfOfUser bool
	// Now is the time of the call.
	Now time.Time
}

// Decision is what a caller may do. Only Allowed may reach the client: why a call was denied would say which tenants
// there are.
type Decision struct {
	Allowed bool
	// Principal is the name of the caller that the file has, else the first of its names.
	Principal string
	// Until is when the right ends, zero when it does not. What lasts longer has to be decided again then.
	Until time.Time

	call Call
	file *File
	// caller is the entry that counted, the decoy when there is none.
	caller *caller
	// tenant is where the tenant stands.
	tenant *grant
	line   uint32

	hasRule, known, permitted, effects, users, inTime bool
}

// Decide decides on a call. It does the same work for callers and tenants that exist and for those that do not, and it
// looks at everything before it says no: the time that it takes must not tell a stranger which tenants there are.
func (f *File) Decide(c Call) Decision {
	d := Decision{call: c, file: f, caller: f.decoy, Principal: first(c.Names)}
	for _, name := range c.Names {
		if entry := f.byPrincipal[name]; entry != nil && !d.known {
			d.caller, d.Principal, d.known = entry, name, true
		}
	}
	e := d.caller
	id, isGUID := parseGUID([]byte(c.Tenant))
	for i := range e.tenants {
		g := &e.tenants[i]
		line, is := g.set.ids[id]
		if (is && isGUID || g.all) && d.tenant == nil {
			d.tenant, d.line = g, line
		}
	}
	d.hasRule = c.Rule != nil && c.Rule.Permission != "" && c.Effects != 0
	d.permitted = c.Rule != nil && e.permissions&c.Rule.covering != 0
	d.effects = e.effects.Has(c.Effects)
	d.users = e.onBehalfOfUsers || !c.OnBehalfOfUser
	d.inTime = e.notAfter.IsZero() || !c.Now.After(e.notAfter)
	d.Until = e.notAfter
	d.Allowed = all(d.hasRule, d.known, d.tenant != nil, d.permitted, d.effects, d.users, d.inTime)
	return d
}

// all reports whether all facts hold. It looks at each of them.
func all(facts ...bool) bool {
	missing := 0
	for _, fact := range facts {
		if !fact {
			missing++
		}
	}
	return missing == 0
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// Cause says in one kebab-case word why a call was denied, for the log and the audit file; empty when it was allowed.
// Of several causes it is the first one of: no-rule, caller-unknown, expired, tenant, permission, effect, on-behalf.
func (d *Decision) Cause() string {
	switch {
	case d.Allowed:
		return ""
	case !d.hasRule:
		return "no-rule"
	case !d.known:
		return "caller-unknown"
	case !d.inTime:
		return "expired"
	case d.tenant == nil:
		return "tenant"
	case !d.permitted:
		return "permission"
	case !d.effects:
		return "effect"
	default:
		return "on-behalf"
	}
}

// String says which lines of the file decided, as in `allowed: line 12 (caller), line 4 of tenants.txt (tenant), …`.
func (d *Decision) String() string {
	e := d.caller
	switch d.Cause() {
	case "":
		return fmt.Sprintf("allowed: line %d (caller), %s (tenant), %s (permission), %s (effect)%s",
			e.line, d.tenantLine(), lineOr(e.permissionsLine, e.roleLine), lineOr(e.effectsLine, e.roleLine, e.permissionsLine), d.until())
	case "no-rule":
		return "denied: the rpc has no permission or no effect, so that nobody may call it"
	case "caller-unknown":
		return "denied: no caller of the file has this principal"
	case "expired":
		return fmt.Sprintf("denied: line %d: notAfter was %s", e.notAfterLine, e.notAfter.Format(time.RFC3339))
	case "tenant":
		return fmt.Sprintf("denied: line %d: the caller's tenants do not contain this one", e.tenantsLine)
	case "permission":
		return fmt.Sprintf("denied: line %d: the caller's permissions do not contain %s", e.permissionsLine, d.call.Rule.Permission)
	case "effect":
		return fmt.Sprintf("denied: %s: the caller's effects (%s) do not contain %s",
			lineOr(e.effectsLine, e.roleLine, e.permissionsLine), e.effects, d.call.Effects&^e.effects)
	default:
		return fmt.Sprintf("denied: line %d: the caller has no onBehalfOfUsers: true", e.line)
	}
}

func (d *Decision) tenantLine() string {
	if d.tenant.set.name != "" && !d.tenant.all {
		return fmt.Sprintf("line %d by line %d of %s", d.tenant.line, d.line, d.tenant.set.name)
	}
	return fmt.Sprintf("line %d", d.tenant.line)
}

func (d *Decision) until() string {
	var b strings.Builder
	if d.call.OnBehalfOfUser {
		b.WriteString(", on behalf of users")
	}
	if !d.Until.IsZero() {
		fmt.Fprintf(&b, ", until %s", d.Until.Format(time.RFC3339))
	}
	return b.String()
}

// lineOr names the first line that is there.
func lineOr(lines ...int) string {
	for _, line := range lines {
		if line != 0 {
			return fmt.Sprintf("line %d", line)
		}
	}
	return "no line"
}
