package emulator_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Whoever imports the emulator gets the standard library alone with it.
func TestTheEmulatorNeedsTheStandardLibraryAlone(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(path, "github.com/m365backup/backupstorage/graph/emulator") {
			t.Errorf("it imports %s", path)
		}
	}
}
