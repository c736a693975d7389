package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestTypedCollectionsHaveTheirResourcesAlone(t *testing.T) {
	w := newWorld(t)
	mail := w.policyWith(user(1))
	sites := w.do(http.MethodPost, "/sharePointProtectionPolicies", `{"displayName":"sites"}`).want(201).str("id")
	w.get("/exchangeProtectionPolicies").want(200).eq("value.0.id", mail).eq("value.1", nil)
	w.get("/sharePointProtectionPolicies").want(200).eq("value.0.id", sites).eq("value.1", nil)
	w.get("/oneDriveForBusinessProtectionPolicies").want(200).eq("value", "[]")
	w.get("/exchangeProtectionPolicies/"+mail).want(200).eq("id", mail)
	w.get("/exchangeProtectionPolicies/"+sites).wantError(404, "PolicyNotFound")
	w.get("/mailboxProtectionUnits").want(200).eq("value.0.id", mailboxUnit(1)).eq("value.1", nil)
	w.get("/mailboxProtectionUnits/"+mailboxUnit(1)).want(200).eq("policyId", mail)
	w.get("/siteProtectionUnits/"+mailboxUnit(1)).wantError(404, "ResourceNotFound")
	unit := "/exchangeProtectionPolicies/" + mail + "/mailboxProtectionUnits/"
	w.get(unit+mailboxUnit(1)).want(200).eq("id", mailboxUnit(1))
	w.get(unit+mailboxUnit(2)).wantError(404, "ResourceNotFound")
	w.get(unit+"x").wantError(400, "InvalidProtectionUnitId")
	w.unchanged(func() {
		w.do(http.MethodDelete, "/exchangeProtectionPolicies/"+sites, nil).wantError(404, "PolicyNotFound")
	})
	w.do(http.MethodDelete, "/sharePointProtectionPolicies/"+sites, nil).want(204)
	w.get("/protectionPolicies/"+sites).wantError(404, "PolicyNotFound")
}

func TestCastsLeadToTypedResources(t *testing.T) {
	w := restorable(t)
	policy := w.get("/exchangeProtectionPolicies").str("value.0.id")
	session := w.draft(exchangeKind(), "new", mailboxUnit(1))
	browse := w.browsing(driveBrowses, driveUnit(1))
	for path, id := range map[string]string{
		"/protectionPolicies/" + policy + "/microsoft.graph.exchangeProtectionPolicy":   policy,
		"/protectionPolicies('" + policy + "')/graph.exchangeProtectionPolicy":          policy,
		"/protectionUnits/" + mailboxUnit(1) + "/microsoft.graph.mailboxProtectionUnit": mailboxUnit(1),
		"/restoreSessions/" + session + "/microsoft.graph.exchangeRestoreSession":       session,
		"/browseSessions/" + browse + "/graph.oneDriveForBusinessBrowseSession":         browse,
		"/browseSessions/" + browse:                                                                          browse,
		"/protectionPolicies/microsoft.graph.exchangeProtectionPolicy":                                       policy,
		"/restoreSessions/graph.exchangeRestoreSession":                                                      session,
		"/protectionPolicies/" + policy + "/microsoft.graph.exchangeProtectionPolicy/mailboxProtectionUnits": mailboxUnit(1),
	} {
		if r := w.get(path).want(200); !strings.Contains(string(r.raw), `"id":"`+id) {
			t.Errorf("%s: %.300s", path, r.raw)
		}
	}
	for path, code := range map[string]string{
		"/protectionPolicies/" + policy + "/microsoft.graph.sharePointProtectionPolicy": "PolicyNotFound",
		"/protectionPolicies/" + policy + "/microsoft.graph.mailboxProtectionUnit":      "ResourceNotFound",
		"/protectionUnits/" + mailboxUnit(1) + "/microsoft.graph.siteProtectionUnit":    "ResourceNotFound",
		"/restoreSessions/" + session + "/microsoft.graph.sharePointRestoreSession":     "RestoreSessionNotFound",
		"/browseSessions/" + browse + "/microsoft.graph.sharePointBrowseSession":        "ResourceNotFound",
	} {
		w.get(path).wantError(404, code)
	}
}

func TestActionsMayHaveTheirNamespace(t *testing.T) {
	w := newWorld(t)
	id := w.policyWith(user(1))
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/microsoft.graph.activate", nil).want(202)
	w.pass(5 * time.Minute)
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/Microsoft.Graph.Deactivate", nil).want(202)
	w.pass(2 * time.Minute)
	w.wantPolicy(id, "inactive")
	w.do(http.MethodPost, "/protectionPolicies/"+id+"/microsoft.graph.offboard", nil).wantError(404, "ResourceNotFound")
	w.do(http.MethodPost, "/microsoft.graph.enable", `{"appOwnerTenantId":"`+emulator.TenantA+`"}`).want(200)
}

