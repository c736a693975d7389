package emulator

import (
	"net/http"
	"testing"
)

// Which members are evolved depends on the resource: failed is one of sessions
// only.
func TestWhichMembersAreEvolved(t *testing.T) {
	for _, tc := range []struct{ template, body, want string }{
		{"/restoreSessions", `{"value":[{"status":"failed","restoreJobType":"granular"}]}`, `{"value":[{"status":"unknownFutureValue","restoreJobType":"unknownFutureValue"}]}`},
		{"/restoreSessions/{sessionId}", `{"status":"failed"}`, `{"status":"unknownFutureValue"}`},
		{"/exchangeRestoreSessions/{sessionId}", `{"status":"failed"}`, `{"status":"unknownFutureValue"}`},
		{"/restoreSessions/{sessionId}/activate", `{"status":"failed"}`, `{"status":"unknownFutureValue"}`},
		{"/exchangeRestoreSessions/{sessionId}/mailboxRestoreArtifacts", `{"status":"failed"}`, `{"status":"failed"}`},
		{"/oneDriveForBusinessRestoreSessions/{sessionId}/granularDriveRestoreArtifacts", `{"status":"failed"}`, `{"status":"failed"}`},
		{"/browseSessions", `{"status":"failed"}`, `{"status":"failed"}`},
		{"/protectionUnits", `{"status":"offboarded","x":"status\":\"offboarded"}`, `{"status":"unknownFutureValue","x":"status\":\"offboarded"}`},
		{"/protectionUnits", `{"status":"protected"}`, `{"status":"protected"}`},
		{"/", `{"status":"enabled"}`, `{"status":"enabled"}`},
	} {
		r, err := http.NewRequest(http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &call{r: r, route: &route{segments: splitTemplate(tc.template)}}
		if got := string(c.hideEvolved([]byte(tc.body))); got != tc.want {
			t.Errorf("%s: %s became %s, want %s", tc.template, tc.body, got, tc.want)
		}
		r.Header.Set("Prefer", preferUnknown)
		if got := string(c.hideEvolved([]byte(tc.body))); got != tc.body {
			t.Errorf("%s: %s became %s although it was preferred", tc.template, tc.body, got)
		}
	}
}
