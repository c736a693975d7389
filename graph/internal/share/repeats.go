package share

const (
	// tenantRepeats is how many repeats a tenant can spend at once, allRepeats how many all tenants can. Both are in
	// tenths of a repeat. Each request earns a tenth for its tenant and for all, so that an outage does not triple the
	// load.
	tenantRepeats = 20 * 10
	allRepeats    = 200 * 10
	repeat        = 10
)

// Earn counts a request of a tenant.
func (t *Tenants) Earn(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.repeats = min(t.repeats+1, allRepeats)
	if one := t.entries[name]; one != nil && one.spent > 0 {
		one.spent--
	}
}

// Spend takes a repeat of a tenant, and reports whether it has one left. A tenant gets another one while it has spent
// fewer than all tenants have left together. Newcomers leave half of them to the tenants that are known.
func (t *Tenants) Spend(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.use(name)
	defer t.rest(one)
	left := t.repeats
	if !one.known {
		left -= allRepeats / 2
	}
	if left < repeat || one.spent+repeat > tenantRepeats || !t.single && one.spent >= left {
		return false
	}
	one.spent += repeat
	t.repeats -= repeat
	return true
}
