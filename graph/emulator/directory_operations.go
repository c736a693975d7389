package emulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Permissions to look up who and what there is.
const (
	permUsersRead     = "User.Read.All"
	permGroupsRead    = "Group.Read.All"
	permMembersRead   = "GroupMember.Read.All"
	permSitesRead     = "Sites.Read.All"
	permDirectoryRead = "Directory.Read.All"
)

// Codes that Graph has for directories.
const (
	codeNoSuchObject = "Request_ResourceNotFound"
	codeNoSuchSite   = "itemNotFound"
	codeNoPrivilege  = "Authorization_RequestDenied"
)

// directoryRoutes are the operations on users, groups and sites: reading only, below /v1.0.
func directoryRoutes() []*route {
	users, groups := []string{permDirectoryRead}, []string{permMembersRead, permDirectoryRead}
	routes := []*route{
		{template: "/users", permission: permUsersRead, others: users, handle: listUsers},
		{template: "/users/{userId}", permission: permUsersRead, others: users, handle: getUser},
		{template: "/groups", permission: permGroupsRead, others: groups, handle: listGroups},
		{template: "/groups/{groupId}", permission: permGroupsRead, others: groups, handle: getGroup},
		{template: "/groups/{groupId}/members", permission: permMembersRead, others: []string{permGroupsRead, permDirectoryRead}, handle: listMembers},
		{template: "/sites", permission: permSitesRead, handle: listSites},
		{template: "/sites/{siteId}", permission: permSitesRead, handle: getSite},
		{template: "/sites/{siteHost}/sites/{siteName}", permission: permSitesRead, handle: getSiteByPath},
	}
	for _, rt := range routes {
		rt.area, rt.method, rt.gate = areaDirectory, http.MethodGet, gateOpen
	}
	return routes
}

// findOutside finds the route of a path that is not below the Backup Storage API.
func (c *call) findOutside() (rt *route, params, allowed []string) {
	segments, ok := pathSegments(c.r.URL.EscapedPath())
	switch {
	case !ok:
		return nil, nil, nil
	case len(segments) > 0 && strings.EqualFold(segments[0], "v1.0"):
		return c.e.directory.find(c.method(), segments[1:])
	}
	return c.e.outside.find(c.method(), segments)
}

// directoryObject is one user, group or site as Graph shows it: its properties by name.
type directoryObject map[string]any

func userObject(u user) directoryObject {
	given, surname, _ := strings.Cut(u.displayName, " ")
	o := directoryObject{
		"id": u.id, "displayName": u.displayName, "mail": u.mail, "userPrincipalName": u.mail, "givenName": given,
		"surname": surname, "jobTitle": nil, "businessPhones": []string{}, "mobilePhone": nil, "officeLocation": nil,
		"preferredLanguage": nil,
	}
	if u.jobTitle != "" {
		o["jobTitle"] = u.jobTitle
	}
	return o
}

// userMore are properties that are shown when $select or $filter names them.
func userMore(u user) directoryObject {
	licenses := []map[string]any{}
	if u.licensed {
		licenses = append(licenses, map[string]any{"disabledPlans": []string{}, "skuId": "05e9a617-0261-4cee-bb44-138d3ef5d965"})
	}
	return directoryObject{"accountEnabled": true, "assignedLicenses": licenses, "userType": "Member"}
}

func groupObject(g group) directoryObject {
	return directoryObject{
		"id": g.id, "displayName": g.name, "description": nil, "mail": nil, "mailEnabled": false,
		"mailNickname": strings.ToLower(strings.ReplaceAll(g.name, " ", ".")), "securityEnabled": true, "groupTypes": []string{},
	}
}

func siteObject(s site) directoryObject {
	return directoryObject{"id": s.id, "displayName": s.name, "name": s.webURL[strings.LastIndexByte(s.webURL, '/')+1:], "webUrl": s.webURL}
}

// directoryList is a collection of a directory.
type directoryList struct {
	context string
	typ     string // of its members, for messages
	last    int    // number of the last member
	// at returns member n, from 1: what is shown, and what is shown when asked for; nil when it is not there any more.
	at func(n int) (shown, more directoryObject)
	// only are the members that can fit a property; ok is false when that says nothing.
	only func(property, value string) (numbers []int, ok bool)
}

func listUsers(c *call) (*answer, *graphError) { return c.answerList(userList(c.tenant)) }

