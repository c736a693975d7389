// Command prove runs the server of an unpacked image as a cluster would, and fails unless it works.
//
// Usage, as root on Linux:
//
//	go run ./deploy/image -o DIR
//	umoci unpack --image DIR:devel BUNDLE
//	go run ./deploy/image/prove BUNDLE/rootfs DIR.cdx.json
//
// The server runs as user 65532 in the image's own files, mounted so that nobody can write, without /tmp, /proc and
// /dev. It must serve on its emulator, trust the image's root certificates and no others, and end cleanly. The list of
// modules must be that of the binary, and all files together at most 40 MB.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const maxBytes = 40_000_000

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: prove ROOTFS MODULES.cdx.json")
		os.Exit(2)
	}
	root, modules := os.Args[1], os.Args[2]
	for _, proof := range []struct {
		what string
		of   func() (string, error)
	}{
		{"size", func() (string, error) { return sizeOf(root) }},
		{"list of modules", func() (string, error) { return compareModules(filepath.Join(root, "server"), modules) }},
		{"read-only root", func() (string, error) { return serveOnEmulator(root) }},
		{"root certificates", func() (string, error) { return trustRoots(root) }},
	} {
		found, err := proof.of()
		if err != nil {
			fmt.Fprintf(os.Stderr, "prove: %s: %v\n", proof.what, err)
			os.Exit(1)
		}
		fmt.Printf("%s: %s\n", proof.what, found)
	}
}

func sizeOf(root string) (string, error) {
	var bytes int64
	err := filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err == nil && (bytes == 0 || bytes > maxBytes) {
		err = fmt.Errorf("%d bytes, which must be from 1 to %d", bytes, maxBytes)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6), err
}

// compareModules fails unless the list has each module that is linked into the binary, with its version, and no other.
func compareModules(binary, list string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", err
	}
	var linked []string
	for _, module := range info.Deps {
		linked = append(linked, module.Path+"@"+module.Version)
	}
	linked = append(linked, "std@"+info.GoVersion)
	data, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	var sbom struct {
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(data, &sbom); err != nil {
		return "", err
	}
	var listed []string
	for _, component := range sbom.Components {
		listed = append(listed, component.Name+"@"+component.Version)
	}
	slices.Sort(linked)
	slices.Sort(listed)
	if !slices.Equal(linked, listed) {
		return "", fmt.Errorf("the binary has\n%s\nand the list\n%s", strings.Join(linked, "\n"), strings.Join(listed, "\n"))
	}
	return fmt.Sprintf("%d modules", len(linked)), nil
}
