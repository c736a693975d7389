package emulator

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// directory is a tenant's users, sites and groups. Nothing of it is stored:
// every answer follows from the tenant's id and a number, so a million users
// cost as much as ten, and an id leads back to its number without a search.
type directory struct {
	tenant               string
	salt                 string
	host                 string // of mail addresses and, behind "sharepoint", of sites
	users, sites, groups int
	own                  *own // what a seed names of it
}

func newDirectory(tenant string, users, sites, groups int) directory {
	tenant = strings.ToLower(tenant)
	host := "t" + tenant[:8]
	switch tenant {
	case TenantA:
		host = "a"
	case TenantB:
		host = "b"
	case TenantC:
		host = "c"
	}
	return directory{
		tenant: tenant, salt: tenantSalt(tenant), host: host,
		users: users, sites: sites, groups: groups, own: &own{deleted: map[string]bool{}},
	}
}

type user struct {
	number           int
	id               string
	displayName      string
	mail             string
	licensed         bool // has a mailbox and a drive
	restoreFails     bool
	preservationLock bool
	jobTitle         string
	overQuota        bool
	restoreTakes     time.Duration // 0: as long as others
}

type site struct {
	number int
	id     string
	name   string
	webURL string
}

type group struct {
	id      string
	name    string
	members []string // ids of users and groups
}

func givenNames() [16]string {
	return [...]string{
		"Ada", "Bruno", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hana",
		"Ivo", "Jana", "Kofi", "Lena", "Mira", "Nils", "Odile", "Pavel",
	}
}

func familyNames() [13]string {
	return [...]string{
		"Abara", "Berg", "Costa", "Dietz", "Eriksen", "Fontana", "Grau",
		"Holm", "Ito", "Jansen", "Kovac", "Lindt", "Moreau",
	}
}

// user returns user number n; n must be between 1 and d.users.
func (d directory) user(n int) user {
	if n <= len(d.own.people) {
		return d.own.people[n-1]
	}
	given, family := givenNames(), familyNames()
	g, f := given[n%len(given)], family[n%len(family)]
	return user{
		number:           n,
		id:               numberedID(kindUser, d.salt, n),
		displayName:      g + " " + f,
		mail:             fmt.Sprintf("%s.%s.%d@%s.example", strings.ToLower(g), strings.ToLower(f), n, d.host),
		licensed:         !d.special(n, UserNoLicense),
		restoreFails:     d.special(n, UserRestoreFails),
		preservationLock: d.special(n, UserPreservationLock),
	}
}

// special tells whether a computed user is one of those out of the ordinary. A seed with people of its own says itself
// who is.
func (d directory) special(n, number int) bool { return n == number && len(d.own.people) == 0 }

// userByID finds a user that is in the directory.
func (d directory) userByID(id string) (user, bool) {
	u, ok := d.everyUserByID(id)
	return u, ok && !d.deleted(u)
}

// everyUserByID finds a user, also one that was deleted.
func (d directory) everyUserByID(id string) (user, bool) {
	if n, found := d.own.peopleBy[strings.ToLower(id)]; found && isGUID(id) {
		return d.user(n), true
	}
	n, ok := numberOf(kindUser, d.salt, id)
	if !ok || n > d.users || n <= len(d.own.people) {
		return user{}, false
	}
	return d.user(n), true
}

// userByName finds a user that is in the directory by the address.
func (d directory) userByName(mail string) (user, bool) {
	n := d.numberOfName(Exchange, mail)
	if n == 0 || d.deleted(d.user(n)) {
		return user{}, false
	}
	return d.user(n), true
}

func (d directory) deleted(u user) bool { return d.own.deleted[u.id] }

func (d directory) siteID(n int) string {
	if n <= len(d.own.sites) {
		return d.own.sites[n-1].id
	}
	return d.host + ".sharepoint.example," + numberedID(kindSite, d.salt, n) + "," + numberedID(kindWeb, d.salt, n)
}

// site returns site number n; n must be between 1 and d.sites.
func (d directory) site(n int) site {
	if n <= len(d.own.sites) {
		return d.own.sites[n-1]
	}
	return site{
		number: n,
		id:     d.siteID(n),
		name:   fmt.Sprintf("Site %d", n),
		webURL: fmt.Sprintf("https://%s.sharepoint.example/sites/site-%d", d.host, n),
	}
}

