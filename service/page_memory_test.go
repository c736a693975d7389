package service_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// TestPagesReuseTheirMemory compares what a page of 999 units allocates with and without the wire path, its client and
// its upstream included. It fails when bodies, readers or encoded pages no longer come from pools.
func TestPagesReuseTheirMemory(t *testing.T) {
	var units []string
	for i := range 999 {
		units = append(units, fmt.Sprintf(`{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":"unit-%d","policyId":"policy","status":"protected",`+
			`"createdBy":{"application":{"id":"1fec8e78-bce4-4aaf-ab1b-5451cc387264"},"user":{"id":"2fec8e78-bce4-4aaf-ab1b-5451cc387264"}},`+
			`"createdDateTime":"2024-06-19T12:01:03.45Z","lastModifiedDateTime":"2024-06-20T12:01:03.45Z","error":null,`+
			`"directoryObjectId":"object-%[1]d","displayName":"Mailbox %[1]d","email":"%[1]d@contoso.example"}`, i))
	}
	body := `{"value":[` + strings.Join(units, ",") + `]}`
	perPage := func(messagePath bool) uint64 {
		s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, body) },
			func(o *service.Options) { o.MessagePath = messagePath })
		client := pb.NewProtectionUnitServiceClient(s.Conn)
		pages := func(n int) {
			for range n {
				page, err := client.ListMailboxProtectionUnits(s.Context(), new(pb.ListMailboxProtectionUnitsRequest))
				if err != nil || len(page.GetProtectionUnits()) != len(units) {
					t.Fatalf("%d units: %v", len(page.GetProtectionUnits()), err)
				}
			}
		}
		pages(5)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		pages(30)
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / 30
	}
	wire, message := perPage(false), perPage(true)
	t.Logf("%d kB a page, %d kB without the wire path", wire>>10, message>>10)
	// The body is half a megabyte in buffers that double, and the messages are as large again.
	if saved := int64(message) - int64(wire); saved < 1200<<10 {
		t.Errorf("the wire path saves %d kB a page", saved>>10)
	}
}
