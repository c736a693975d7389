package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

const (
	driveBrowses = "/oneDriveForBusinessBrowseSessions"
	siteBrowses  = "/sharePointBrowseSessions"
)

// browse asks and follows the next links; it returns all names in order, and
// how many there are on each page.
func (w *world) browse(path string, body any) (names []string, pages []int, last *reply) {
	w.t.Helper()
	last = w.do(http.MethodPost, path+"/browse", body).want(200)
	for {
		for _, v := range last.list("value") {
			names = append(names, v.(map[string]any)["name"].(string))
		}
		pages = append(pages, len(last.list("value")))
		if got := last.at("").(map[string]any)["@odata.count"]; fmt.Sprint(got) != fmt.Sprint(pages[len(pages)-1]) {
			w.t.Errorf("@odata.count = %v on a page of %d", got, pages[len(pages)-1])
		}
		next := nextLink(last)
		if next == "" {
			return names, pages, last
		}
		if !strings.HasPrefix(next, w.server.URL+root+path+"/browse?$skiptoken=") {
			w.t.Fatalf("next link %s", next)
		}
		last = w.send(http.MethodGet, next, nil).want(200)
	}
}

// key finds the item key of a name below a session.
func (w *world) key(path, name string) string {
	w.t.Helper()
	return w.do(http.MethodPost, path+"/browse", map[string]any{"filter": "name -eq '" + name + "'"}).want(200).str("value.0.itemKey")
}

func TestABrowseSessionShowsWhatARestorePointHolds(t *testing.T) {
	w := restorable(t)
	point := w.fastPoint(driveUnit(1))
	r := w.do(http.MethodPost, driveBrowses, map[string]any{"restorePointId": point}).want(201)
	r.eq("status", "created").eq("directoryObjectId", user(1)).eq("expirationDateTime", "2030-01-05T03:04:05.6000000Z").eq("siteId", nil)
	path := driveBrowses + "/" + r.str("id")
	if n := len(r.str("id")); n < 47 || n > 50 {
		t.Errorf("the id has %d characters", n)
	}
	w.get(path).want(200).eq("backupSizeInBytes", r.str("backupSizeInBytes"))

	top := w.do(http.MethodPost, path+"/browse", nil).want(200)
	top.eq("value.0.type", "site").eq("value.0.name", "Bruno Berg").eq("value.1", nil)
	look := func(key, kind string) (names []string, pages []int, last *reply) {
		return w.browse(path, map[string]any{"browseLocationItemKey": key, "browseResourceType": kind})
	}
	site := top.str("value.0.itemKey")
	names, _, last := look(site, "site")
	if fmt.Sprint(names) != "[Documents]" {
		t.Errorf("in the site: %v", names)
	}
	library := last.eq("value.0.type", "documentLibrary").str("value.0.itemKey")
	names, _, last = look(library, "documentLibrary")
	if fmt.Sprint(names) != "[note 1.txt note 2.txt note 3.txt note 4.txt Projects Reports]" {
		t.Errorf("in the library: %v", names)
	}
	last.eq("value.4.type", "folder").eq("value.4.itemsCount", 2).eq("value.0.itemsCount", 0).eq("value.0.sizeInBytes", "101")
	reports := last.str("value.5.itemKey")
	for key, guids := range map[string]int{site: 2, library: 3, reports: 4} {
		if n := len(strings.Split(key, ",")); n != guids {
			t.Errorf("key %s has %d GUIDs, want %d", key, n, guids)
		}
	}
	names, pages, _ := look(reports, "folder")
	if len(names) != 23 || fmt.Sprint(pages) != "[10 10 3]" {
		t.Errorf("%d reports on pages %v", len(names), pages)
	}
	names, _, _ = w.browse(path, map[string]any{"browseLocationItemKey": library, "filter": "(name -contains 'plan') -or name -like '*01.docx'", "orderBy": "pathDsc"})
	if fmt.Sprint(names) != "[report 01.docx plan.xlsx old plan.xlsx]" {
		t.Errorf("found %v", names)
	}
	names, _, _ = w.browse(path, map[string]any{"browseLocationItemKey": reports, "orderBy": "nameDsc", "filter": "name -contains 'report'"})
	if len(names) != 23 || names[0] != "report 23.docx" {
		t.Errorf("found %v", names)
	}
}

