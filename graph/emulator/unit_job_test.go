package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// jobKind is how the bulk addition jobs of one workload are spelt, with a name
// and an id that lead to something and some that do not.
type jobKind struct {
	policies, jobs, typ, named, ids, goodName, goodID string
	badNames                                          []string
	badID, notFound                                   string
}

func jobKinds() []jobKind {
	bad := []string{"ada.berg.2@a.example", "chidi.berg.2@b.example", "nobody", "", "dana.x.999999999999999999999@a.example"}
	users := jobKind{
		typ: "mailbox", named: "mailboxes", ids: "directoryObjectIds", goodName: "Chidi.Costa.2@A.example", goodID: user(3),
		badNames: bad, badID: user(emulator.UserNoLicense), notFound: "EmailNotFound",
	}
	users.policies, users.jobs = "exchangeProtectionPolicies", "mailboxProtectionUnitsBulkAdditionJobs"
	drives := users
	drives.policies, drives.jobs, drives.typ, drives.named = "oneDriveForBusinessProtectionPolicies", "driveProtectionUnitsBulkAdditionJobs", "drive", "drives"
	return []jobKind{users, drives, {
		"sharePointProtectionPolicies", "siteProtectionUnitsBulkAdditionJobs", "site", "siteWebUrls", "siteIds",
		"https://a.sharepoint.example/sites/Site-2/", emulator.SiteA3,
		[]string{"https://a.sharepoint.example/sites/site-51", "https://b.sharepoint.example/sites/site-2", "site-2", ""},
		"a.sharepoint.example," + stranger + "," + stranger, "SiteUrlNotFound",
	}}
}

// jobsOf makes an active policy of a kind and returns the path of its jobs.
func (w *world) jobsOf(k jobKind) (policy, path string) {
	w.t.Helper()
	policy, _ = w.rulesOf(ruleKind{policies: k.policies}, true)
	return policy, "/" + k.policies + "/" + policy + "/" + k.jobs
}

func TestAJobAddsWhatItNames(t *testing.T) {
	for _, k := range jobKinds() {
		t.Run(k.jobs, func(t *testing.T) {
			w := newWorld(t)
			policy, path := w.jobsOf(k)
			r := w.do(http.MethodPost, path, map[string]any{
				"displayName": "Many", k.named: []string{k.goodName}, k.ids: []string{k.goodID, k.goodID},
			}).want(201).eq("status", "active").eq("displayName", "Many").eq(k.named+".0", k.goodName).eq(k.ids+".1", k.goodID)
			if !strings.Contains(string(r.raw), `"@odata.type":"#microsoft.graph.`+k.typ+`ProtectionUnitsBulkAdditionJob"`) {
				t.Errorf("type is missing: %s", r.raw)
			}
			job := path + "/" + r.str("id")
			if got, want := r.header.Get("Content-Location"), w.server.URL+root+job; got != want {
				t.Errorf("Content-Location = %s, want %s", got, want)
			}
			w.pass(2*time.Minute - time.Second)
			units := "/" + k.policies + "/" + policy + "/" + k.typ + "ProtectionUnits"
			w.get(units).want(200).eq("value", "[]")
			w.get(job).want(200).eq("status", "active")
			w.pass(time.Second)
			w.get(job).want(200).eq("status", "completed").eq("error", nil).eq(k.named+".0", k.goodName).
				eq("lastModifiedDateTime", "2030-01-02T03:11:05.6000000Z")
			w.get(units).want(200).eq("value.0.status", "protectRequested").eq("value.0.protectionSources", "manual").eq("value.2", nil)
			w.get(path).want(200).eq("value.0.status", "completed").eq("value.0."+k.named, nil).eq("value.0."+k.ids, nil)
			w.get(units).want(200).eq("value.0.createdBy.application.id", emulator.DefaultApp) // whose job it is
			w.pass(5 * time.Minute)
			w.wantPolicy(policy, "active")
		})
	}
}

