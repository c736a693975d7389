package metrics_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/metrics"
	"github.com/m365backup/backupstorage/service"
)

// Metrics allocate nothing on the way of a call.
func TestMetricsAllocateNothing(t *testing.T) {
	m := metrics.New(metrics.Build{}, metrics.Emulator)
	const method = "/" + backupRestore + "/GetBackupRestore"
	request := &graph.Request{Method: http.MethodGet, Safe: true}
	began := time.Now()
	attempt := graph.Attempt{Request: request, Began: began, Ended: began.Add(time.Millisecond), Meta: graph.Meta{Status: 200}}
	failed := service.CallInfo{Method: method, Code: 5, Reason: "NOT_FOUND", Fault: "caller", Duration: time.Millisecond}
	for name, do := range map[string]func(){
		"a call":        func() { m.CallBegan(method); m.CallEnded(service.CallInfo{Method: method, Duration: time.Millisecond}) },
		"a failed call": func() { m.CallBegan(method); m.CallEnded(failed) },
		"an attempt":    func() { m.Attempted(t.Context(), attempt) },
		"a repeat":      func() { m.Repeated(graph.RepeatThrottled) },
	} {
		// The first one makes the native bucket.
		do()
		if n := testing.AllocsPerRun(1000, do); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
