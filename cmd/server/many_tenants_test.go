package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// A tenant that is added to 10,000 others of 20 callers is served within 15 s, at the interval that the server has
// unless told otherwise, while others call.
func TestNewTenantIsServedSoon(t *testing.T) {
	d := deskFiles(t)
	var tenants bytes.Buffer
	fmt.Fprintln(&tenants, emulator.TenantA)
	for n := range 10_000 {
		fmt.Fprintf(&tenants, "00000000-0000-4000-8000-%012d\n", n)
	}
	rights := deskRights
	for n := range 16 {
		rights += fmt.Sprintf("  - {principal: spiffe://desk.example/more-%d, tenants: [set:customers], role: operator}\n", n)
	}
	v := &volume{path: t.TempDir()}
	keys := d.read(t, "jwks.json")
	mount := func() {
		v.mount(t, map[string][]byte{"rights.yaml": []byte(rights), "jwks.json": keys, "tenants.txt": tenants.Bytes()})
	}
	mount()
	interval := "10s"
	if testing.Short() {
		interval = "100ms"
	}
	d.begin(t, "BACKUPSTORAGE_RELOAD_INTERVAL="+interval, "BACKUPSTORAGE_RIGHTS_FILE="+filepath.Join(v.path, "rights.yaml"))
	load := d.operators(t)
	reader := d.connect(t, "reader")
	lists := func() error {
		return list(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantB), reader)
	}
	if err := lists(); reasonOf(err) != "CALLER_NOT_ALLOWED" {
		t.Fatalf("a tenant that is not there: %v", err)
	}
	fmt.Fprintln(&tenants, emulator.TenantB)
	mount()
	changed := time.Now()
	awaitReason(t, lists, "")
	took := time.Since(changed)
	load.stop()
	load.clients.Wait()
	t.Logf("the new tenant was served after %v, beside %d calls of which %d failed; %d MiB of memory", took, load.calls.Load(), load.failed.Load(), memoryOf(t, d.server.Process.Pid))
	if took > 15*time.Second {
		t.Errorf("the new tenant was served after %v", took)
	}
	if err := d.stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}
