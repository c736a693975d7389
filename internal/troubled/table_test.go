package troubled

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/m365backup/backupstorage/service"
)

const tenant = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"

// clock is a time that the test moves.
type clock struct{ time.Time }

func newTest() (*Table, *clock) {
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return newTable(func(of string) time.Duration {
		if of == tenant {
			return time.Minute
		}
		return 0
	}, func() time.Time { return c.Time }), c
}

func ok(tenant string) service.CallInfo { return service.CallInfo{Tenant: tenant} }

func failed(tenant, reason, fault, cause string) service.CallInfo {
	return service.CallInfo{Tenant: tenant, Code: codes.Unavailable, Reason: reason, Fault: fault, Cause: cause}
}

func TestRowSaysWhatATenantsCallsCameTo(t *testing.T) {
	table, c := newTest()
	began := c.Time
	table.CallEnded(ok(tenant))
	c.Time = c.Add(time.Second)
	table.CallEnded(failed(tenant, "NOT_FOUND", "caller", ""))
	table.CallEnded(failed(tenant, "GRAPH_CREDENTIALS_UNAVAILABLE", "tenant", "consent-missing"))
	// A call without a tenant has no row.
	table.CallEnded(failed("", "INVALID_TENANT_ID", "caller", ""))
	want := Row{
		Tenant: tenant, Calls: 3, Errors: 1, CallerErrors: 1, LastOK: began, LastError: c.Time,
		LastReason: "GRAPH_CREDENTIALS_UNAVAILABLE", LastCause: "consent-missing", ConsentProblem: true, BlockedUntil: c.Add(time.Minute),
	}
	if rows := table.Rows(); len(rows) != 1 || rows[0] != want {
		t.Errorf("got %+v, want %+v", rows, want)
	}
	table.CallEnded(ok(tenant))
	if rows := table.Rows(); rows[0].ConsentProblem || !rows[0].LastOK.Equal(c.Time) {
		t.Errorf("after a call that was OK: %+v", rows[0])
	}
}

// Tenants without trouble, and tenants that strangers invent, do not push out those with trouble.
func TestTableKeepsTheMostTroubled(t *testing.T) {
	table, c := newTest()
	for range 5 {
		table.CallEnded(failed(tenant, "SERVICE_UNAVAILABLE", "graph", ""))
	}
	for i := range 10 * maxTenants {
		one := fmt.Sprintf("%08x-0000-4000-8000-000000000001", i)
		table.CallEnded(ok(one))
		table.CallEnded(failed(one, "TENANT", "tenant", "tenant-unknown"))
	}
	if n := len(table.Rows()); n != maxTenants {
		t.Errorf("%d tenants, want %d", n, maxTenants)
	}
	if e := table.tenants[tenant]; e == nil || e.Errors != 5 {
		t.Errorf("the troubled tenant has %+v", e)
	}
	// Two hours later its trouble counts less than that of one that fails now, twice.
	c.Time = c.Add(2 * time.Hour)
	for i := range maxTenants {
		one := fmt.Sprintf("%08x-0000-4000-8000-000000000002", i)
		table.CallEnded(failed(one, "SERVICE_UNAVAILABLE", "graph", ""))
	}
	if table.tenants[tenant] != nil {
		t.Error("trouble of two hours ago keeps its row")
	}
	if len(table.tenants) != maxTenants || len(table.order) != maxTenants {
		t.Errorf("%d tenants in the map, %d in the heap", len(table.tenants), len(table.order))
	}
}

// A tenant whose calls are OK gets a row only while there is room.
func TestTenantsWithoutTroubleGetWhatIsFree(t *testing.T) {
	table, _ := newTest()
	for i := range 2 * maxTenants {
		table.CallEnded(ok(fmt.Sprintf("%08x-0000-4000-8000-000000000001", i)))
	}
	table.CallEnded(failed(tenant, "SERVICE_UNAVAILABLE", "graph", ""))
	if len(table.Rows()) != maxTenants || table.tenants[tenant] == nil {
		t.Errorf("%d tenants; the troubled one has %+v", len(table.Rows()), table.tenants[tenant])
	}
}
