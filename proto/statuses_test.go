package proto_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	backupstoragev1 "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// statuses returns the Statuses of the reasons, by reason, as a client received them over a real connection. They are
// the golden files of package service.
func statuses(t *testing.T) map[string]string {
	t.Helper()
	const folder = "../service/testdata/status"
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(folder + "/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(entry.Name(), ".txt")] = string(text)
	}
	return all
}

func TestStatusesMatchTheSpecsOfTheirReasons(t *testing.T) {
	line := regexp.MustCompile(`(?m)^(code|    retry_delay): (.+)$`)
	came := statuses(t)
	var wrong []string
	for _, r := range reasons() {
		text, ok := came[r.name]
		if !ok {
			continue
		}
		said := map[string]string{}
		for _, found := range line.FindAllStringSubmatch(text, -1) {
			said[strings.TrimSpace(found[1])] = found[2]
		}
		bad := func(f string, args ...any) { wrong = append(wrong, r.name+": "+fmt.Sprintf(f, args...)) }
		delay, retryInfo := said["retry_delay"]
		want := r.spec.GetCode()
		if second := r.spec.GetCodeWithRetryInfo(); second != 0 && retryInfo {
			want = second
			if got, err := time.ParseDuration(delay); err != nil || got != r.spec.GetRetryDelay().AsDuration() {
				bad("came with a delay of %s, want %s", delay, r.spec.GetRetryDelay().AsDuration())
			}
		}
		if said["code"] != want.String() {
			bad("came as %s, want %s", said["code"], want)
		}
		switch r.spec.GetRetry() {
		case backupstoragev1.ErrorSpec_NEVER:
			if retryInfo {
				bad("came with RetryInfo and is never to be retried")
			}
		case backupstoragev1.ErrorSpec_AFTER_DELAY:
			if !retryInfo {
				bad("came without RetryInfo")
			}
		}
	}
	report(t, wrong)
}

func TestPlannedReasonsHaveNoStatus(t *testing.T) {
	// A client that cancels makes the Status itself, so there is no golden file.
	unseen := "CANCELLED"
	came := statuses(t)
	var wrong []string
	for _, r := range reasons() {
		if _, ok := came[r.name]; ok == r.spec.GetPlanned() && r.name != unseen {
			wrong = append(wrong, fmt.Sprintf("%s: planned is %v, and a Status of it came: %v", r.name, r.spec.GetPlanned(), ok))
		}
	}
	report(t, wrong)
}
