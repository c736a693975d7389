package emulator_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// ask sends a request for a tenant and returns the status and the body.
func ask(server *httptest.Server, tenant, method, path, body string) (int, string) {
	r, err := http.NewRequest(method, server.URL+"/v1.0/solutions/backupRestore"+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+emulator.UserAssertion(tenant, 1))
	resp, err := server.Client().Do(r)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	return resp.StatusCode, string(text)
}

// A test begins with the people that it is about, and with backups that exist already.
func ExampleEmulator_Seed() {
	e := emulator.New(emulator.Options{Stopped: true})
	server := httptest.NewServer(e)
	defer server.Close()
	const tenant = "99999999-9999-4999-8999-999999999999"

	err := e.Seed(emulator.Seed{
		Tenant: tenant, ServiceStatus: "enabled",
		People: []emulator.Person{{Mail: "alice@corp.example"}, {Mail: "bob@corp.example", OverQuota: true}},
		Policies: []emulator.PolicySeed{{
			Workload: emulator.Exchange, Members: []string{"alice@corp.example", "bob@corp.example"},
			ProtectedFor: emulator.Duration(30 * 24 * time.Hour),
		}},
	})
	_, text := ask(server, tenant, http.MethodGet, "/protectionUnits", "")
	var units struct {
		Value []struct {
			Email, Status string
			Error         *struct{ Code string }
		}
	}
	fmt.Println(err, json.Unmarshal([]byte(text), &units))
	for _, unit := range units.Value {
		fmt.Println(unit.Email, unit.Status, unit.Error != nil)
	}
	// Output:
	// <nil> <nil>
	// alice@corp.example protected false
	// bob@corp.example protected true
}

// What takes minutes takes none: the clock moves when the test says so.
func ExampleEmulator_Clock() {
	e := emulator.New(emulator.Options{Stopped: true, Start: time.Date(2030, 1, 1, 8, 0, 0, 0, time.UTC)})
	server := httptest.NewServer(e)
	defer server.Close()
	body := `{"displayName":"Mail","mailboxProtectionUnits":[{"directoryObjectId":"` + emulator.UserA1 + `"}]}`
	ask(server, emulator.TenantA, http.MethodPost, "/exchangeProtectionPolicies", body)
	_, text := ask(server, emulator.TenantA, http.MethodGet, "/protectionPolicies", "")
	var policies struct{ Value []struct{ ID string } }
	if err := json.Unmarshal([]byte(text), &policies); err != nil {
		fmt.Println(err)
		return
	}
	policy := "/protectionPolicies/" + policies.Value[0].ID
	ask(server, emulator.TenantA, http.MethodPost, policy+"/activate", "")
	for range 2 {
		_, text = ask(server, emulator.TenantA, http.MethodGet, policy, "")
		fmt.Println(e.Clock().Now().Format(time.TimeOnly), strings.Contains(text, `"status":"active"`))
		e.Clock().Advance(5 * time.Minute)
	}
	// Output:
	// 08:00:00 false
	// 08:05:00 true
}

// A write whose answer was lost is done once, whatever the program does then: the ledger says so.
func ExampleEmulator_Ledger() {
	e := emulator.New(emulator.Options{Stopped: true})
	server := httptest.NewServer(e)
	defer server.Close()
	if _, err := e.AddFault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Status: 504, AfterWork: true, Times: 1}); err != nil {
		fmt.Println(err)
		return
	}
	status, _ := ask(server, emulator.TenantA, http.MethodPost, "/exchangeProtectionPolicies", `{"displayName":"Mail"}`)
	fmt.Println(status)
	for _, entry := range e.FindLedger(emulator.LedgerQuery{Tenant: emulator.TenantA}).Entries {
		fmt.Println(entry.Kind, cmp.Or(entry.Operation, entry.Resource))
	}
	// Output:
	// 504
	// request POST /exchangeProtectionPolicies
	// change exchangeProtectionPolicy
}

// Tests that run at once take a tenant each.
func ExampleEmulator_ResetTenant() {
	e := emulator.New(emulator.Options{Stopped: true})
	server := httptest.NewServer(e)
	defer server.Close()
	for _, tenant := range []string{emulator.TenantA, emulator.TenantC} {
		if _, err := e.AddFault(emulator.Fault{Operation: "GET /", Tenant: tenant, Status: 503}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(e.ResetTenant(emulator.TenantA))
	for _, tenant := range []string{emulator.TenantA, emulator.TenantC} {
		status, _ := ask(server, tenant, http.MethodGet, "/", "")
		fmt.Println(status)
	}
	// Output:
	// <nil>
	// 200
	// 503
}

// Whoever is asked for tokens, as at Microsoft, hands them out too.
func ExampleEmulator_Token() {
	e := emulator.New(emulator.Options{RequireToken: true})
	server := httptest.NewServer(e)
	defer server.Close()
	token, err := e.Token(emulator.TokenRequest{Tenant: emulator.TenantC, Permissions: []string{"BackupRestore-Control.Read.All"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/", "/protectionPolicies"} {
		r, err := http.NewRequest(http.MethodGet, server.URL+"/v1.0/solutions/backupRestore"+path, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := server.Client().Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// 200 OK
	// 403 Forbidden
}
