package emulator

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

func controlNumber(name, text string) error {
	return fmt.Errorf("%s %q is no number between 0 and %d", name, text, maxSeeded)
}

// controlUser is a user as the control API shows it: with what the emulator knows and Graph does not say.
type controlUser struct {
	Number int `json:"number"` // by which computed ids and content go
	Person
	MailboxUnit string `json:"mailboxUnitId"`
	DriveUnit   string `json:"driveUnitId"`
}

type controlSite struct {
	Number int `json:"number"`
	Site
	Unit string `json:"unitId"`
}

type controlGroup struct {
	ID          string   `json:"id"`
	DisplayName string   `json:"displayName"`
	Members     []string `json:"members"`
}

// listed shows what there is between skip and skip+top of last objects.
func listed[T any](in controlRequest, last int, show func(n int) T) (list []T, err error) {
	top, skip, err := in.controlPage()
	list = []T{}
	for n := skip + 1; err == nil && n <= min(last, skip+top); n++ {
		list = append(list, show(n))
	}
	return list, err
}

func (e *Emulator) controlUsers(in controlRequest) (any, error) {
	var total int
	var users []controlUser
	err := e.inDirectory(in.tenant(), func(t *tenant, _ time.Time) (err error) {
		total = t.dir.users
		users, err = listed(in, total, func(n int) controlUser {
			u := t.dir.user(n)
			return controlUser{
				Number: n, MailboxUnit: UnitID(t.id, Exchange, n), DriveUnit: UnitID(t.id, OneDrive, n),
				Person: Person{
					ID: u.id, Mail: u.mail, DisplayName: u.displayName, JobTitle: u.jobTitle, Licensed: &u.licensed,
					PreservationLock: u.preservationLock, RestoreFails: u.restoreFails, RestoreTakes: Duration(u.restoreTakes),
					OverQuota: u.overQuota, Deleted: t.dir.deleted(u),
				},
			}
		})
		return err
	})
	return map[string]any{"total": total, "users": users}, err
}

func (e *Emulator) controlSites(in controlRequest) (any, error) {
	var total int
	var sites []controlSite
	err := e.inDirectory(in.tenant(), func(t *tenant, _ time.Time) (err error) {
		total = t.dir.sites
		sites, err = listed(in, total, func(n int) controlSite {
			s := t.dir.site(n)
			return controlSite{n, Site{ID: s.id, Name: s.name, URL: s.webURL}, UnitID(t.id, SharePoint, n)}
		})
		return err
	})
	return map[string]any{"total": total, "sites": sites}, err
}

func (e *Emulator) controlGroups(in controlRequest) (any, error) {
	if in.query.Has("group") {
		return e.controlMembers(in.tenant(), in.query.Get("group"))
	}
	var total int
	var groups []controlGroup
	err := e.inDirectory(in.tenant(), func(t *tenant, _ time.Time) (err error) {
		total = t.dir.groups
		groups, err = listed(in, total, func(n int) controlGroup {
			g, _ := t.group(t.dir.group(n).id)
			return controlGroup{g.id, g.name, append([]string{}, g.members...)}
		})
		return err
	})
	return map[string]any{"total": total, "groups": groups}, err
}

// DeleteUser takes a user, by object id or address, out of a tenant's directory: nothing finds the user any more, and
// groups lose the member. A mailbox or drive that is protected becomes unprotected, with the error
// ProtectionUnitNotFound; what is backed up stays. An empty tenant is [Options.DefaultTenant].
func (e *Emulator) DeleteUser(tenantID, name string) error {
	return e.inDirectory(tenantID, func(t *tenant, now time.Time) error { return t.deleteUser(name, cause{at: now}) })
}

func (t *tenant) deleteUser(name string, why cause) error {
	u, found := t.dir.userByID(name)
	if !found {
		u, found = t.dir.userByName(name)
	}
	if !found {
		return fmt.Errorf("tenant %s has no user %q", t.id, name)
	}
	t.dir.own.deleted[u.id] = true
	for group, members := range t.groups {
		t.groups[group] = without(members, u.id)
	}
	t.record(why, "user", u.id, "", "deleted", 1)
	for _, w := range []Workload{Exchange, OneDrive} {
		unit := t.units[w].take(t, UnitID(t.id, w, u.number))
		if unit == nil || unit.status != unitProtected {
			continue
		}
		unit.err = &publicError{Code: "ProtectionUnitNotFound", Message: "The user was deleted.", Target: u.id}
		t.setStatus(unit, unitUnprotected, why)
		unit.policy.rest()
	}
	for _, p := range t.policies {
		for _, r := range p.rules {
			t.reevaluate(r, why)
		}
	}
	return nil
}

func without(list []string, one string) []string {
	var kept []string
	for _, s := range list {
		if !strings.EqualFold(s, one) {
			kept = append(kept, s)
		}
	}
	return kept
}

func (e *Emulator) controlDeleteUser(in controlRequest) (any, error) {
	if in.query.Get("user") == "" {
		return nil, errors.New("say which user with user=")
	}
	return done(e.DeleteUser(in.tenant(), in.query.Get("user")))
}
