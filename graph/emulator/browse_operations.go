package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// browseOrder compares items; "" is by name. What is equal but for the case of
// letters goes by path, and paths are unique.
func browseOrder(order string) func(a, b item) int {
	return func(a, b item) int {
		n := strings.Compare(strings.ToLower(a.name()), strings.ToLower(b.name()))
		if n == 0 || strings.HasPrefix(order, "path") {
			n = strings.Compare(a.path, b.path)
		}
		if strings.HasSuffix(order, "Dsc") {
			return -n
		}
		return n
	}
}

func (c *call) badBrowse(format string, args ...any) *graphError {
	return refuse(c.r.Method, codeBadRequest, format, args...)
}

// browseOf finds the browse session that the path names. The documentation has
// no codes for browsing; an expired session is one that does not exist.
func (c *call) browseOf(w Workload) (*browseSession, *graphError) {
	id := c.param(0)
	if id == "" || len(id) > 128 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return nil, c.badBrowse("The browse session id is malformed.")
	}
	b := c.tenant.vault.browse(id)
	if b == nil || b.workload != w {
		return nil, refuse(c.r.Method, codeNotFound, "There is no such browse session, or it has expired.")
	}
	return b, nil
}

// listBrowses makes the handler that lists the sessions of some workloads.
func listBrowses(where string, workloads ...Workload) handler {
	return func(c *call) (*answer, *graphError) {
		options := []string{"$top"}
		if len(workloads) == 1 {
			options = nil // as the documentation says
		}
		q, err := c.readQuery(options...)
		if err != nil {
			return nil, err
		}
		shown := slices.Clone(c.tenant.vault.browses)
		shown = slices.DeleteFunc(shown, func(b *browseSession) bool { return !slices.Contains(workloads, b.workload) })
		return listing(c, q, where, shown,
			func(b *browseSession) int { return b.order }, func(b *browseSession) any { return b.typedView() }), nil
	}
}

func getBrowse(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		b, err := c.browseOf(w)
		if err != nil {
			return nil, err
		}
		v := b.view()
		v.Context = c.context("/" + w.info().name + "BrowseSessions/$entity")
		return ok(v), nil
	}
}

func createBrowse(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		fields, ok := readObject(c.body)
		if !ok || unknownField(fields, "restorePointId") != "" {
			return nil, c.badBrowse("The body is not an object with restorePointId alone.")
		}
		var id string
		_ = json.Unmarshal(fields["restorePointId"], &id) // what is no string names no point
		p := c.tenant.findPoint(id, c.now)
		if p == nil || p.unit.workload != w || !p.fast() || !p.kept(c.now) {
			return nil, refuse(c.r.Method, "InvalidRestorePoint", "restorePointId is not that of a restore point of a %s with the tag fastRestore.", w.info().thing)
		}
		b := c.tenant.newBrowse(*p, c.itemFault(id, p.unit.id, p.unit.object), c.cause())
		v := b.view()
		v.Context = c.context("/" + w.info().name + "BrowseSessions/$entity")
		return &answer{status: http.StatusCreated, body: v}, nil
	}
}

type browsePage struct {
	Context  string        `json:"@odata.context"`
	Count    int           `json:"@odata.count"` // of this page
	NextLink string        `json:"@odata.nextLink,omitempty"`
	Value    []browsedItem `json:"value"`
}

// startBrowse makes the handler of the POST that asks, nextBrowse of the GET
// that follows its next link.
func startBrowse(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		b, err := c.browseOf(w)
		if err != nil {
			return nil, err
		}
		q, err := c.readBrowse(b)
		if err != nil {
			return nil, err
		}
		return c.browsed(b, q)
	}
}

func nextBrowse(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		b, err := c.browseOf(w)
		if err != nil {
			return nil, err
		}
		values, err := c.options("$skiptoken")
		if err != nil {
			return nil, err
		}
		token := values.Get("$skiptoken")
		if len(c.params) > 1 { // the function takes it as its parameter
			token = c.param(1)
		}
		q, ok := c.readBrowseToken(b, token)
		if !ok {
			return nil, c.badBrowse("The $skiptoken is not one that this browse session gave out.")
		}
		return c.browsed(b, q)
	}
}