func TestBrowsingRefusals(t *testing.T) {
	w := restorable(t)
	drive := driveBrowses + "/" + w.browsing(driveBrowses, driveUnit(1))
	other := driveBrowses + "/" + w.browsing(driveBrowses, driveUnit(2))
	slow := ""
	for _, p := range w.get(pointQuery(driveUnit(1), soon, "")).list("value") {
		if m := p.(map[string]any); m["tags"] == "none" {
			slow = m["id"].(string)
		}
	}
	file, folder := w.key(drive, "note 1.txt"), w.key(drive, "Reports")
	token := nextLink(w.do(http.MethodPost, drive+"/browse", map[string]any{"browseLocationItemKey": folder}))
	token = token[strings.LastIndexByte(token, '=')+1:]
	at := func(key string) map[string]any { return map[string]any{"browseLocationItemKey": key} }
	for _, tc := range []struct {
		name, method, path string
		body               any
		status             int
		code               string
	}{
		{"create without a body", "POST", driveBrowses, nil, 400, "BadRequest"},
		{"create with a misspelt property", "POST", driveBrowses, map[string]any{"restorePointID": slow}, 400, "BadRequest"},
		{"create without a point", "POST", driveBrowses, map[string]any{}, 400, "InvalidRestorePoint"},
		{"create with a point that is none", "POST", driveBrowses, map[string]any{"restorePointId": "x_1_14_1"}, 400, "InvalidRestorePoint"},
		{"create with a point that is not fast", "POST", driveBrowses, map[string]any{"restorePointId": slow}, 400, "InvalidRestorePoint"},
		{"create with a point of a mailbox", "POST", driveBrowses, map[string]any{"restorePointId": w.fastPoint(mailboxUnit(1))}, 400, "InvalidRestorePoint"},
		{"create with a point of a site", "POST", driveBrowses, map[string]any{"restorePointId": w.fastPoint(siteUnit(1))}, 400, "InvalidRestorePoint"},
		{"get a malformed id", "GET", driveBrowses + "/a.b", nil, 400, "BadRequest"},
		{"get an unknown id", "GET", driveBrowses + "/abc", nil, 404, "ResourceNotFound"},
		{"get one of the other workload", "GET", strings.Replace(drive, driveBrowses, siteBrowses, 1), nil, 404, "ResourceNotFound"},
		{"browse an unknown session", "POST", driveBrowses + "/abc/browse", nil, 404, "ResourceNotFound"},
		{"browse with a list", "POST", drive + "/browse", "[]", 400, "BadRequest"},
		{"browse with a misspelt property", "POST", drive + "/browse", map[string]any{"orderby": "nameAsc"}, 400, "BadRequest"},
		{"browse in an unknown order", "POST", drive + "/browse", map[string]any{"orderBy": "size"}, 400, "BadRequest"},
		{"browse with a malformed filter", "POST", drive + "/browse", map[string]any{"filter": "name contains 'x'"}, 400, "BadRequest"},
		{"browse with a filter on another property", "POST", drive + "/browse", map[string]any{"filter": "size -eq '1'"}, 400, "BadRequest"},
		{"browse with a filter that is no text", "POST", drive + "/browse", map[string]any{"filter": 1}, 400, "BadRequest"},
		{"browse a type without a place", "POST", drive + "/browse", map[string]any{"browseResourceType": "folder"}, 400, "BadRequest"},
		{"browse an unknown type", "POST", drive + "/browse", map[string]any{"browseResourceType": "file"}, 400, "BadRequest"},
		{"browse a folder as a library", "POST", drive + "/browse", map[string]any{"browseLocationItemKey": folder, "browseResourceType": "documentLibrary"}, 400, "BadRequest"},
		{"browse a file", "POST", drive + "/browse", at(file), 400, "BadRequest"},
		{"browse a malformed place", "POST", drive + "/browse", at("a,b"), 400, "BadRequest"},
		{"browse an unknown place", "POST", drive + "/browse", at(stranger + "," + stranger), 404, "ResourceNotFound"},
		{"browse another drive's place", "POST", other + "/browse", at(folder), 404, "ResourceNotFound"},
		{"go on without a token", "GET", drive + "/browse", nil, 400, "BadRequest"},
		{"go on with a made-up token", "GET", drive + "/browse?$skiptoken=AAAAAAAAAAAAAAAA", nil, 400, "BadRequest"},
		{"go on with another session's token", "GET", other + "/browse?$skiptoken=" + token, nil, 400, "BadRequest"},
		{"go on with another option", "GET", drive + "/browse?$top=3&$skiptoken=" + token, nil, 400, "BadRequest"},
		{"list with an option", "GET", driveBrowses + "?$top=1", nil, 400, "BadRequest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() { w.do(tc.method, tc.path, tc.body).wantError(tc.status, tc.code) })
		})
	}
	w.do(http.MethodPost, drive+"/browse", map[string]any{"browseLocationItemKey": folder, "browseResourceType": "none"}).want(200)
	w.get(drive + "/browse?$skiptoken=" + token).want(200)
	w.in(emulator.TenantC).get(drive).wantError(404, "ResourceNotFound")
}

