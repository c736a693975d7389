package credential

// shares counts the token requests under way, so that requests that hang do not prevent all others. The caller holds
// the lock of the cache.
type shares struct {
	max, taken int
	ofTenant   map[string]int
}

func newShares(maximum int) *shares { return &shares{max: maximum, ofTenant: make(map[string]int)} }

// take takes a place for a tenant, and reports whether it got one. A tenant gets another place while it has fewer than
// are free. So one tenant alone gets half of them, and each further one half of the rest. Places that are reserved for
// other requests do not count as free.
func (p *shares) take(tenant string, reserved int) bool {
	if p.ofTenant[tenant] >= p.max-p.taken-reserved {
		return false
	}
	p.taken++
	p.ofTenant[tenant]++
	return true
}

func (p *shares) giveBack(tenant string) {
	p.taken--
	if p.ofTenant[tenant]--; p.ofTenant[tenant] == 0 {
		delete(p.ofTenant, tenant)
	}
}
