package web_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/web"
)

// TestFilesOfThePage checks what the web port relies on: that index.html names files that are there, by names with a
// hash, and has no script or style of its own, which its policy would forbid.
func TestFilesOfThePage(t *testing.T) {
	files := web.Files()
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?:src|href)="(assets/[^"]*)"`).FindAllSubmatch(index, -1)
	if len(named) != 3 {
		t.Errorf("index.html names %d assets, want script, style and icon:\n%s", len(named), index)
	}
	hashed := regexp.MustCompile(`^assets/[a-z]+-[0-9a-f]{10}\.(js|css|svg)$`)
	for _, match := range named {
		name := string(match[1])
		if !hashed.MatchString(name) {
			t.Errorf("%s has no hash in its name", name)
		}
		if info, err := fs.Stat(files, name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, forbidden := range []string{"<style", " style=", "<script>", "http://", "https://", " onload="} {
		if strings.Contains(string(index), forbidden) {
			t.Errorf("index.html has %q", forbidden)
		}
	}
	licences, err := fs.ReadFile(files, "licenses.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"@bufbuild/protobuf ", "@connectrpc/connect-web ", "preact ", "Apache License"} {
		if !strings.Contains(string(licences), name) {
			t.Errorf("licenses.txt does not name %s", name)
		}
	}
}
