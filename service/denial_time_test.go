//go:build !race

// Times are not compared under the race detector.

package service_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
)

// TestDenialTakesTheSameTime compares how long it takes to deny a tenant of others, and one that does not exist.
func TestDenialTakesTheSameTime(t *testing.T) {
	s := newIdentified(t, func(o *service.Options) { o.Logger = slog.New(slog.DiscardHandler) })
	method, token := methodNamed(t, "ListProtectionPolicies"), s.token("admin", nil)
	var took [2][]time.Duration
	for n := range 10_000 {
		tenant := []string{othersTenant, unknownTenant}[n%2]
		began := time.Now()
		s.call(method, new(pb.ListProtectionPoliciesRequest), token, tenant)
		took[n%2] = append(took[n%2], time.Since(began))
	}
	for name, at := range map[string]int{"median": 50, "p95": 95} {
		var values [2]time.Duration
		for i := range took {
			slices.Sort(took[i])
			values[i] = took[i][len(took[i])*at/100]
		}
		if ratio := float64(values[0]) / float64(values[1]); ratio > 1.5 || ratio < 1/1.5 {
			t.Errorf("%s: %v for a tenant of others, %v for one that does not exist", name, values[0], values[1])
		}
	}
}
