//go:build reference

package service_test

import (
	"net/http"
	"testing"
)

// corrections are the mistakes in the text of an example and their corrections, in pairs, with the status that the
// corrected request must get. It is the documented one unless the page says otherwise. So a mistake hides nothing else
// that the example shows.
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
		// The second of two equal sites becomes another one.
		[]string{
			`{"siteId":"contoso.sharepoint.com,bf6fb551-d508-4946-a439-b2a6154fc1d9,65a04b8b-1f44-442b-a1fc-9e5852fb946c"},{"@removed"`,
			`{"siteId":"contoso.sharepoint.com,00000000-0000-4000-8000-000000000000,65a04b8b-1f44-442b-a1fc-9e5852fb946c"},{"@removed"`,
		}, http.StatusOK,
	},
	"sharepointrestoresession-update__01": {[]string{"eessions", "e"}, http.StatusOK},
}

// Published requests with mistakes are replayed in their corrected form.
func TestCorrectedPublishedRequestsAreReplayed(t *testing.T) {
	folder := examplesFolder(t)
	known := readExceptions(t)
	rpcs := allRPCs(t)
	corrected := 0
	for _, e := range readExamples(t, folder) {
		correction, ok := corrections[e.name]
		if !ok {
			continue
		}
		corrected++
		t.Run(e.name, func(t *testing.T) {
			if _, listed := known[e.name]; !listed {
				t.Error("nothing is wrong with the example")
			}
			if status, response := newReplay(t, rpcs, folder, e, correction.pairs...).send(); status != correction.status {
				t.Errorf("got %d, want %d: %s", status, correction.status, response)
			}
		})
	}
	if corrected != len(corrections) {
		t.Errorf("%d of %d corrections are of an example", corrected, len(corrections))
	}
}
