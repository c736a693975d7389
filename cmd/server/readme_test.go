package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// update writes the tables of flags, by "go test ./cmd/server -run ConfigurationPage -update".
var update = flag.Bool("update", false, "write the tables of docs/configuration.md")

// The lines between which docs/configuration.md has the tables of flags.
const (
	tablesBegin = "<!-- flags: written by go test ./cmd/server -run ConfigurationPage -update -->\n"
	tablesEnd   = "<!-- end of flags -->\n"
)

func TestConfigurationPageHasEveryFlag(t *testing.T) {
	const path = "../../docs/configuration.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), tablesBegin)
	old, after, found := strings.Cut(rest, tablesEnd)
	if !ok || !found {
		t.Fatalf("%s has not both %q and %q", path, tablesBegin, tablesEnd)
	}
	p, err := parse(nil, nil, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	tables := flagTables(p.context.Selected().Flags)
	if tables == old {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not those of the flags: run go test ./cmd/server -run ConfigurationPage -update", path)
	}
	if err := os.WriteFile(path, []byte(before+tablesBegin+tables+tablesEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flagTables are the tables of flags, one for each group.
func flagTables(flags []*kong.Flag) string {
	// What stands in the help without quotes, and in the page as code.
	code := regexp.MustCompile(`--[a-z][a-z-]+|\b[A-Z]+_[A-Z_]+\b|\bx-[a-z-]+\b|unix:///\w+`)
	var tables strings.Builder
	group := ""
	for _, flag := range flags {
		if flag.Group.Title != group {
			group = flag.Group.Title
			fmt.Fprintf(&tables, "\n### %s\n\n| flag | default | meaning |\n|---|---|---|\n", group)
		}
		text := strings.ReplaceAll(flag.Tag.Get("page"), "~", "`")
		if text == "" {
			text = code.ReplaceAllString(flag.Help, "`$0`")
		}
		value := flag.Default
		if flag.IsBool() && value == "" {
			value = "false"
		}
		if value != "" {
			value = "`" + value + "` "
		}
		fmt.Fprintf(&tables, "| `--%s` | %s| %s |\n", flag.Name, value, text)
	}
	return tables.String() + "\n"
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