func TestAJobNamesEachResourceThatFailed(t *testing.T) {
	for _, k := range jobKinds() {
		t.Run(k.jobs, func(t *testing.T) {
			w := newWorld(t)
			policy, path := w.jobsOf(k)
			id := w.do(http.MethodPost, path, map[string]any{
				k.named: append([]string{k.goodName}, k.badNames...), k.ids: []string{k.badID, "nothing", k.goodID},
			}).want(201).str("id")
			w.pass(2 * time.Minute)
			r := w.get(path+"/"+id).want(200).eq("status", "completedWithErrors").eq("error.code", "ProtectionResourcesNotFound")
			want := append(append([]string{}, k.badNames...), k.badID, "nothing")
			for i, target := range want {
				detail := fmt.Sprintf("error.details.%d.", i)
				r.eq(detail+"code", k.notFound)
				if r.str(detail+"target") != target || r.str(detail+"message") == "" {
					t.Errorf("detail %d: %v, want target %q", i, r.at("error.details."+fmt.Sprint(i)), target)
				}
			}
			if n := len(r.list("error.details")); n != len(want) {
				t.Errorf("%d details, want %d", n, len(want))
			}
			units := "/" + k.policies + "/" + policy + "/" + k.typ + "ProtectionUnits"
			if n := len(w.get(units).want(200).list("value")); n != 2 {
				t.Errorf("%d units, want the 2 that could be found", n)
			}
		})
	}
}

func TestAJobLeavesUnitsWhereTheyAre(t *testing.T) {
	w := newWorld(t)
	other := w.policyWith(user(1))
	policy, path := w.jobsOf(jobKinds()[0])
	w.settled(strings.Replace(path, "mailboxProtectionUnitsBulkAdditionJobs", "mailboxInclusionRules", 1), of(group(2)), true)
	w.patch(policy, add(user(2)), add(user(3)), add(user(6))).want(200)
	w.pass(5 * time.Minute)
	w.patch(policy, remove(mailboxUnit(6))).want(200)
	w.pass(2 * time.Minute)
	w.do(http.MethodPost, "/protectionUnits/"+mailboxUnit(6)+"/offboard", nil).want(200)
	id := w.do(http.MethodPost, path, map[string]any{
		"directoryObjectIds": []string{user(1), user(2), user(3), user(6), user(11), user(20)},
	}).want(201).str("id")
	w.pass(time.Minute)
	w.patch(policy, remove(mailboxUnit(3))).want(200)
	w.pass(time.Minute)
	w.get(path+"/"+id).want(200).eq("status", "completedWithErrors").
		eq("error.details.0.code", "ProtectionUnitAlreadyExists").eq("error.details.0.target", user(1)). // elsewhere
		eq("error.details.1.code", "ProtectionUnitAlreadyExists").eq("error.details.1.target", user(3)). // on its way out
		eq("error.details.2.code", "ProtectionUnitActionNotAllowed").eq("error.details.2.target", user(6)).
		eq("error.details.3", nil)
	w.unit(mailboxUnit(1)).eq("policyId", other)
	w.unit(mailboxUnit(2)).eq("status", "protected").eq("protectionSources", "manual")
	w.unit(mailboxUnit(11)).eq("status", "protected").eq("protectionSources", "manual,dynamicRule")
}

func TestCreateJobRefusals(t *testing.T) {
	long := make([]string, 50_001)
	for i := range long {
		long[i] = "x@y"
	}
	for _, tc := range []struct {
		name   string
		body   any
		status int
		code   string
	}{
		{"nothing", "", 400, "BadRequest"},
		{"null", "null", 400, "BadRequest"},
		{"no resources", map[string]any{"displayName": "x"}, 400, "BadRequest"},
		{"empty lists", map[string]any{"mailboxes": []string{}, "directoryObjectIds": nil}, 400, "BadRequest"},
		{"the list of another workload", map[string]any{"drives": []string{"x"}}, 400, "BadRequest"},
		{"a list of numbers", map[string]any{"mailboxes": []int{1}}, 400, "BadRequest"},
		{"ids that are no list", map[string]any{"directoryObjectIds": "x"}, 400, "BadRequest"},
		{"a name that is a number", map[string]any{"displayName": 1, "mailboxes": []string{"x"}}, 400, "BadRequest"},
		{"50,001 resources", map[string]any{"mailboxes": long}, 400, "BadRequest"},
		{"50,001 resources in both lists", map[string]any{"mailboxes": long[:50_000], "directoryObjectIds": long[:1]}, 400, "BadRequest"},
		{"a body above 4 MiB", strings.Repeat(" ", emulator.MaxBody+1), 413, "RequestEntityTooLarge"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			_, path := w.jobsOf(jobKinds()[0])
			w.unchanged(func() { w.do(http.MethodPost, path, tc.body).wantError(tc.status, tc.code) })
			w.get(path).want(200).eq("value", "[]")
		})
	}
	t.Run("siteUrls, which the text of Microsoft's page calls siteWebUrls", func(t *testing.T) {
		w := newWorld(t)
		_, path := w.jobsOf(jobKinds()[2])
		w.do(http.MethodPost, path, map[string]any{"siteUrls": []string{"x"}}).wantError(400, "BadRequest")
	})
}

