package emulator

import (
	"testing"
)

func TestEveryDocumentedStatusIsAnErrorStatus(t *testing.T) {
	for _, rt := range apiRoutes() {
		for _, code := range []string{"InvalidCreateRequest", "RestoreArtifactsLimitBreached", "PolicySaveFailed"} {
			if status, ok := documentedStatus(rt.method, code); !ok || status < 400 {
				t.Errorf("%s: %d %v", code, status, ok)
			}
		}
	}
	if s, _ := documentedStatus("PATCH", "RestoreArtifactsLimitBreached"); s != 400 {
		t.Errorf("on PATCH: %d", s)
	}
	for _, code := range []string{"UnknownError", "QuotaExceeded", "ProtectionUnitNotFound", "Invalid", ""} {
		if _, ok := documentedStatus("GET", code); ok {
			t.Errorf("%q has a status for a whole call", code)
		}
	}
}
