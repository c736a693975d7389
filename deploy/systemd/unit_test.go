// Package systemd has only a test: it compares the unit with the numbers of the server.
package systemd

import (
	"os"
	"regexp"
	"testing"
	"time"
)

// lastCalls is what the server needs beyond its drain timeout.
const lastCalls = 5 * time.Second

func TestUnitWaitsForTheDrain(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("backupstorage.service")
	if err != nil {
		t.Fatal(err)
	}
	duration := func(pattern string) time.Duration {
		match := regexp.MustCompile(pattern).FindSubmatch(unit)
		if match == nil {
			t.Fatalf("the unit has no %s", pattern)
		}
		d, err := time.ParseDuration(string(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	wait, timeout := duration(`BACKUPSTORAGE_DRAIN_WAIT=(\S+)`), duration(`BACKUPSTORAGE_DRAIN_TIMEOUT=(\S+)`)
	if stop := duration(`(?m)^TimeoutStopSec=(\S+)`); wait+timeout+lastCalls > stop {
		t.Errorf("systemd kills after %v: %v, %v and %v do not fit", stop, wait, timeout, lastCalls)
	}
	// mixed: SIGTERM goes to the server alone, SIGKILL to whatever is left.
	for _, line := range []string{"KillMode=mixed", "KillSignal=SIGTERM", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="} {
		if !regexp.MustCompile("(?m)^" + line + "$").Match(unit) {
			t.Errorf("the unit has no %s", line)
		}
	}
}
