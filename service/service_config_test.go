package service

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// The service config is generated from the descriptors, which have no place for what this server does: two of its
// numbers are written there a second time.
func TestServiceConfigHasTheNumbersOfTheServer(t *testing.T) {
	text, err := os.ReadFile("../proto/service_config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		MethodConfig []struct {
			RetryPolicy struct{ InitialBackoff string }
		}
		RetryThrottling struct{ MaxTokens int }
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if len(config.MethodConfig) == 0 {
		t.Error("the service config is of no methods")
	}
	for i, class := range config.MethodConfig {
		if backoff, err := time.ParseDuration(class.RetryPolicy.InitialBackoff); err != nil || backoff != apierror.MinRetryDelay {
			t.Errorf("class %d: initialBackoff is %q, want the shortest delay that the server asks for, %v", i, class.RetryPolicy.InitialBackoff, apierror.MinRetryDelay)
		}
	}
	if got := config.RetryThrottling.MaxTokens; got != maxStreams {
		t.Errorf("maxTokens is %d, want the calls that a connection takes at once, %d", got, maxStreams)
	}
}
