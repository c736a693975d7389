//go:build !race

// With the race detector a million units take minutes, and there is only one client.

package service_test

import (
	"runtime"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func TestAMillionMailboxesAreEachListedOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("a million units take seconds; the whole: go test ./service -run Million")
	}
	const users = 1_000_000
	s := servicetest.New(t)
	start := time.Now()
	err := s.Emulator.Seed(emulator.Seed{Tenant: s.Tenant, Users: users + 1, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{
		{Workload: emulator.Exchange, Units: users},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the seed took %v", took)
	}
	client := pb.NewProtectionUnitServiceClient(s.Conn)
	request := &pb.ListExchangeProtectionPolicyUnitsRequest{
		ProtectionPolicyId: emulator.SeededPolicyID(s.Tenant, emulator.Exchange), PageSize: 999,
	}
	seen := make(map[string]struct{}, users)
	listed := 0
	for {
		page, err := client.ListExchangeProtectionPolicyUnits(s.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range page.GetProtectionUnits() {
			listed++
			seen[unit.GetUser().GetDirectoryObjectId()] = struct{}{}
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	if listed != users || len(seen) != users {
		t.Errorf("%d units of %d mailboxes were listed, want %d", listed, len(seen), users)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("seeded and listed in %v, %d MiB taken from the system", time.Since(start).Round(time.Millisecond), memory.Sys>>20)
	if memory.Sys > 2<<30 {
		t.Errorf("%d MiB of memory", memory.Sys>>20)
	}
}
