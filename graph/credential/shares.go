package credential

// shares counts the token requests under way, so that requests that hang do not prevent all others. The caller holds
// the lock of the cache.
type shares struct {
	max, taken int
	ofTenant   map[string]int
}

func newShares(maximum int) *shares { return &shares{max: maximum, ofTenant: make(map[string]int)} }

// take counts one more request of a tenant, and reports whether it may go out. A tenant may have another one while it
// has fewer under way than are free. So one tenant alone gets half of them, and each further one half of the rest.
// Those that are reserved for other requests do not count as free.
func (s *shares) take(tenant string, reserved int) bool {
	if s.ofTenant[tenant] >= s.max-s.taken-reserved {
		return false
	}
	s.taken++
	s.ofTenant[tenant]++
	return true
}

func (s *shares) giveBack(tenant string) {
	s.taken--
	if s.ofTenant[tenant]--; s.ofTenant[tenant] == 0 {
		delete(s.ofTenant, tenant)
	}
}