func TestAnyBrowseSessionCanBeBrowsed(t *testing.T) {
	w := restorable(t)
	id := w.browsing(driveBrowses, driveUnit(1))
	if r := w.get("/browseSessions/" + id).want(200); !strings.Contains(string(r.raw), `"@odata.type":"#microsoft.graph.oneDriveForBusinessBrowseSession"`) {
		t.Errorf("no type in %s", r.raw)
	}
	path := "/browseSessions/" + id + "/browse"
	top := w.do(http.MethodPost, path, `{}`).want(200)
	top.eq("value.0.type", "site")
	in := w.do(http.MethodPost, path, map[string]any{"filter": "(name -contains 'report')"}).want(200)
	if len(in.list("value")) != 10 {
		t.Fatalf("a page of %d items", len(in.list("value")))
	}
	link, err := url.Parse(nextLink(in))
	if err != nil {
		t.Fatal(err)
	}
	token := link.Query().Get("$skiptoken")
	for _, next := range []string{
		path + "?$skiptoken=" + token, path + "(nextFetchToken='" + token + "')", driveBrowses + "/" + id + "/browse?$skiptoken=" + token,
	} {
		w.get(next).want(200).eq("value.0.name", "report 11.docx")
	}
	w.get(path+"(nextFetchToken='x')").wantError(400, "BadRequest")
	w.do(http.MethodPost, "/browseSessions/x/browse", nil).wantError(404, "ResourceNotFound")
}

func TestRulesAndJobsOfTheWholeTenant(t *testing.T) {
	w := newWorld(t)
	w.do(http.MethodPost, "/mailboxInclusionRules", `{"mailboxExpression":"`+of(group(1))+`"}`).wantError(400, "BadRequest")
	policy := w.activePolicyWith(user(1))
	rule := w.do(http.MethodPost, "/mailboxInclusionRules", `{"mailboxExpression":"`+of(group(1))+`"}`).want(201).str("id")
	w.get("/exchangeProtectionPolicies/"+policy+"/mailboxInclusionRules/"+rule).want(200).eq("id", rule)
	w.get("/mailboxInclusionRules").want(200).eq("value.0.id", rule).eq("value.1", nil)
	w.get("/mailboxInclusionRules/"+rule).want(200).eq("status", "active")
	w.get("/mailboxInclusionRules/x").wantError(400, "InvalidInclusionRuleId")
	w.get("/mailboxInclusionRules/"+stranger).wantError(404, "ProtectionRuleNotFound")
	w.get("/driveInclusionRules/"+rule).wantError(404, "ProtectionRuleNotFound")
	w.pass(10 * time.Minute)
	w.do(http.MethodPost, "/mailboxInclusionRules/"+rule+"/run", nil).want(200)
	w.pass(10 * time.Minute)
	w.do(http.MethodDelete, "/mailboxInclusionRules/"+rule, nil).want(204)
	mail := w.get("/mailboxProtectionUnits/" + mailboxUnit(1)).str("email")
	job := w.do(http.MethodPost, "/mailboxProtectionUnitsBulkAdditionJobs", `{"displayName":"j","mailboxes":["`+mail+`"]}`).want(201).str("id")
	w.get("/mailboxProtectionUnitsBulkAdditionJobs/"+job).want(200).eq("id", job)
	w.get("/mailboxProtectionUnitsBulkAdditionJobs").want(200).eq("value.0.id", job)
	w.get("/siteProtectionUnitsBulkAdditionJobs/"+job).wantError(404, "ResourceNotFound")
	w.get("/siteProtectionUnitsBulkAdditionJobs/x").wantError(400, "BadRequest")
}

func TestArtifactsAndPointsOneByOne(t *testing.T) {
	w := restorable(t)
	point := w.newest(mailboxUnit(1))
	w.get("/restorePoints/"+point).want(200).eq("id", point)
	w.get("/restorePoints/"+point+"/protectionUnit").want(200).eq("id", mailboxUnit(1))
	w.get("/restorePoints/x").wantError(404, "ResourceNotFound")
	for _, k := range sessionKinds() {
		unit := map[string]string{"mailboxes": mailboxUnit(1), "drives": driveUnit(1), "siteWebUrls": siteUnit(1)}[k.names]
		session := w.draft(k, "new", unit)
		w.get(k.sessions).want(200).eq("value.0.id", session).eq("value.1", nil)
		w.get(k.sessions+"/"+session).want(200).eq("id", session)
		list := k.sessions + "/" + session + "/" + k.artifacts
		id := w.get(list).str("value.0.id")
		w.get(list+"/"+id).want(200).eq("id", id).eq("status", "added")
		w.get(list+"/"+id+"/restorePoint").want(200).eq("id", w.newest(unit))
		w.get(list+"/"+stranger).wantError(404, "ResourceNotFound")
		w.do(http.MethodDelete, k.sessions+"/"+session, nil).want(204)
	}
	w.get("/exchangeRestoreSessions/"+w.draft(exchangeKind(), "new", mailboxUnit(1))+"/granularMailboxRestoreArtifacts").want(200).eq("value", "[]")
}

