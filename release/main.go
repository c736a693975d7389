// Command release writes the files of a release into a folder: the Go module, the server for each platform, the archive
// of the contract, client packages, and checksums of all of them. It publishes nothing.
//
// Usage, at the root of a checkout without changes:
//
//	go run ./release -version v0.1.0 -o DIR [-platforms linux/amd64,linux/arm64] [-packages python,rust]
//
// The same commit and the same version give the same files; README.md says where that depends on tools. They are made
// of the module zip, and not of the checkout: so what is released is what `go install` of the version builds.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

const modulePath = "github.com/m365backup/backupstorage"

// packages are the client packages besides the Go module. Each has a program clients/NAME/pack.
var packages = []string{"python", "typescript", "java", "rust"}

// options say what is made.
type options struct {
	root      string // Of the checkout.
	version   string // With the v that Go wants.
	folder    string
	platforms []string // As GOOS/GOARCH.
	packages  []string
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func command(arguments []string) error {
	flags := flag.NewFlagSet("release", flag.ExitOnError)
	version := flags.String("version", "", "version of the release, such as v0.1.0")
	folder := flags.String("o", "", "folder of the files; it must not exist")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64,darwin/arm64,windows/amd64", "platforms of the server")
	names := flags.String("packages", strings.Join(packages, ","), "client packages beside the Go module")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	o := options{version: *version, platforms: list(*platforms), packages: list(*names)}
	if flags.NArg() > 0 || *folder == "" {
		return errors.New("usage: go run ./release -version vX.Y.Z -o DIR; -help lists the flags")
	}
	if err := checkVersion(o.version); err != nil {
		return err
	}
	for _, name := range o.packages {
		if !slices.Contains(packages, name) {
			return fmt.Errorf("there is no package %q; there are %s", name, strings.Join(packages, ", "))
		}
	}
	for _, platform := range o.platforms {
		if goos, arch, ok := strings.Cut(platform, "/"); !ok || goos == "" || arch == "" {
			return fmt.Errorf("platform %q: want GOOS/GOARCH", platform)
		}
	}
	var err error
	if o.folder, err = filepath.Abs(*folder); err != nil {
		return err
	}
	if o.root, err = os.Getwd(); err != nil {
		return err
	}
	return release(o)
}

// list splits a list with commas. An empty text is an empty list.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// checkVersion refuses what Go would not take as a version of this module path, and what others would write
// differently.
func checkVersion(version string) error {
	major := semver.Major(version)
	if semver.Canonical(version) != version || (major != "v0" && major != "v1") {
		return fmt.Errorf("version %q: want vX.Y.Z or vX.Y.Z-rc.1, with a major version of 0 or 1", version)
	}
	return nil
}

// release makes the files in the order in which they need one another. A failure leaves no folder behind.
func release(o options) (err error) {
	if err := os.Mkdir(o.folder, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() {
		_ = os.RemoveAll(scratch)
		if err != nil {
			_ = os.RemoveAll(o.folder)
		}
	}()
	commit, err := cleanCommit(o.root)
	if err != nil {
		return err
	}
	source := filepath.Join(scratch, "source")
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"module", func() error { return writeModule(o, commit, source) }},
		{"contract", func() error { return writeContract(o, commit, source, filepath.Join(scratch, "contract")) }},
		{"server", func() error { return buildServers(o, source) }},
		{"image", func() error { return buildImage(o, commit, source) }},
		{"packages", func() error {
			return packAll(o, commit, source, filepath.Join(scratch, "contract", "protos"))
		}},
		{"changelog", func() error { return copyFile(source, o.folder, "CHANGELOG.md") }},
		{"checksums", func() error { return writeChecksums(o.folder) }},
	} {
		fmt.Println("release:", step.what)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}