func userList(t *tenant) directoryList {
	d := t.dir
	return directoryList{
		context: "users", typ: "user", last: d.users,
		at: func(n int) (directoryObject, directoryObject) {
			u := d.user(n)
			if d.deleted(u) {
				return nil, nil
			}
			return userObject(u), userMore(u)
		},
		only: func(property, value string) ([]int, bool) {
			switch property {
			case "mail", "userPrincipalName":
				if n := d.numberOfName(Exchange, value); n > 0 {
					return []int{n}, true
				}
				return nil, true
			case "id":
				if u, found := d.userByID(value); found {
					return []int{u.number}, true
				}
				return nil, true
			}
			return nil, false
		},
	}
}

func getUser(c *call) (*answer, *graphError) {
	u, found := c.tenant.dir.userByID(c.param(0))
	if !found {
		u, found = c.tenant.dir.userByName(c.param(0))
	}
	if !found {
		return nil, noSuchObject(c.param(0))
	}
	return c.answerObject("users/$entity", "user", userObject(u), userMore(u))
}

func noSuchObject(id string) *graphError {
	return &graphError{
		status: http.StatusNotFound, code: codeNoSuchObject,
		message: "Resource '" + id + "' does not exist or one of its queried reference-property objects are not present.",
	}
}

func listGroups(c *call) (*answer, *graphError) { return c.answerList(groupList(c.tenant)) }

// groupList are the groups of a directory: those of the seed, the computed ones, and those of seeded policies.
func groupList(t *tenant) directoryList {
	var seeded []group
	for w := range t.units {
		if g, found := t.group(SeededGroupID(t.id, Workload(w))); found {
			seeded = append(seeded, g)
		}
	}
	return directoryList{
		context: "groups", typ: "group", last: t.dir.groups + len(seeded),
		at: func(n int) (directoryObject, directoryObject) {
			if n > t.dir.groups {
				return groupObject(seeded[n-t.dir.groups-1]), nil
			}
			return groupObject(t.dir.group(n)), nil
		},
	}
}

func getGroup(c *call) (*answer, *graphError) {
	g, found := c.tenant.group(c.param(0))
	if !found {
		return nil, noSuchObject(c.param(0))
	}
	return c.answerObject("groups/$entity", "group", groupObject(g), nil)
}

func listMembers(c *call) (*answer, *graphError) {
	g, found := c.tenant.group(c.param(0))
	if !found {
		return nil, noSuchObject(c.param(0))
	}
	return c.answerList(directoryList{
		context: "directoryObjects", typ: "directoryObject", last: len(g.members),
		at: func(n int) (o, more directoryObject) {
			id := g.members[n-1]
			if u, found := c.tenant.dir.userByID(id); found {
				o, more = userObject(u), userMore(u)
				o["@odata.type"] = odataType("user")
			} else if inner, found := c.tenant.group(id); found {
				o = groupObject(inner)
				o["@odata.type"] = odataType("group")
			}
			return o, more
		},
	})
}

func listSites(c *call) (*answer, *graphError) { return c.answerList(siteList(c.tenant)) }

func siteList(t *tenant) directoryList {
	return directoryList{
		context: "sites", typ: "site", last: t.dir.sites,
		at: func(n int) (directoryObject, directoryObject) { return siteObject(t.dir.site(n)), nil },
	}
}

func getSite(c *call) (*answer, *graphError) {
	s, found := c.tenant.dir.siteByID(c.param(0))
	if !found {
		return nil, noSuchSite()
	}
	return c.answerObject("sites/$entity", "site", siteObject(s), nil)
}

func noSuchSite() *graphError {
	return &graphError{status: http.StatusNotFound, code: codeNoSuchSite, message: "Requested site could not be found"}
}

// getSiteByPath answers /sites/HOST:/sites/NAME.
func getSiteByPath(c *call) (*answer, *graphError) {
	host, colon := strings.CutSuffix(c.param(0), ":")
	n := c.tenant.dir.numberOfName(SharePoint, "https://"+host+"/sites/"+c.param(1))
	if !colon || n == 0 {
		return nil, noSuchSite()
	}
	return c.answerObject("sites/$entity", "site", siteObject(c.tenant.dir.site(n)), nil)
}

