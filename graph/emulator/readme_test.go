package emulator_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheReadmesCommandsAskTheEmulatorThatItStarts(t *testing.T) {
	text := readme(t)
	started := regexp.MustCompile(`--listen 127\.0\.0\.1:(\d+)`).FindStringSubmatch(text)
	if started == nil {
		t.Fatal("the README starts no emulator")
	}
	for _, asked := range regexp.MustCompile(`localhost:(\d+)`).FindAllStringSubmatch(text, -1) {
		if asked[1] != started[1] {
			t.Errorf("the README starts port %s and asks port %s", started[1], asked[1])
		}
	}
}

func TestTheReadmesRulesAreAccepted(t *testing.T) {
	found := regexp.MustCompile(`(?m)^f '(.*)'$`).FindAllStringSubmatch(readme(t), -1)
	if len(found) < 15 {
		t.Fatalf("%d rules in the README", len(found))
	}
	for _, m := range found {
		w := newWorld(t)
		w.send(http.MethodPost, "/_emulator/faults", m[1]).want(200)
	}
}

func TestTheReadmesControlRequestsAreAccepted(t *testing.T) {
	found := regexp.MustCompile(`(?s)localhost:8080(/_emulator/(?:clock|seed|groups)) -d '(.*?)'`).FindAllStringSubmatch(readme(t), -1)
	if len(found) < 4 {
		t.Fatalf("%d requests in the README", len(found))
	}
	for _, m := range found {
		w := newWorld(t)
		w.send(http.MethodPost, m[1], m[2]).want(200)
	}
}

func TestTheReadmesBatchIsAnswered(t *testing.T) {
	found := regexp.MustCompile(`(?s)localhost:8080/v1\.0/\$batch'.*? -d '(.*?)'`).FindStringSubmatch(readme(t))
	if found == nil {
		t.Fatal("the README has no batch")
	}
	r := newWorld(t).send(http.MethodPost, "/v1.0/$batch", found[1], "Content-Type", "application/json").want(200)
	for _, part := range r.list("responses") {
		if status := part.(map[string]any)["status"]; status != 200.0 {
			t.Errorf("a part has status %v", status)
		}
	}
}

func TestTheReadmeGivesTheFixedIds(t *testing.T) {
	text := readme(t)
	for name, id := range map[string]string{
		"TenantA": emulator.TenantA, "TenantB": emulator.TenantB, "TenantC": emulator.TenantC,
		"DefaultApp": emulator.DefaultApp, "UserA1": emulator.UserA1, "UserANoLicense": emulator.UserANoLicense,
		"UserARestoreFails": emulator.UserARestoreFails, "UserAPreservationLock": emulator.UserAPreservationLock,
		"SiteA1": emulator.SiteA1, "GroupA1": emulator.GroupA1, "PolicyC": emulator.PolicyC,
		"UnitCDynamic": emulator.UnitCDynamic, "UnitCManual": emulator.UnitCManual,
	} {
		if !regexp.MustCompile("(?m)^\\| `" + name + "`.*`" + regexp.QuoteMeta(id) + "`").MatchString(text) {
			t.Errorf("the README does not give %s as %s", name, id)
		}
	}
	// And the index gives the same.
	index := string(newWorld(t).send(http.MethodGet, "/_emulator/", nil).want(200).raw)
	for _, id := range []string{emulator.TenantC, emulator.SiteA3, emulator.GroupANested, emulator.UnitCManual} {
		if !strings.Contains(index, id) {
			t.Errorf("the index does not give %s", id)
		}
	}
}
