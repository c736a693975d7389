package rights

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Check says whether a principal may call an rpc in a tenant, and which line decides. The rpc is `Service/Method`, or
// the name that gRPC has for it. The text has one line for the call as it is, one for each field that adds an effect,
// and one for a call on behalf of a user where that is another decision. Warnings on the whole file follow.
//
// allowed is what the first line says. The error says which argument is wrong.
func (f *File) Check(rules *Rules, principal, tenant, rpc string, now time.Time) (text string, allowed bool, err error) {
	rule := rules.named(rpc)
	if rule == nil {
		return "", false, fmt.Errorf("there is no such rpc: write it as ServiceAppService/ListServiceApps")
	}
	if _, ok := parseGUID([]byte(tenant)); !ok {
		return "", false, fmt.Errorf("the tenant must be a GUID written 8-4-4-4-12")
	}
	call := Call{Names: []string{principal}, Tenant: tenant, Rule: rule, Effects: rule.Effects(nil), Now: now}
	d := f.Decide(call)
	var b strings.Builder
	fmt.Fprintln(&b, d.String())
	fields := rule.RaisingFields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		raised := call
		raised.Effects |= fields[name]
		with := f.Decide(raised)
		fmt.Fprintf(&b, "with %s: %s\n", name, with.String())
	}
	call.OnBehalfOfUser = true
	if onBehalf := f.Decide(call); onBehalf.Allowed != d.Allowed {
		fmt.Fprintf(&b, "on behalf of a user: %s\n", onBehalf.String())
	}
	for _, warning := range f.Warnings() {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	return b.String(), d.Allowed, nil
}

// named returns the rule of an rpc by any of its names, nil when there is none.
func (r *Rules) named(rpc string) *Rule {
	rpc = strings.TrimPrefix(rpc, "/")
	if rule := r.byName[rpc]; rule != nil {
		return rule
	}
	return r.byMethod["/"+rpc]
}

// List returns the table of all callers in the order of the file, one a line, with a line of headings.
func (f *File) List() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		format := strings.Repeat("%v\t", len(cells)-1) + "%v\n"
		fmt.Fprintf(table, format, cells...)
	}
	row("LINE", "PRINCIPAL", "TENANTS", "PERMISSIONS", "EFFECTS", "USERS", "NOT AFTER")
	for _, c := range f.callers {
		var tenants []string
		for _, g := range c.tenants {
			text := g.text
			if g.set.name != "" {
				text = fmt.Sprintf("%s (%d)", text, len(g.set.ids))
			}
			tenants = append(tenants, text)
		}
		names, users, until := "all", "no", "-"
		if c.permissionNames != nil {
			names = strings.Join(c.permissionNames, ", ")
		}
		if c.onBehalfOfUsers {
			users = "yes"
		}
		if !c.notAfter.IsZero() {
			until = c.notAfter.UTC().Format(time.RFC3339)
		}
		effects := c.effects.String()
		if c.role != "" {
			effects = c.role + ": " + effects
		}
		row(c.line, c.principal, strings.Join(tenants, ", "), names, effects, users, until)
	}
	// The writer is a buffer.
	_ = table.Flush()
	return b.String()
}