// answerObject is one object, as far as $select asks for it.
func (c *call) answerObject(context, typ string, shown, more directoryObject) (*answer, *graphError) {
	values, refusal := c.options("$select")
	if refusal != nil {
		return nil, refusal
	}
	wanted, refusal := c.selected(values.Get("$select"), typ, shown, more)
	if refusal != nil {
		return nil, refusal
	}
	wanted["@odata.context"] = c.origin() + "/v1.0/$metadata#" + context
	return ok(wanted), nil
}

// selected are the properties that $select names, or those that are shown without one.
func (c *call) selected(names, typ string, shown, more directoryObject) (directoryObject, *graphError) {
	if names == "" {
		return shown, nil
	}
	wanted := directoryObject{}
	if kind, there := shown["@odata.type"]; there {
		wanted["@odata.type"] = kind
	}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		value, known := shown[name]
		if !known {
			value, known = more[name]
		}
		if !known && typ != "directoryObject" {
			return nil, refuse(c.r.Method, codeBadRequest,
				"Parsing OData Select and Expand failed: Could not find a property named '%s' on type 'microsoft.graph.%s'.", name, typ).about(name)
		}
		if known {
			wanted[name] = value
		}
	}
	return wanted, nil
}

// answerList is one page of a collection.
func (c *call) answerList(l directoryList) (*answer, *graphError) {
	q, refusal := c.readQuery("$top", "$filter", "$select", "$count", "$search", "$orderby")
	if refusal != nil {
		return nil, refusal
	}
	values := c.r.URL.Query()
	for _, option := range []string{"$search", "$orderby"} {
		// Graph has them, with rules of their own; a program that uses them must not think that they worked.
		if values.Has(option) {
			return nil, refuse(c.r.Method, codeBadRequest, "The emulator knows no %s here.", option).about(option)
		}
	}
	search := values.Get("search")
	f, refusal := parseDirectoryFilter(q.filter, l.typ)
	if refusal != nil {
		return nil, refusal
	}
	page := map[string]any{"@odata.context": c.origin() + "/v1.0/$metadata#" + l.context}
	found := []directoryObject{}
	count, more := 0, false
	counting := values.Get("$count") == "true"
	for n := range l.numbers(f) {
		if n <= q.from.position && !counting {
			continue
		}
		shown, hidden := l.at(n)
		if shown == nil || f != nil && !f.Matches(func(x *directoryComparison) bool { return x.holds(shown, hidden) }) || !searched(shown, search) {
			continue
		}
		count++
		if n <= q.from.position || more {
			continue
		}
		if len(found) == q.top {
			page["@odata.nextLink"], more = c.nextPage(q), true
			if !counting {
				break
			}
			continue
		}
		wanted, refusal := c.selected(values.Get("$select"), l.typ, shown, hidden)
		if refusal != nil {
			return nil, refusal
		}
		found, q.from.position = append(found, wanted), n
	}
	page["value"] = found
	if counting {
		page["@odata.count"] = count
	}
	if c.nextLink != nil {
		page["@odata.nextLink"] = *c.nextLink
		if *c.nextLink == "" {
			delete(page, "@odata.nextLink")
		}
	}
	return ok(page), nil
}

// numbers are those of the members that a filter can let through, in order.
func (l *directoryList) numbers(f *directoryFilter) func(yield func(int) bool) {
	if f != nil && l.only != nil {
		if numbers, pinned := f.pinned(l.only); pinned {
			slices.Sort(numbers)
			return slices.Values(slices.Compact(numbers))
		}
	}
	return func(yield func(int) bool) {
		for n := 1; n <= l.last; n++ {
			if !yield(n) {
				return
			}
		}
	}
}

// searched tells whether a site fits the search of a list: "*" and nothing fit all.
func searched(o directoryObject, search string) bool {
	search = strings.ToLower(strings.Trim(search, `"*`))
	if search == "" {
		return true
	}
	for _, name := range []string{"displayName", "webUrl"} {
		if text, ok := o[name].(string); ok && strings.Contains(strings.ToLower(text), search) {
			return true
		}
	}
	return false
}

// controlPage reads top and skip of a control call.
func (in *controlRequest) controlPage() (top, skip int, err error) {
	top = defaultPageSize
	for name, to := range map[string]*int{"top": &top, "skip": &skip} {
		if text := in.query.Get(name); text != "" {
			if *to, err = strconv.Atoi(text); err != nil || *to < 0 || *to > maxSeeded {
				return 0, 0, controlNumber(name, text)
			}
		}
	}
	return top, skip, nil
}
