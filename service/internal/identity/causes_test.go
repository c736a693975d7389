package identity

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// A cause that is not in the list has no series of its own.
func TestCausesAreAll(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []Cause
	for _, match := range regexp.MustCompile(`\bCause = "([^"]+)"`).FindAllSubmatch(source, -1) {
		declared = append(declared, Cause(match[1]))
	}
	if len(declared) == 0 || !slices.Equal(declared, Causes) {
		t.Errorf("declared are %q, in the list %q", declared, Causes)
	}
}