func (c *call) browsed(b *browseSession, q browseQuery) (*answer, *graphError) {
	if b.status != browseCreated {
		return nil, refuse(c.r.Method, codeNotAllowed, "The browse session is %s; it must be created to be browsed.", b.status)
	}
	var only *expression.Query
	if q.Filter != "" {
		var wrong *expression.SyntaxError
		if only, wrong = expression.ParseQuery(q.Filter, expression.BrowseVocabulary()); wrong != nil {
			return nil, c.badBrowse("%s", wrong.Message).about("filter")
		}
	}
	items, more := c.tenant.found(b, q, only)
	page := browsePage{
		Context: c.origin() + "/v1.0/$metadata#Collection(microsoft.graph.browseQueryResponseItem)",
		Count:   len(items), Value: items,
	}
	if more {
		q.Skip += len(items)
		page.NextLink = c.url("/" + b.typeName() + "s/" + b.id + "/browse?$skiptoken=" + c.browseToken(b, q))
	}
	if c.nextLink != nil {
		page.NextLink = *c.nextLink
	}
	return ok(page), nil
}

// readBrowse reads the body; an empty one asks for the top.
func (c *call) readBrowse(b *browseSession) (q browseQuery, _ *graphError) {
	if len(strings.TrimSpace(string(c.body))) == 0 {
		return q, nil
	}
	fields, ok := readObject(c.body)
	if !ok {
		return q, c.badBrowse("The body is not a JSON object.")
	}
	var resource string
	names := []string{"browseLocationItemKey", "browseResourceType", "filter", "orderBy"}
	if unknown := unknownField(fields, names...); unknown != "" {
		return q, c.badBrowse("Browsing knows no property %q.", unknown)
	}
	for i, into := range []*string{&q.Location, &resource, &q.Filter, &q.Order} {
		if name := names[i]; !readField(fields, name, into) {
			return q, c.badBrowse("%s is not a string.", name).about(name)
		}
	}
	switch q.Order {
	case "", "pathAsc", "pathDsc", "nameAsc", "nameDsc":
	default:
		return q, c.badBrowse("orderBy is none of pathAsc, pathDsc, nameAsc, nameDsc.").about("orderBy")
	}
	switch resource {
	case "", "none", itemSite, itemLibrary, itemFolder:
	default:
		return q, c.badBrowse("browseResourceType is none of none, site, documentLibrary, folder.").about("browseResourceType")
	}
	if q.Location == "" {
		if resource != "" && resource != "none" {
			return q, c.badBrowse("browseResourceType needs a browseLocationItemKey.").about("browseLocationItemKey")
		}
		return q, nil
	}
	if !isItemKey(q.Location) {
		return q, c.badBrowse("browseLocationItemKey is malformed.").about("browseLocationItemKey")
	}
	location, found := itemByKey(c.tenant.tree(c.tenant.placeOf(b.workload, b.point.unit.number), b.point.at), q.Location)
	switch {
	case !found:
		return q, refuse(c.r.Method, codeNotFound, "The restore point holds no item with this key.")
	case location.kind == itemFile:
		return q, c.badBrowse("A file cannot be browsed.").about("browseLocationItemKey")
	case resource != "" && resource != "none" && resource != location.kind:
		return q, c.badBrowse("The item is a %s, not a %s.", location.kind, resource).about("browseResourceType")
	}
	return q, nil
}

// browseToken carries the whole query. It is tied to the session's id besides the
// path, in which the case of letters is lost.
func (c *call) browseToken(b *browseSession, q browseQuery) string {
	payload, err := json.Marshal(q)
	if err != nil {
		panic("emulator: own token cannot be encoded: " + err.Error())
	}
	return c.sealedFor(browseTokens, payload, b.id)
}

func (c *call) readBrowseToken(b *browseSession, token string) (q browseQuery, ok bool) {
	payload, ok := c.unsealedFor(browseTokens, token, b.id)
	ok = ok && json.Unmarshal(payload, &q) == nil
	return q, ok
}