// siteByID finds a site by its full id or by the bare GUID of its site
// collection.
func (d directory) siteByID(id string) (site, bool) {
	guid := id
	if parts := strings.Split(id, ","); len(parts) == 3 {
		guid = parts[1]
	}
	if n, found := d.own.sitesBy[strings.ToLower(guid)]; found && isGUID(guid) {
		s := d.site(n)
		return s, guid == id || strings.EqualFold(s.id, id)
	}
	n, ok := numberOf(kindSite, d.salt, guid)
	if !ok || n > d.sites || n <= len(d.own.sites) {
		return site{}, false
	}
	s := d.site(n)
	if guid != id && !strings.EqualFold(s.id, id) {
		return site{}, false
	}
	return s, true
}

// groupByID finds a group. Groups 1 to 4 are flat, ten users each, in order.
// Group 5 nests groups 1 and 2, group 6 nests group 5 and user 41, and what
// follows is flat again.
func (d directory) groupByID(id string) (group, bool) {
	if n, found := d.own.groupsBy[strings.ToLower(id)]; found && isGUID(id) {
		return d.group(n), true
	}
	n, ok := numberOf(kindGroup, d.salt, id)
	if !ok || n > d.groups || n <= len(d.own.groups) {
		return group{}, false
	}
	return d.group(n), true
}

// group returns group number n; n must be between 1 and d.groups.
func (d directory) group(n int) group {
	if n <= len(d.own.groups) {
		g := d.own.groups[n-1]
		g.members = slices.DeleteFunc(slices.Clone(g.members), func(id string) bool { return d.own.deleted[id] })
		return g
	}
	g := group{id: numberedID(kindGroup, d.salt, n), name: "Group " + strconv.Itoa(n)}
	switch first := len(d.own.groups); n - first {
	case 5:
		g.members = []string{numberedID(kindGroup, d.salt, first+1), numberedID(kindGroup, d.salt, first+2)}
	case 6:
		g.members = []string{numberedID(kindGroup, d.salt, first+5)}
		if d.users >= 41 {
			g.members = append(g.members, d.objectID(Exchange, 41))
		}
	default:
		for u := (n-first-1)*10 + 1; u <= min((n-first)*10, d.users); u++ {
			if !d.deleted(d.user(u)) {
				g.members = append(g.members, d.objectID(Exchange, u))
			}
		}
	}
	return g
}

// objectID is the id of the user or site with a number.
func (d directory) objectID(w Workload, number int) string {
	if w == SharePoint {
		return d.siteID(number)
	}
	if number <= len(d.own.people) {
		return d.own.people[number-1].id
	}
	return numberedID(kindUser, d.salt, number)
}

// isSiteID tells whether s is `host,guid,guid` (the host may carry a path) or a
// bare GUID.
func isSiteID(s string) bool {
	if isGUID(s) {
		return true
	}
	parts := strings.Split(s, ",")
	return len(parts) == 3 && parts[0] != "" && !strings.ContainsAny(parts[0], " \t\r\n'\"") &&
		isGUID(parts[1]) && isGUID(parts[2])
}

// isAddress tells whether s looks like a mail address.
func isAddress(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && domain != "" && !strings.ContainsAny(s, " \t\r\n<>") && !strings.Contains(domain, "@")
}

// isSiteURL tells whether s is an absolute https URL.
func isSiteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// numberOfName leads from an address or URL back to its number; 0 when nothing
// has it. Both hold the number, so nothing is searched.
func (d directory) numberOfName(w Workload, name string) int {
	if w == SharePoint {
		name = strings.TrimSuffix(name, "/")
		if n, found := d.own.sitesBy[strings.ToLower(name)]; found && isSiteURL(name) {
			return n
		}
		n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
		if err != nil || n < 1 || n > d.sites || !strings.EqualFold(d.site(n).webURL, name) {
			return 0
		}
		return n
	}
	if n, found := d.own.peopleBy[strings.ToLower(name)]; found && isAddress(name) {
		return n
	}
	local, _, _ := strings.Cut(name, "@")
	n, err := strconv.Atoi(local[strings.LastIndexByte(local, '.')+1:])
	if err != nil || n < 1 || n > d.users || !strings.EqualFold(d.user(n).mail, name) {
		return 0
	}
	return n
}
