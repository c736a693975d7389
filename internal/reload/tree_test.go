package reload

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readTree reads the file `root`, whose lines name others, and joins their contents.
func readTree(content []byte, read func(name string) ([]byte, error)) (string, error) {
	var all []string
	for name := range strings.FieldsSeq(string(content)) {
		if name == "broken" {
			return "", errors.New("broken")
		}
		text, err := read(name)
		if err != nil {
			return "", err
		}
		all = append(all, string(text))
	}
	return strings.Join(all, "+"), nil
}

func TestATreeIsTheFilesThatAFileNames(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	put(t, at("root"), "a b")
	put(t, at("a"), "1")
	put(t, at("b"), "2")
	s, err := OpenTree(nil, "tree", readTree, at("root"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(what, text string, failures uint64) {
		t.Helper()
		if got, _ := s.Read(); got != text || s.Failures() != failures {
			t.Errorf("%s: %q after %d failures, want %q after %d", what, got, s.Failures(), text, failures)
		}
	}
	want("at the start", "1+2", 0)
	put(t, at("b"), "3")
	want("another content", "1+3", 0)
	put(t, at("c"), "4")
	put(t, at("root"), "a b "+at("c"))
	want("one more file", "1+3+4", 0)
	put(t, at("c"), "5")
	want("a change of the new file", "1+3+5", 0)
	if err := os.Remove(at("b")); err != nil {
		t.Fatal(err)
	}
	want("a file that is gone", "1+3+5", 1)
	put(t, at("root"), "a c")
	want("a file that is named no more", "1+5", 1)
	put(t, at("root"), "a broken")
	want("a broken root", "1+5", 2)
	put(t, at("a"), "6")
	want("another file, and a broken root", "1+5", 3)
	put(t, at("root"), "c a a")
	want("a good root", "5+6+6", 3)
	put(t, at("c"), "7")
	want("a change after all that", "7+6+6", 3)
	if _, err := OpenTree(nil, "tree", readTree, at("b")); err == nil {
		t.Error("a root that is not there was opened")
	}
	put(t, at("lone"), "b")
	if _, err := OpenTree(nil, "tree", readTree, at("lone")); err == nil || !strings.Contains(err.Error(), "lone") {
		t.Errorf("a tree that lacks a file: %v", err)
	}
}
