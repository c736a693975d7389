//go:build reference

package service_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

const guidPattern = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`

var (
	aGUID   = regexp.MustCompile(`^` + guidPattern + `$`)
	guids   = regexp.MustCompile(guidPattern)
	aSite   = regexp.MustCompile(`^[^,\s]+,` + guidPattern + `,` + guidPattern + `$`)
	aBrowse = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// shapes are the forms of ids by kind. An id of another form is a mistake in the example: nothing can have it, and it
// is sent unchanged. Ids of points, searches and items are opaque, so any text can be one.
var shapes = map[string]*regexp.Regexp{
	"tenant": aGUID, "policy": aGUID, "unit": aGUID, "user": aGUID, "group": aGUID, "rule": aGUID, "job": aGUID, "app": aGUID,
	"session": aGUID, "request": aGUID, "site": aSite, "browse": aBrowse,
}

// inPath are the kinds of the ids after a path segment, by the end of the segment.
var inPath = []struct{ segment, kind string }{
	{"serviceapps", "app"}, {"protectionpolicies", "policy"}, {"protectionunits", "unit"}, {"restoresessions", "session"},
	{"browsesessions", "browse"}, {"inclusionrules", "rule"}, {"inclionrules", "rule"}, {"bulkadditionjobs", "job"},
	{"bulkadditionrequests", "request"},
}

// inBody are the kinds of the ids in a property.
var inBody = map[string]string{
	"appOwnerTenantId": "tenant", "directoryObjectId": "user", "directoryObjectIds": "user", "userId": "user",
	"siteId": "site", "siteIds": "site", "mailboxes": "address", "drives": "address", "siteWebUrls": "address",
	"restorePointId": "point", "searchResponseId": "search", "browseSessionId": "browse", "protectionUnitIds": "unit",
	"browseLocationItemKey": "location",
}

// realPath is the path of the example with ids of the emulator. Braces around an id stay.
func (r *replay) realPath() string {
	r.TB.Helper()
	path, query, hasQuery := strings.Cut(r.path, "?")
	segments := strings.Split(path, "/")
	for i := 1; i < len(segments); i++ {
		for _, in := range inPath {
			if !strings.HasSuffix(strings.ToLower(segments[i-1]), in.segment) || strings.HasPrefix(segments[i], "microsoft.graph.") {
				continue
			}
			bare := strings.Trim(segments[i], "{}")
			if !aGUID.MatchString(bare) && bare != segments[i] {
				continue // the name of a template, not an id in braces
			}
			segments[i] = strings.Replace(segments[i], bare, r.id(in.kind, bare), 1)
		}
	}
	if r.method == http.MethodGet {
		// A list has to have something in it.
		for _, in := range inPath {
			if strings.HasSuffix(strings.ToLower(segments[len(segments)-1]), in.segment) {
				r.make(in.kind)
				break
			}
		}
	}
	path = strings.Join(segments, "/")
	if !hasQuery {
		return path
	}
	query = guids.ReplaceAllStringFunc(query, func(id string) string { return r.id("unit", id) })
	if before, _, ok := strings.Cut(query, "$skiptoken="); ok {
		query = before + "$skiptoken=" + r.id("token", "")
	}
	if before, _, ok := strings.Cut(query, "protectionDateTime lt "); ok {
		query = before + "protectionDateTime lt " + r.ago(0)
	}
	return path + "?" + query
}

// realBody is a value of the body with ids of the emulator. The value is in the property key of object, and object is
// in the property parent.
func (r *replay) realBody(value any, key, parent string, object map[string]any) any {
	r.TB.Helper()
	switch v := value.(type) {
	case map[string]any:
		// What is created for an id may depend on earlier ones, so the order is fixed.
		changed := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			changed[name] = r.realBody(v[name], name, key, v)
		}
		return changed
	case []any:
		changed := make([]any, len(v))
		for i, element := range v {
			changed[i] = r.realBody(element, key, parent, object)
		}
		return changed
	case string:
		return r.realText(v, key, parent, object)
	}
	return value
}

func (r *replay) realText(text, key, parent string, object map[string]any) string {
	r.TB.Helper()
	if kind := inBody[key]; kind != "" {
		return r.id(kind, text)
	}
	switch key {
	case "id", "@odata.id":
		switch {
		case parent == "restorePoint":
			return r.id("point", text)
		case object["@removed"] != nil:
			return r.id("member", text)
		case object["browseSessionId"] != nil:
			return r.id("item", text)
		}
	case "startDateTime":
		return r.ago(7 * 24 * time.Hour)
	case "endDateTime":
		return r.ago(0)
	case "effectiveDateTime":
		// A date that cannot be read is a mistake in the example and stays.
		if _, err := time.Parse(time.RFC3339, text); err == nil {
			return r.ago(-10 * 24 * time.Hour)
		}
	case "mailboxExpression", "driveExpression":
		return guids.ReplaceAllStringFunc(text, func(id string) string { return r.id("group", id) })
	}
	return text
}

func (r *replay) ago(d time.Duration) string {
	return r.Emulator.Clock().Now().Add(-d).UTC().Format(time.RFC3339)
}

// id is the id in the emulator that stands for one of the example.
func (r *replay) id(kind, given string) string {
	r.TB.Helper()
	if shape := shapes[kind]; shape != nil && !shape.MatchString(given) {
		return given
	}
	key := kind + " " + given
	if r.real[key] == "" {
		r.real[key] = r.make(kind)
	}
	return r.real[key]
}
