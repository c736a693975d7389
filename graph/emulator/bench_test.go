package emulator

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkPage is a page of the largest size out of a million mailboxes.
func BenchmarkPage(b *testing.B) {
	e := New(Options{Seeds: []Seed{{
		Tenant: TenantA, Users: 1_000_001, ServiceStatus: serviceEnabled,
		Policies: []PolicySeed{{Workload: Exchange, Units: 1_000_000}},
	}}})
	target := "/v1.0/solutions/backupRestore/protectionUnits/microsoft.graph.mailboxProtectionUnit?$top=999"
	for b.Loop() {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
		b.SetBytes(int64(w.Body.Len()))
	}
}