// The paths below are those of Microsoft's SDKs; each leads somewhere.
func TestListsCountSelectAndExpand(t *testing.T) {
	w := restorable(t)
	policy := w.get("/exchangeProtectionPolicies").str("value.0.id")
	units := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits"
	total := fmt.Sprint(len(w.get(units + "?$top=999").list("value")))
	for _, path := range []string{units, mailboxCast, "/mailboxProtectionUnits"} {
		r := w.get(path + "/$count").want(200)
		if string(r.raw) != total || r.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s/$count: %q %v, want %s", path, r.raw, r.header, total)
		}
		r = w.get(path + "?$top=2&$count=true").want(200)
		if !strings.Contains(string(r.raw), `"@odata.count":`+total) || len(r.list("value")) != 2 {
			t.Errorf("%s: %.300s", path, r.raw)
		}
	}
	one := w.get(units + query("$filter", "id eq '"+mailboxUnit(1)+"'") + "&$count=true")
	if !strings.Contains(string(one.raw), `"@odata.count":1`) {
		t.Errorf("count of a filter: %.200s", one.raw)
	}
	r := w.get(units + "?$top=1&$select=id,status").want(200)
	if item := r.list("value")[0].(map[string]any); item["status"] == nil || item["policyId"] != nil || item["@odata.type"] == nil || len(item) != 3 {
		t.Errorf("selected %v", item)
	}
	if !strings.Contains(nextLink(r), "$select=id,status") {
		t.Errorf("next link %s", nextLink(r))
	}
	w.get("/protectionPolicies/"+policy+"?$select=displayName").want(200).eq("status", nil)
	w.get("?$select=serviceStatus").want(200).eq("serviceStatus.status", "enabled")
	w.get("/protectionPolicies/"+policy+"?$select=*").want(200).eq("status", "active")

	r = w.get("/exchangeProtectionPolicies/" + policy + "?$expand=mailboxProtectionUnits($top=1;$select=id),mailboxInclusionRules").want(200)
	r.eq("mailboxProtectionUnits.0.id", mailboxUnit(1)).eq("mailboxProtectionUnits.1", nil).eq("mailboxProtectionUnits.0.status", nil).eq("mailboxInclusionRules", "[]")
	if next, _ := r.at("").(map[string]any)["mailboxProtectionUnits@odata.nextLink"].(string); next == "" {
		t.Errorf("no next link of the expansion in %.300s", r.raw)
	} else {
		w.send(http.MethodGet, next, nil).want(200).eq("value.0.id", mailboxUnit(2))
	}
	w.get("/exchangeProtectionPolicies?$expand=mailboxProtectionUnits&$select=id").want(200).eq("value.0.mailboxProtectionUnits.0.id", mailboxUnit(1)).eq("value.0.status", nil)
	w.get("?$expand=serviceApps,exchangeProtectionPolicies").want(200).eq("exchangeProtectionPolicies.0.id", policy)

	for _, bad := range []string{
		units + "?$select=name", units + "?$select=", units + "?$count=1", units + "?$expand=policy", units + "?$select=id&$select=status",
		"/protectionPolicies?$expand=mailboxProtectionUnits", "?$expand=activate", "?$expand=restorePoints", "/protectionPolicies?$select=directoryObjectId",
	} {
		if r := w.get(bad); r.status != 400 {
			t.Errorf("%s: %d %.200s", bad, r.status, r.raw)
		}
	}
	// Pages that say that there are no options are believed.
	session := w.do(http.MethodPost, "/exchangeRestoreSessions", nil).str("id")
	for _, plain := range []string{
		"/sharePointBrowseSessions?$count=true", "/exchangeRestoreSessions/" + session + "/mailboxRestoreArtifactsBulkAdditionRequests?$select=id",
	} {
		w.get(plain).wantError(400, "BadRequest")
	}
	w.get("/sharePointBrowseSessions/$count").want(400)
}

func TestClientsPreferSmallerPages(t *testing.T) {
	w := newWorld(t)
	w.withUnits(5)
	r := w.do(http.MethodGet, mailboxCast, nil, "Prefer", "include-unknown-enum-members, odata.maxpagesize=2").want(200)
	if len(r.list("value")) != 2 || nextLink(r) == "" || r.header.Get("Preference-Applied") != "odata.maxpagesize=2" {
		t.Errorf("%d items, %v", len(r.list("value")), r.header)
	}
	w.do(http.MethodGet, mailboxCast+"?$top=1", nil, "Prefer", "maxpagesize=3").want(200).eq("value.1", nil)
	for _, odd := range []string{"odata.maxpagesize=0", "odata.maxpagesize=x", "odata.maxpagesize"} {
		if r := w.do(http.MethodGet, mailboxCast, nil, "Prefer", odd).want(200); len(r.list("value")) != 5 {
			t.Errorf("%s: %d items", odd, len(r.list("value")))
		}
	}
}
