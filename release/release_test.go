package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	for _, version := range []string{"v0.1.0", "v1.0.0", "v0.1.0-rc.1"} {
		if err := checkVersion(version); err != nil {
			t.Errorf("%s is refused: %v", version, err)
		}
	}
	// v2 would need another module path, and Go does not take builds (+…) as versions of a module.
	for _, version := range []string{"", "0.1.0", "v1", "v0.1", "v2.0.0", "v0.1.0+build", "v0.01.0", "v0.1.0 ", "main"} {
		if checkVersion(version) == nil {
			t.Errorf("%q is taken for a version", version)
		}
	}
}

func TestWrongArgumentsLeaveNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "release")
	for _, c := range []struct{ arguments, want string }{
		{"-version v0.1.0", "usage"},
		{"-o FOLDER", "version"},
		{"-version 0.1.0 -o FOLDER", "version"},
		{"-version v0.1.0 -o FOLDER more", "usage"},
		{"-version v0.1.0 -o FOLDER -packages python,cobol", "cobol"},
		{"-version v0.1.0 -o FOLDER -platforms linux", "linux"},
		{"-version v0.1.0 -o FOLDER -platforms /amd64", "/amd64"},
	} {
		arguments := strings.Fields(strings.ReplaceAll(c.arguments, "FOLDER", folder))
		if err := command(arguments); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.arguments, err, c.want)
		}
		if exists(folder) {
			t.Fatalf("%s left a folder", c.arguments)
		}
	}
	// A folder that is there already is somebody's.
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := command([]string{"-version", "v0.1.0", "-o", folder}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a folder that exists: error %v, want %v", err, os.ErrExist)
	}
	if !exists(folder) {
		t.Error("somebody's folder was deleted")
	}
}

// TestArchiveDependsOnContentAlone writes two folders with the same files at different times, in different orders and
// with different modes.
func TestArchiveDependsOnContentAlone(t *testing.T) {
	c := commit{time: time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)}
	var archives [][]byte
	names := []string{"protos/a.proto", "protos/b/c.proto", "protos/z.json"}
	for i, mode := range []os.FileMode{0o644, 0o600} {
		folder := t.TempDir()
		for _, name := range names {
			path := filepath.Join(folder, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("content of "+name), mode); err != nil {
				t.Fatal(err)
			}
			when := time.Unix(int64(1e9*(i+1)), 0)
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
		}
		slices.Reverse(names)
		to := filepath.Join(t.TempDir(), "protos.tar.gz")
		if err := writeArchive(to, folder, c); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives of two folders with the same files differ")
	}
	zipped, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil || string(content) != "content of "+header.Name || !header.ModTime.Equal(c.time) {
			t.Errorf("%s has %q of %v (%v)", header.Name, content, header.ModTime, err)
		}
		found = append(found, header.Name)
	}
	slices.Sort(names)
	if !slices.Equal(found, names) {
		t.Errorf("the archive has %v, want %v", found, names)
	}
}
