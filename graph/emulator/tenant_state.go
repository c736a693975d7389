package emulator

import (
	"sync"
	"time"
)

// tenant is one customer's directory and backup state. Its lock is held for the
// whole of an operation's work.
type tenant struct {
	mu      sync.Mutex
	id      string
	dir     directory
	born    time.Time // when it was seeded
	lengths Lengths
	ledger  *ledger
	clock   *Clock // that of the emulator, unless the tenant got its own
	known   []App  // applications that the token authority knows; none: every one

	requests uint64 // how many there were
	steps    steps

	service  service
	apps     serviceApps
	notify   notifications
	policies []*policy           // in order of creation
	touched  []touchedPolicy     // since their states were told
	groups   map[string][]string // members of the groups that were changed
	units    [len(workloadTable)]*unitSet
	made     int // how many ids were made up in this tenant

	vault vault
}

// now is the tenant's time.
func (t *tenant) now() time.Time { return t.clock.Now() }

// settle lets everything happen that is due.
func (t *tenant) settle(now time.Time) { t.steps.settle(now, t.tellPolicies) }

// newID makes a GUID that is new in this tenant and the same in every run.
func (t *tenant) newID(kind string) string {
	t.made++
	return hashedID(t.id, kind, t.made)
}

// record notes a change of state in the ledger.
func (t *tenant) record(why cause, resource, id, from, to string, count int) {
	if count == 1 {
		count = 0
	}
	t.ledger.add(Entry{
		Kind: EntryChange, Time: why.at, Tenant: t.id, Cause: why.request,
		Resource: resource, ID: id, From: from, To: to, Count: count,
	})
}

// cause is when and why something changes: a request, or time alone.
type cause struct {
	at      time.Time
	request uint64 // seq in the ledger; 0 for time alone
	by      identitySet
}

// sign notes when something was changed and, unless time alone did it, by whom.
func (why cause) sign(modified *time.Time, by *identitySet) {
	*modified = why.at
	if why.by.Application != nil {
		*by = why.by
	}
}

func (t *tenant) policy(id string) *policy {
	for _, p := range t.policies {
		if p.id == id {
			return p
		}
	}
	return nil
}

// notOpen tells why the gate of an operation is shut, or nil.
func (t *tenant) notOpen(g gate, method string) *graphError {
	s := t.service.status
	switch {
	case g == gateOpen, s == serviceEnabled:
		return nil
	case s == serviceDisabled:
		return refuse(method, codeNotAllowed, "The backup service is disabled for this tenant.")
	case g == gateRead, g == gateRestore && s == serviceChangeLocked:
		return nil
	}
	return refuse(method, codeNotAllowed, "The backup service is in the state %s, which does not allow this.", s)
}
