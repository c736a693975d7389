package emulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// A dynamic rule takes in whoever joins its group.
func ExampleEmulator_ChangeGroup() {
	e := emulator.New(emulator.Options{Stopped: true})
	ask := func(method, path, body string) string {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(method, "/v1.0/solutions/backupRestore"+path, strings.NewReader(body)))
		return w.Body.String()
	}
	_, id, _ := strings.Cut(ask(http.MethodPost, "/exchangeProtectionPolicies", `{"displayName":"Mail"}`), `"id":"`)
	policy := id[:36]
	ask(http.MethodPost, "/exchangeProtectionPolicies/"+policy+"/mailboxInclusionRules",
		`{"isAutoApplyEnabled":true,"mailboxExpression":"(memberOf -any (group.id -in ['`+emulator.GroupA2+`']))"}`)
	e.Clock().Advance(time.Minute) // the rule is applied
	count := func() int {
		units := ask(http.MethodGet, "/exchangeProtectionPolicies/"+policy+"/mailboxProtectionUnits", "")
		return strings.Count(units, `"policyId"`)
	}
	fmt.Println(count(), "mailboxes")
	if err := e.ChangeGroup(emulator.GroupChange{Group: emulator.GroupA2, Add: []string{emulator.UserA1}}); err != nil {
		panic(err)
	}
	fmt.Println(count(), "mailboxes")
	// Output:
	// 10 mailboxes
	// 11 mailboxes
}
