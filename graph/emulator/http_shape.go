package emulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shape is how a client wants the answer to a read: the options that all of
// Graph's services have in common. Handlers know nothing of it but the count.
type shape struct {
	fields []string // of $select; nil for all
	expand []expansion
	count  bool // of all that a list has, whatever its pages show
}

// expansion is one name of $expand with the options in its brackets.
type expansion struct{ name, query string }

// shapes tells whether a route takes the options. Microsoft's pages say of some
// lists that they take none.
func (rt *route) shapes() bool {
	if rt.method != http.MethodGet || rt.area != areaBackup { // the directory has properties and filters of its own
		return false
	}
	last := rt.template[strings.LastIndexByte(rt.template, '/')+1:]
	return !strings.Contains(rt.template, "BrowseSessions") && !strings.Contains(rt.template, "BulkAdditionRequests") &&
		!strings.HasPrefix(last, "granularDrive") && !strings.HasPrefix(last, "granularSite") && !strings.Contains(rt.template, "/browse(")
}

// isList tells whether a route answers with pages.
func (rt *route) isList() bool {
	switch last := rt.template[strings.LastIndexByte(rt.template, '/')+1:]; last {
	case "", "emailNotificationsSetting", "browse", "restorePoint", "protectionUnit", "$count":
		return false
	default:
		return rt.method == http.MethodGet && !strings.HasSuffix(last, "}") && !strings.HasSuffix(last, ")")
	}
}

// common are the names of the options that readShape reads.
func (rt *route) common() []string {
	switch {
	case !rt.shapes():
		return nil
	case rt.isList():
		return []string{"$select", "$expand", "$count"}
	}
	return []string{"$select", "$expand"}
}

// readShape reads the options that the route has in common with all others.
func (c *call) readShape() *graphError {
	values, err := c.query()
	if err != nil || !c.route.shapes() {
		return nil // which the handler looks at
	}
	for _, name := range c.route.common() {
		if len(values[name]) > 1 {
			return refuse(c.r.Method, codeBadRequest, "The option %s is given more than once.", name).about(name)
		}
	}
	if values.Has("$count") && c.route.isList() {
		switch values.Get("$count") {
		case "true":
			c.shape.count = true
		case "false":
		default:
			return refuse(c.r.Method, codeBadRequest, "$count is neither true nor false.").about("$count")
		}
	}
	if values.Has("$select") {
		known := c.route.properties()
		for name := range strings.SplitSeq(values.Get("$select"), ",") {
			name = strings.TrimSpace(name)
			if name != "*" && !slices.Contains(known, name) {
				return refuse(c.r.Method, codeBadRequest, "There is no property %.60q to select.", name).about("$select")
			}
			c.shape.fields = append(c.shape.fields, name)
		}
		if slices.Contains(c.shape.fields, "*") {
			c.shape.fields = nil
		}
	}
	if !values.Has("$expand") || c.route.template == "/restorePoints" { // whose $expand chooses the unit
		return nil
	}
	for _, x := range splitExpand(values.Get("$expand")) {
		if rt, _, _ := c.e.router.find(http.MethodGet, c.below("x", x.name)); rt == nil {
			return refuse(c.r.Method, codeBadRequest, "There is no property %.60q to expand.", x.name).about("$expand")
		}
		c.shape.expand = append(c.shape.expand, x)
	}
	return nil
}

// splitExpand reads name, name($select=a,b;$top=2).
func splitExpand(text string) []expansion {
	var all []expansion
	depth, from := 0, 0
	for i := 0; i <= len(text); i++ {
		switch {
		case i < len(text) && text[i] == '(':
			depth++
		case i < len(text) && text[i] == ')':
			depth--
		case i == len(text) || text[i] == ',' && depth == 0:
			name, options, _ := strings.Cut(strings.TrimSpace(text[from:i]), "(")
			var query []string
			for option := range strings.SplitSeq(strings.TrimSuffix(options, ")"), ";") {
				if key, value, found := strings.Cut(option, "="); found {
					query = append(query, url.QueryEscape(strings.TrimSpace(key))+"="+url.QueryEscape(value))
				}
			}
			all = append(all, expansion{name: name, query: strings.Join(query, "&")})
			from = i + 1
		}
	}
	return all
}

