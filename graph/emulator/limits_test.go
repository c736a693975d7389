package emulator

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pageOfLimits is LIMITS.md, which says what is read from where.
func pageOfLimits(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("LIMITS.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// section is what stands below a heading.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the page has no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// general writes the operation of one workload as that of all three.
func general(operation string) string {
	operation = regexp.MustCompile(`(exchange|oneDriveForBusiness|sharePoint)(ProtectionPolicies|RestoreSessions)`).ReplaceAllString(operation, "{workload}$2")
	return regexp.MustCompile(`(mailbox|drive|site|Mailbox|Drive|Site)(ProtectionUnits|InclusionRules|RestoreArtifacts)`).ReplaceAllString(operation, "{thing}$2")
}

// Every operation that no page of Microsoft's documents stands in the table, and
// no other does.
func TestThePageListsWhatNoPageDocuments(t *testing.T) {
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:GET|POST|PATCH|DELETE) [^`]+)` \\|").FindAllStringSubmatch(
		section(t, pageOfLimits(t), "Operations that no page documents"), -1) {
		if listed[row[1]] {
			t.Errorf("%s stands there twice", row[1])
		}
		listed[row[1]] = true
	}
	want := map[string]bool{}
	for _, rt := range sdkRoutes() {
		want[general(rt.operation())] = true
	}
	for _, operation := range slices.Sorted(maps.Keys(want)) {
		if !listed[operation] {
			t.Errorf("the page does not have %s", operation)
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(listed)) {
		if !want[operation] {
			t.Errorf("the page has %s, which the emulator does not", operation)
		}
	}
}

// Each code that the page calls a guess is one that the emulator sends.
func TestGuessedCodesAreSent(t *testing.T) {
	sent := ""
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".go") && !strings.HasSuffix(f.Name(), "_test.go") {
			text, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			sent += string(text)
		}
	}
	codes := regexp.MustCompile("\\b[45]\\d\\d `([A-Za-z_]+)`").FindAllStringSubmatch(pageOfLimits(t), -1)
	if len(codes) < 10 {
		t.Errorf("the page has %d codes", len(codes))
	}
	for _, code := range codes {
		if !strings.Contains(sent, `"`+code[1]+`"`) {
			t.Errorf("the emulator never sends %s", code[1])
		}
	}
}
