package service_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// A slow call says in its line why it was slow: how many requests it took, and how long it waited.
func TestLineOfACallSaysWhatItTook(t *testing.T) {
	var requests atomic.Int64
	s := servicetest.NewRepeating(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("Retry-After", "0.2")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{"value":[]}`)
	})
	for _, want := range []struct{ attempts, minWaitedMs int }{{2, 200}, {1, 0}} {
		if o := s.Try("ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest)); o.Status != nil {
			t.Fatal(o.Status)
		}
		lines := strings.Split(strings.TrimSpace(s.Log.String()), "\n")
		var line struct {
			Attempts *int
			WaitedMs *int
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
			t.Fatal(err)
		}
		if line.Attempts == nil || *line.Attempts != want.attempts || line.WaitedMs == nil || *line.WaitedMs < want.minWaitedMs {
			t.Errorf("got %s, want %d attempts and at least %d ms", lines[len(lines)-1], want.attempts, want.minWaitedMs)
		}
	}
	// A call that is refused before it sends anything has none.
	s.Try("ProtectionPolicyService/GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: "a/b"})
	if log := s.Log.String(); !strings.Contains(log, `"attempts":0,"waitedMs":0,"graphDuration":0,"code":"InvalidArgument"`) {
		t.Errorf("the refused call: %s", log)
	}
}
