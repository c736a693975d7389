package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestConfigurationPageHasEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	// Rows of the table: | `--flag` | `default` | meaning |
	table := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`)? ?\\|").FindAllStringSubmatch(string(page), -1) {
		table[row[1]] = row[2]
	}
	var help bytes.Buffer
	if _, err := readConfig([]string{"--help"}, environment(nil), &help); err == nil {
		t.Fatal("--help returned no error")
	}
	flags := regexp.MustCompile(`(?m)^  -([a-z-]+)[^\n]*\n((?:    [^\n]*\n)+)`).FindAllStringSubmatch(help.String(), -1)
	if len(flags) < 10 {
		t.Fatalf("only %d flags in %s", len(flags), &help)
	}
	for _, flag := range flags {
		value := "0s"
		if found := regexp.MustCompile(`\(default "?([^")]*)"?\)`).FindStringSubmatch(flag[2]); found != nil {
			value = found[1]
		} else if !strings.Contains(flag[0], "duration") {
			value = ""
		}
		got, ok := table[flag[1]]
		if got == "false" {
			got = ""
		}
		if !ok || got != value {
			t.Errorf("--%s has default %q; on the page: %v, %q", flag[1], value, ok, got)
		}
		delete(table, flag[1])
	}
	for name := range table {
		t.Errorf("--%s is on the page, and is not a flag", name)
	}
}

func TestREADMELinksEveryPage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages in docs: %v", len(pages), err)
	}
	for _, page := range pages {
		if link := "](docs/" + filepath.Base(page) + ")"; !bytes.Contains(readme, []byte(link)) {
			t.Errorf("README.md has no link to docs/%s", filepath.Base(page))
		}
	}
}

// Links between pages go to files, and to headings in them, that exist.
func TestLinksBetweenPagesWork(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "SECURITY.md", "VERSIONING.md", "CHANGELOG.md", "clients/README.md", "cmd/server/STORIES.md", "proto/OPERATIONS.md"} {
		pages = append(pages, filepath.Join("../..", page))
	}
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`) // Without a colon: within the repository.
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := page
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(page), found[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", page, found[0], err)
			} else if found[2] != "" && !hasHeading(t, target, found[2]) {
				t.Errorf("%s: %s: no such heading", page, found[0])
			}
		}
	}
}

// hasHeading reports whether a page has a heading whose anchor, as GitHub makes it, is the given one.
func hasHeading(t *testing.T, page, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		if strings.ReplaceAll(kept, " ", "-") == anchor {
			return true
		}
	}
	return false
}
