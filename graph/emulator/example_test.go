package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// A policy is made, activated, and is active five emulated minutes later.
func Example() {
	e := emulator.New(emulator.Options{Stopped: true})
	server := httptest.NewServer(e)
	defer server.Close()
	root := server.URL + "/v1.0/solutions/backupRestore"

	body := `{"displayName":"Mail","mailboxProtectionUnits":[{"directoryObjectId":"` + emulator.UserA1 + `"}]}`
	resp, err := http.Post(root+"/exchangeProtectionPolicies", "application/json", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := resp.Header.Get("Content-Location")
	resp.Body.Close()
	if resp, err = http.Post(policy+"/activate", "", nil); err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)

	e.Clock().Advance(5 * time.Minute)
	if resp, err = http.Get(policy); err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(strings.Contains(string(text), `"status":"active"`), err)
	// Output:
	// 202 Accepted
	// true <nil>
}

// The first attempt to make a policy fails after the work was done.
func ExampleEmulator_AddFault() {
	e := emulator.New(emulator.Options{})
	id, err := e.AddFault(emulator.Fault{
		Operation: "POST /exchangeProtectionPolicies",
		Status:    http.StatusGatewayTimeout,
		AfterWork: true,
		Times:     1,
	})
	fmt.Println(id, err)
	// Output: fault-1 <nil>
}