// below is the path to what one of the route's resources has under a name. The
// id is needed where the route is a list.
func (c *call) below(id, name string) []string {
	path := slices.Clone(c.segments)
	if c.route.isList() {
		path = append(path, id)
	}
	return append(path, name)
}

// reshape gives an answer its shape.
func (c *call) reshape(a *answer) *graphError {
	if c.shape.fields == nil && c.shape.expand == nil || a.body == nil {
		return nil
	}
	data, err := json.Marshal(a.body)
	if err != nil {
		panic("emulator: own answer cannot be encoded: " + err.Error())
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // numbers stay as they are written
	var whole map[string]any
	if err := decoder.Decode(&whole); err != nil {
		panic("emulator: own answer cannot be read: " + err.Error())
	}
	resources := []any{whole}
	if c.route.isList() {
		resources, _ = whole["value"].([]any)
	}
	for _, one := range resources {
		resource, _ := one.(map[string]any)
		id, _ := resource["id"].(string)
		if c.shape.fields != nil {
			for name := range resource {
				if !strings.Contains(name, "@") && !slices.Contains(c.shape.fields, name) {
					delete(resource, name)
				}
			}
		}
		for _, x := range c.shape.expand {
			if err := c.expandInto(resource, id, x); err != nil {
				return err
			}
		}
	}
	a.body = whole
	return nil
}

// expandInto asks for what the resource has under a name, as a client would.
func (c *call) expandInto(resource map[string]any, id string, x expansion) *graphError {
	sub := *c
	sub.shape, sub.nextLink = shape{}, nil
	sub.segments = c.below(id, x.name)
	sub.route, sub.params, _ = c.e.router.find(http.MethodGet, sub.segments)
	if err := c.caller.check(sub.route); err != nil {
		return err
	}
	sub.r = c.r.Clone(c.r.Context())
	sub.r.URL = &url.URL{Path: "/v1.0/solutions/backupRestore/" + strings.Join(sub.segments, "/"), RawQuery: x.query}
	a, err := sub.do()
	if err != nil {
		return err
	}
	data, failed := json.Marshal(a.body)
	if failed != nil {
		panic("emulator: own answer cannot be encoded: " + failed.Error())
	}
	if !sub.route.isList() {
		resource[x.name] = json.RawMessage(data)
		return nil
	}
	var page map[string]json.RawMessage
	if err := json.Unmarshal(data, &page); err != nil {
		panic("emulator: own answer cannot be read: " + err.Error())
	}
	resource[x.name] = page["value"]
	for _, name := range []string{"@odata.context", "@odata.count", "@odata.nextLink"} {
		if value := page[name]; value != nil {
			resource[x.name+name] = value
		}
	}
	return nil
}

// do has the route's handler do the work and gives the answer its shape.
func (c *call) do() (*answer, *graphError) {
	if err := c.readShape(); err != nil {
		return nil, err
	}
	a, err := c.route.handle(c)
	if err == nil {
		err = c.reshape(a)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// counts are the routes that answer with the number of a list's resources.
func counts(routes []*route) []*route {
	var all []*route
	for _, rt := range routes {
		if !rt.isList() || !rt.shapes() {
			continue
		}
		all = append(all, &route{
			method: http.MethodGet, template: rt.template + "/$count", permission: rt.permission, gate: rt.gate,
			handle: func(c *call) (*answer, *graphError) {
				c.shape = shape{count: true}
				a, err := rt.handle(c)
				if err != nil {
					return nil, err
				}
				page, _ := a.body.(collection)
				return &answer{status: http.StatusOK, text: strconv.Itoa(*page.Count)}, nil
			},
		})
	}
	return all
}

// maxPageSize is what the client prefers a page to be at most; 0 for no such
// preference.
func (c *call) maxPageSize() int {
	for _, name := range []string{"odata.maxpagesize", "maxpagesize"} {
		if value, given := c.preference(name); given {
			if n, err := strconv.Atoi(strings.Trim(value, `" `)); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}