func TestBrowseSessionsAreListedAndExpireAfterThreeDays(t *testing.T) {
	w := restorable(t)
	first, site := w.browsing(driveBrowses, driveUnit(1)), w.browsing(siteBrowses, siteUnit(1))
	w.pass(time.Hour)
	second := w.browsing(driveBrowses, driveUnit(1))
	for path, want := range map[string][]string{
		"/browseSessions": {first, site, second}, "/browseSessions?$top=1": {first, site, second},
		driveBrowses: {first, second}, siteBrowses: {site},
	} {
		if got, _ := w.walk(path); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if raw := string(w.get("/browseSessions").raw); !strings.Contains(raw, `"@odata.type":"#microsoft.graph.sharePointBrowseSession"`) {
		t.Errorf("no types in %s", raw)
	}
	w.pass(71*time.Hour - time.Second)
	w.get(driveBrowses + "/" + first).want(200)
	w.pass(time.Second)
	w.get(driveBrowses+"/"+first).wantError(404, "ResourceNotFound")
	w.do(http.MethodPost, driveBrowses+"/"+first+"/browse", nil).wantError(404, "ResourceNotFound")
	w.get(driveBrowses+"/"+second).want(200).eq("status", "created")
}

func TestABrowseSessionMayTakeItsTimeOrFail(t *testing.T) {
	w := restorable(t, func(o *emulator.Options) { o.Lengths.Restore.Browse = time.Minute })
	path := siteBrowses + "/" + w.browsing(siteBrowses, siteUnit(1))
	w.get(path).eq("status", "creating").eq("siteId", emulator.SiteA1)
	w.do(http.MethodPost, path+"/browse", nil).wantError(403, "OperationNotAllowed")
	w.pass(time.Minute)
	w.get(path).eq("status", "created")
	names, _, _ := w.browse(path, map[string]any{"browseLocationItemKey": w.do(http.MethodPost, path+"/browse", nil).str("value.0.itemKey")})
	if fmt.Sprint(names) != "[Shared Documents Site Assets]" {
		t.Errorf("libraries %v", names)
	}
	w.fault(emulator.Fault{Operation: "POST " + siteBrowses, InBand: &emulator.InBandError{Code: "UnknownError"}})
	path = siteBrowses + "/" + w.browsing(siteBrowses, siteUnit(2))
	w.pass(time.Minute)
	w.get(path).eq("status", "failed").eq("error.code", "UnknownError")
	w.do(http.MethodPost, path+"/browse", nil).wantError(403, "OperationNotAllowed")
}
