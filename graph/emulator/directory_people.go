package emulator

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// directory is a tenant's users, sites and groups. Nothing of it is stored:
// every answer follows from the tenant's id and a number, so a million users
// cost as much as ten, and an id leads back to its number without a search.
type directory struct {
	tenant               string
	salt                 string
	host                 string // of mail addresses and, behind "sharepoint", of sites
	users, sites, groups int
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
		users: users, sites: sites, groups: groups,
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
}

type site struct {
	number int
	id     string
	name   string
	webURL string
}

type group struct {
	id      string
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
	given, family := givenNames(), familyNames()
	g, f := given[n%len(given)], family[n%len(family)]
	return user{
		number:           n,
		id:               numberedID(kindUser, d.salt, n),
		displayName:      g + " " + f,
		mail:             fmt.Sprintf("%s.%s.%d@%s.example", strings.ToLower(g), strings.ToLower(f), n, d.host),
		licensed:         n != UserNoLicense,
		restoreFails:     n == UserRestoreFails,
		preservationLock: n == UserPreservationLock,
	}
}

func (d directory) userByID(id string) (user, bool) {
	n, ok := numberOf(kindUser, d.salt, id)
	if !ok || n > d.users {
		return user{}, false
	}
	return d.user(n), true
}

func (d directory) siteID(n int) string {
	return d.host + ".sharepoint.example," + numberedID(kindSite, d.salt, n) + "," + numberedID(kindWeb, d.salt, n)
}

// site returns site number n; n must be between 1 and d.sites.
func (d directory) site(n int) site {
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
	n, ok := numberOf(kindSite, d.salt, guid)
	if !ok || n > d.sites {
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
	n, ok := numberOf(kindGroup, d.salt, id)
	if !ok || n > d.groups {
		return group{}, false
	}
	g := group{id: numberedID(kindGroup, d.salt, n)}
	switch n {
	case 5:
		g.members = []string{numberedID(kindGroup, d.salt, 1), numberedID(kindGroup, d.salt, 2)}
	case 6:
		g.members = []string{numberedID(kindGroup, d.salt, 5), numberedID(kindUser, d.salt, 41)}
	default:
		for u := (n-1)*10 + 1; u <= min(n*10, d.users); u++ {
			g.members = append(g.members, numberedID(kindUser, d.salt, u))
		}
	}
	return g, true
}

// objectID is the id of the user or site with a number.
func (d directory) objectID(w Workload, number int) string {
	if w == SharePoint {
		return d.siteID(number)
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
		n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
		if err != nil || n < 1 || n > d.sites || !strings.EqualFold(d.site(n).webURL, name) {
			return 0
		}
		return n
	}
	local, _, _ := strings.Cut(name, "@")
	n, err := strconv.Atoi(local[strings.LastIndexByte(local, '.')+1:])
	if err != nil || n < 1 || n > d.users || !strings.EqualFold(d.user(n).mail, name) {
		return 0
	}
	return n
}
