package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// commit is what is released.
type commit struct {
	hash string
	// time is the only time that files of the release contain.
	time time.Time
}

// cleanCommit returns the commit that is checked out, and refuses a checkout with changes: they would not be released.
func cleanCommit(root string) (commit, error) {
	changes, err := output(root, "git", "status", "--porcelain")
	if err != nil {
		return commit{}, err
	}
	if changes != "" {
		return commit{}, errors.New("the checkout has changes; commit them first")
	}
	text, err := output(root, "git", "log", "-1", "--format=%H %cI")
	if err != nil {
		return commit{}, err
	}
	hash, stamp, _ := strings.Cut(text, " ")
	when, err := time.Parse(time.RFC3339, stamp)
	return commit{hash: hash, time: when.UTC()}, err
}

// writeModule writes the Go module in the layout of a module proxy of files, and unpacks it into source.
func writeModule(o options, c commit, source string) error {
	m := module.Version{Path: modulePath, Version: o.version}
	folder := filepath.Join(o.folder, "packages", "go", filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var archive bytes.Buffer
	// What git has, and not what lies in the checkout: ignored files would get into the zip.
	committed := source + "-committed"
	if err := os.Mkdir(committed, 0o755); err != nil {
		return err
	}
	if err := run(o.root, nil, "sh", "-c", `git archive --format=tar "$1" | tar -xf - -C "$2"`, "sh", c.hash, committed); err != nil {
		return err
	}
	if err := zip.CreateFromDir(&archive, m, committed); err != nil {
		return err
	}
	goMod, err := os.ReadFile(filepath.Join(committed, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{o.version, c.time})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list": []byte(o.version + "\n"), o.version + ".info": info, o.version + ".mod": goMod, o.version + ".zip": archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return zip.Unzip(source, m, filepath.Join(folder, o.version+".zip"))
}

// output runs a program and returns what it prints, without the last line end.
func output(folder, name string, arguments ...string) (string, error) {
	command := exec.Command(name, arguments...)
	command.Dir, command.Stderr = folder, os.Stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(command.Args, " "), err)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

// run runs a program with variables on top of the environment, and shows what it prints when it fails.
func run(folder string, variables []string, name string, arguments ...string) error {
	command := exec.Command(name, arguments...)
	command.Dir, command.Env = folder, append(os.Environ(), variables...)
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, text)
	}
	return nil
}

func copyFile(from, to, name string) error {
	content, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, filepath.Base(name)), content, 0o644)
}