func TestAJobTakes50000Resources(t *testing.T) {
	w := newWorld(t)
	if err := w.e.Seed(emulator.Seed{Tenant: emulator.TenantA, Users: 50_001, ServiceStatus: "enabled"}); err != nil {
		t.Fatal(err)
	}
	policy, path := w.jobsOf(jobKinds()[0])
	id := w.do(http.MethodPost, path, map[string]any{"directoryObjectIds": users(1, 50_000)}).want(201).str("id")
	w.pass(2 * time.Minute)
	w.get(path).want(200).eq("value.0.status", "completedWithErrors").eq("value.0.error.details.0.target", user(4)).
		eq("value.0.error.details.1", nil).eq("value.0.id", id)
	w.pass(5 * time.Minute)
	w.wantPolicy(policy, "active")
}

func TestJobsAreFoundInTheirPolicyOnly(t *testing.T) {
	for _, k := range jobKinds() {
		w := newWorld(t)
		_, path := w.jobsOf(k)
		id := w.do(http.MethodPost, path, map[string]any{k.ids: []string{k.goodID}}).want(201).str("id")
		w.get(path+"/"+strings.ToUpper(id)).want(200).eq("id", id)
		w.get(path+"/nothing").wantError(400, "BadRequest")
		w.get(path+"/"+stranger).wantError(404, "ResourceNotFound")
		for policy, want := range map[string]int{"nothing": 400, stranger: 404} {
			at := "/" + k.policies + "/" + policy + "/" + k.jobs
			code := map[int]string{400: "InvalidPolicyId", 404: "PolicyNotFound"}[want]
			w.get(at).wantError(want, code)
			w.get(at+"/"+id).wantError(want, code)
			w.do(http.MethodPost, at, "{}").wantError(want, code)
		}
		w.in(emulator.TenantC).get(path+"/"+id).wantError(404, "PolicyNotFound")
		w.do(http.MethodDelete, path+"/"+id, nil).wantError(405, "MethodNotAllowed")
	}
}

func TestJobsArePagedAndCarryScriptedErrors(t *testing.T) {
	w := newWorld(t)
	policy, path := w.jobsOf(jobKinds()[0])
	operation := "POST /exchangeProtectionPolicies/{p}/mailboxProtectionUnitsBulkAdditionJobs"
	w.fault(emulator.Fault{Operation: operation, Item: user(7), Times: 1, InBand: &emulator.InBandError{Code: "UnknownError"}})
	var want []string
	for range 3 {
		want = append(want, w.do(http.MethodPost, path, map[string]any{"directoryObjectIds": []string{user(2), user(7)}}).want(201).str("id"))
	}
	got, pages := w.walk(path + "?$top=2")
	if strings.Join(got, " ") != strings.Join(want, " ") || pages != 2 {
		t.Errorf("%v on %d pages, want %v on 2", got, pages, want)
	}
	w.pass(2 * time.Minute)
	w.get(path+"/"+want[0]).want(200).eq("error.details.0.code", "UnknownError").eq("error.details.0.target", user(7))
	w.get(path+"/"+want[1]).want(200).eq("status", "completed")
	w.unit(mailboxUnit(7)).eq("policyId", policy)
	w.fault(emulator.Fault{Operation: "GET *", Item: want[1], InBand: &emulator.InBandError{Code: "UnknownError"}})
	w.get(path+"/"+want[1]).want(200).eq("error.code", "UnknownError")
}

func TestAJobOfADeletedPolicyNeverHappens(t *testing.T) {
	w := newWorld(t)
	policy := w.policyWith()
	path := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnitsBulkAdditionJobs"
	w.do(http.MethodPost, path, map[string]any{"directoryObjectIds": users(1, 3)}).want(201)
	w.do(http.MethodDelete, "/protectionPolicies/"+policy, nil).want(204)
	w.unchanged(func() { w.pass(time.Hour) })
}

func TestAJobForAnInactivePolicyProtectsNothing(t *testing.T) {
	w := newWorld(t)
	policy := w.policyWith()
	path := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnitsBulkAdditionJobs"
	w.do(http.MethodPost, path, map[string]any{"directoryObjectIds": users(1, 3)}).want(201)
	w.pass(time.Hour)
	w.wantUnits(policy, map[string]int{"unprotected": 3})
	w.wantPolicy(policy, "inactive")
}
