package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheREADMEHasEveryFlagAndItsDefault(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	table := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`)? ?\\|").FindAllStringSubmatch(string(readme), -1) {
		table[row[1]] = row[2]
	}
	var help bytes.Buffer
	if _, err := readConfig([]string{"--help"}, environment(nil), &help); err == nil {
		t.Fatal("--help is no error")
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
			t.Errorf("--%s has default %q; in the README: %v, %q", flag[1], value, ok, got)
		}
		delete(table, flag[1])
	}
	for name := range table {
		t.Errorf("--%s is in the README and not a flag", name)
	}
}

func TestTheREADMEShowsWhatTheClientsPageShows(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	clients, err := os.ReadFile("../../clients/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"go", "python", "ts"} {
		excerpt := regexp.MustCompile("(?s)```" + language + "\n.*?```\n").Find(readme)
		if excerpt == nil || !bytes.Contains(clients, excerpt) {
			t.Errorf("the excerpt in %s is not that of clients/README.md", language)
		}
	}
}
