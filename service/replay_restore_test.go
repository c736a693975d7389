//go:build reference

package service_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// search finds one restore point of a unit. more are further properties of the search.
func (r *replay) search(unit string, more map[string]any) created {
	r.TB.Helper()
	body := map[string]any{"protectionUnitIds": []string{unit}}
	maps.Copy(body, more)
	found := r.ask(http.MethodPost, "/restorePoints/search", body)
	if len(found.SearchResults) != 1 {
		r.TB.Fatalf("%d restore points of %s", len(found.SearchResults), unit)
	}
	return found
}

// point is a restore point that can be restored from and browsed.
func (r *replay) point(unit string) string {
	r.TB.Helper()
	return r.search(unit, map[string]any{"tags": "fastRestore"}).SearchResults[0].RestorePoint.ID
}

// sessions is the path of the workload's restore sessions.
func (r *replay) sessions() string {
	return "/" + strings.TrimSuffix(r.l.collection, "ProtectionPolicies") + "RestoreSessions"
}

// makeSession creates a draft with what the example reads or removes.
func (r *replay) makeSession() string {
	r.TB.Helper()
	text, _ := json.Marshal(r.body)
	lower := strings.ToLower(r.path + string(text))
	switch {
	case strings.Contains(lower, "bulkadditionrequests"):
		// A session has either single artifacts or a bulk request.
		return r.ask(http.MethodPost, r.sessions(), nil).ID
	case strings.Contains(lower, "granular"):
		return r.makeGranularSession()
	}
	destination := "inPlace"
	if strings.Contains(lower, `"new"`) {
		destination = "new" // all artifacts of a session go to the same
	}
	var artifacts []any
	for n := range 3 {
		artifacts = append(artifacts, map[string]any{
			"restorePoint": map[string]any{"id": r.point(r.unitID(firstMember + n))}, "destinationType": destination})
	}
	list := r.thing() + "RestoreArtifacts"
	session := r.ask(http.MethodPost, r.sessions(), map[string]any{list: artifacts}).ID
	for _, artifact := range r.ask(http.MethodGet, r.sessions()+"/"+session+"/"+list, nil).Value {
		r.spare["member"] = append(r.spare["member"], artifact.ID)
	}
	return session
}

func (r *replay) makeGranularSession() string {
	r.TB.Helper()
	browse := r.makeBrowse()
	item := r.take("item")
	r.spare["member"] = []string{item}
	list := map[string]string{"drive": "granularDriveRestoreArtifacts", "site": "granularSiteRestoreArtifacts"}[r.thing()]
	return r.ask(http.MethodPost, r.sessions(), map[string]any{list: []any{map[string]any{"browseSessionId": browse, "id": item}}}).ID
}

// makeRequest adds a bulk request to the session of the path, activates the session, and waits until the request ended.
func (r *replay) makeRequest() string {
	r.TB.Helper()
	parent := ""
	for key, id := range r.real {
		if strings.HasPrefix(key, "session ") {
			parent = id
		}
	}
	list := map[string]string{"mailbox": "mailboxes", "drive": "drives", "site": "siteWebUrls"}[r.thing()]
	request := r.ask(http.MethodPost, r.sessions()+"/"+parent+"/"+r.thing()+"RestoreArtifactsBulkAdditionRequests", map[string]any{
		"displayName": "Ours", list: []string{r.address(firstMember)}, "destinationType": "inPlace"})
	r.ask(http.MethodPost, "/restoreSessions/"+parent+"/activate", nil)
	r.advance(10 * time.Minute)
	return request.ID
}

// browses is the path of the workload's browse sessions.
func (r *replay) browses() string {
	return strings.Replace(r.sessions(), "RestoreSessions", "BrowseSessions", 1)
}

// makeBrowse creates one browse session, and keeps the keys of its site and of files for the example.
func (r *replay) makeBrowse() string {
	r.TB.Helper()
	if made := r.spare["browse"]; made != nil {
		return made[0]
	}
	id := r.ask(http.MethodPost, r.browses(), map[string]any{"restorePointId": r.point(r.unitID(firstProtected))}).ID
	r.spare["browse"] = []string{id}
	for _, site := range r.browse(id, nil).Value {
		r.spare["location"] = append(r.spare["location"], site.ItemKey)
	}
	for _, file := range r.browse(id, map[string]any{"filter": "name -contains 'note'"}).Value {
		r.spare["item"] = append(r.spare["item"], file.ItemKey)
	}
	return id
}

func (r *replay) browse(session string, body any) created {
	r.TB.Helper()
	return r.ask(http.MethodPost, r.browses()+"/"+session+"/browse", body)
}

// makeToken is the skip token of the second page of all files, which are more than one page.
func (r *replay) makeToken() string {
	r.TB.Helper()
	page := r.browse(r.makeBrowse(), map[string]any{"filter": "name -contains 'report'"})
	link, err := url.Parse(page.NextLink)
	if err != nil || link.Query().Get("$skiptoken") == "" {
		r.TB.Fatalf("no token in %q: %v", page.NextLink, err)
	}
	return link.Query().Get("$skiptoken")
}
