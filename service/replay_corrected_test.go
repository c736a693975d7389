//go:build reference

package service_test

import (
	"net/http"
	"testing"
)

// mends are what is wrong in the text of an example and what was meant, in pairs, with the status that this must get
// then: the documented one unless the page says another. So a slip hides nothing else that the example shows.
var corrections = map[string]struct {
	pairs  []string
	status int
}{
	"backuprestoreroot-delete-serviceapps__01":          {[]string{"{", "", "}", ""}, http.StatusNoContent},
	"backuprestoreroot-list-mailboxprotectionunits__02": {[]string{"/solutions/solutions/", "/solutions/"}, http.StatusOK},
	"backuprestoreroot-post-onedriveforbusinessprotectionpolicies__01": {
		[]string{"7e39fc14019\"", "7e39fc14019a\""}, http.StatusCreated,
	},
	"driverestoreartifactsbulkadditionrequest-delete__01": {[]string{"/beta/", "/v1.0/"}, http.StatusNoContent},
	"onedriveforbusinessbrowsesession-get__01": {
		[]string{"{oneDriveForBusinessBrowseSessionId}", "any"}, http.StatusOK,
	},
	"protectionrulebase-deleteandunprotect__01": {[]string{"/beta/", "/v1.0/"}, http.StatusAccepted},
	"protectionrulebase-deleteandunprotect__02": {[]string{"/beta/", "/v1.0/"}, http.StatusAccepted},
	"protectionrulebase-run__03": {
		[]string{
			"{exchangeProtectionPolicyId}", "71633878-8321-4950-bfaf-ed285bdd1461",
			"{mailboxProtectionRuleId}", "61633878-8321-4950-bfaf-ed285bdd1461",
		}, http.StatusOK,
	},
	"protectionrulebase-update__01": {[]string{"/beta/", "/v1.0/"}, http.StatusOK},
	"protectionrulebase-update__02": {
		[]string{"/beta/", "/v1.0/", "mailboxInclionRules", "mailboxInclusionRules"}, http.StatusOK,
	},
	"serviceapp-activate__01": {
		[]string{
			"/{", "/", "}/", "/",
			"T12-01-03.45Z", "T12:01:03.45Z",
		}, http.StatusAccepted,
	},
	"sharepointbrowsesession-get__01": {[]string{"{sharePointBrowseSessionId}", "any"}, http.StatusOK},
	"sharepointprotectionpolicy-update__01": {
		// The second of the two that are the same becomes another site.
		[]string{
			`{"siteId":"contoso.sharepoint.com,bf6fb551-d508-4946-a439-b2a6154fc1d9,65a04b8b-1f44-442b-a1fc-9e5852fb946c"},{"@removed"`,
			`{"siteId":"contoso.sharepoint.com,00000000-0000-4000-8000-000000000000,65a04b8b-1f44-442b-a1fc-9e5852fb946c"},{"@removed"`,
		}, http.StatusOK,
	},
	"sharepointrestoresession-update__01": {[]string{"eessions", "e"}, http.StatusOK},
}

func TestCorrectedPublishedRequestsAreReplayed(t *testing.T) {
	folder := examplesFolder(t)
	known := readExceptions(t)
	rpcs := allRPCs(t)
	mended := 0
	for _, e := range readExamples(t, folder) {
		mend, ok := corrections[e.name]
		if !ok {
			continue
		}
		mended++
		t.Run(e.name, func(t *testing.T) {
			if _, listed := known[e.name]; !listed {
				t.Error("nothing is wrong with the example")
			}
			if status, response := newReplay(t, rpcs, folder, e, mend.pairs...).send(); status != mend.status {
				t.Errorf("got %d, want %d: %s", status, mend.status, response)
			}
		})
	}
	if mended != len(corrections) {
		t.Errorf("%d of %d mends are of an example", mended, len(corrections))
	}
}
