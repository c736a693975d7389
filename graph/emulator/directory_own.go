package emulator

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Person is a user that a seed names.
type Person struct {
	// ID is the object id, a GUID; empty is [UserID] of the person's place in the list, from 1.
	ID string `json:"id,omitempty"`
	// Mail is the address, which is the user principal name too. No two people have the same.
	Mail        string `json:"mail"`
	DisplayName string `json:"displayName,omitempty"` // empty is what stands before the @
	JobTitle    string `json:"jobTitle,omitempty"`
	// Licensed people have a mailbox and a drive; nil is true.
	Licensed *bool `json:"licensed,omitempty"`
	// PreservationLock refuses restores in place, RestoreFails lets each restore fail at its end.
	PreservationLock bool `json:"preservationLock,omitempty"`
	RestoreFails     bool `json:"restoreFails,omitempty"`
	// RestoreTakes is how long restores run; 0 is what they take otherwise.
	RestoreTakes Duration `json:"restoreTakes,omitempty"`
	// OverQuota has the protected mailbox carry the error QuotaExceeded.
	OverQuota bool `json:"overQuota,omitempty"`
	// Deleted people are no longer in the directory. What is backed up of them stays.
	Deleted bool `json:"deleted,omitempty"`
}

// Site is a SharePoint site that a seed names.
type Site struct {
	// ID is `host,guid,guid`, or one GUID, to which the rest is made up; empty is [SiteID] of the site's place in the
	// list, from 1.
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	// URL is absolute and begins with https; empty is made of the name. No two sites have the same.
	URL string `json:"url,omitempty"`
}

// Group is a group that a seed names.
type Group struct {
	// ID is the object id, a GUID; empty is [GroupID] of the group's place in the list, from 1.
	ID          string `json:"id,omitempty"`
	DisplayName string `json:"displayName"`
	// Members are people by address or id, and groups by id or name.
	Members []string `json:"members,omitempty"`
}

// own is what a seed names of a directory. It comes before what is computed: user 1 is the first of the people.
type own struct {
	people []user
	sites  []site
	groups []group

	peopleBy, sitesBy, groupsBy map[string]int // number, by id, address, URL or name, in lower case
	deleted                     map[string]bool
}

func newOwn(d *directory, s *Seed) (*own, error) {
	o := &own{peopleBy: map[string]int{}, sitesBy: map[string]int{}, groupsBy: map[string]int{}, deleted: map[string]bool{}}
	for i, p := range s.People {
		if err := o.addPerson(d, i+1, p); err != nil {
			return nil, fmt.Errorf("people, entry %d: %w", i+1, err)
		}
	}
	for i, one := range s.OwnSites {
		if err := o.addSite(d, i+1, one); err != nil {
			return nil, fmt.Errorf("sites, entry %d: %w", i+1, err)
		}
	}
	for i, g := range s.OwnGroups {
		if err := o.addGroup(d, i+1, g); err != nil {
			return nil, fmt.Errorf("groups, entry %d: %w", i+1, err)
		}
	}
	for i, g := range s.OwnGroups {
		for _, name := range g.Members {
			id, found := o.member(name)
			if !found {
				return nil, fmt.Errorf("groups, entry %d: member %q is neither one of the people nor a group", i+1, name)
			}
			o.groups[i].members = append(o.groups[i].members, id)
		}
	}
	return o, nil
}

// note ties names to a number. It refuses one that is taken.
func note(by map[string]int, number int, names ...string) error {
	for _, name := range names {
		name = strings.ToLower(name)
		if other, taken := by[name]; taken && other != number {
			return fmt.Errorf("entry %d has %q too", other, name)
		}
		by[name] = number
	}
	return nil
}

func (o *own) addPerson(d *directory, n int, p Person) error {
	if !isAddress(p.Mail) {
		return fmt.Errorf("mail %q is no address", p.Mail)
	}
	if p.ID != "" && !isGUID(p.ID) {
		return fmt.Errorf("id %q is not a GUID", p.ID)
	}
	if p.RestoreTakes < 0 || p.RestoreTakes > Duration(365*day) {
		return fmt.Errorf("restoreTakes %v is not between 0 and a year", time.Duration(p.RestoreTakes))
	}
	u := user{
		number: n, id: strings.ToLower(p.ID), displayName: p.DisplayName, mail: p.Mail, jobTitle: p.JobTitle,
		licensed: p.Licensed == nil || *p.Licensed, restoreFails: p.RestoreFails, preservationLock: p.PreservationLock,
		overQuota: p.OverQuota, restoreTakes: time.Duration(p.RestoreTakes),
	}
	if u.id == "" {
		u.id = numberedID(kindUser, d.salt, n)
	}
	if u.displayName == "" {
		u.displayName, _, _ = strings.Cut(u.mail, "@")
	}
	if p.Deleted {
		o.deleted[u.id] = true
	}
	o.people = append(o.people, u)
	return note(o.peopleBy, n, u.id, u.mail)
}

func (o *own) addSite(d *directory, n int, given Site) error {
	if given.Name == "" {
		return errors.New("the site has no name")
	}
	s := site{number: n, id: strings.ToLower(given.ID), name: given.Name, webURL: strings.TrimSuffix(given.URL, "/")}
	switch {
	case s.id == "":
		s.id = d.host + ".sharepoint.example," + numberedID(kindSite, d.salt, n) + "," + numberedID(kindWeb, d.salt, n)
	case isGUID(s.id):
		s.id = d.host + ".sharepoint.example," + s.id + "," + hashedID(d.tenant, "web", s.id)
	case !isSiteID(s.id):
		return fmt.Errorf("id %q is neither a GUID nor host,guid,guid", given.ID)
	}
	if s.webURL == "" {
		s.webURL = "https://" + d.host + ".sharepoint.example/sites/" + strings.ReplaceAll(strings.ToLower(s.name), " ", "-")
	}
	if !isSiteURL(s.webURL) {
		return fmt.Errorf("url %q is not an absolute https URL", given.URL)
	}
	o.sites = append(o.sites, s)
	return note(o.sitesBy, n, s.id, strings.Split(s.id, ",")[1], s.webURL)
}

func (o *own) addGroup(d *directory, n int, given Group) error {
	if given.DisplayName == "" {
		return errors.New("the group has no displayName")
	}
	if given.ID != "" && !isGUID(given.ID) {
		return fmt.Errorf("id %q is not a GUID", given.ID)
	}
	g := group{id: strings.ToLower(given.ID), name: given.DisplayName}
	if g.id == "" {
		g.id = numberedID(kindGroup, d.salt, n)
	}
	o.groups = append(o.groups, g)
	return note(o.groupsBy, n, g.id, g.name)
}

// member finds a member of a group by the name that a seed gives.
func (o *own) member(name string) (id string, found bool) {
	name = strings.ToLower(name)
	if n, found := o.peopleBy[name]; found {
		return o.people[n-1].id, true
	}
	if n, found := o.groupsBy[name]; found {
		return o.groups[n-1].id, true
	}
	return "", false
}
