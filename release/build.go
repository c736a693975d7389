package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// buildServers writes a static server, and the emulator alone, for each platform. They have neither paths of this
// machine nor the state of a checkout.
func buildServers(o options, source string) error {
	for _, platform := range o.platforms {
		system, arch, _ := strings.Cut(platform, "/")
		for _, program := range []string{"server", "emulator"} {
			name := fmt.Sprintf("backupstorage-%s_%s_%s_%s", program, o.version, system, arch)
			if system == "windows" {
				name += ".exe"
			}
			err := run(source, []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + arch, "GOFLAGS="}, "go", "build", "-trimpath", "-buildvcs=false",
				"-ldflags", "-s -w -buildid= -X main.version="+o.version, "-o", filepath.Join(o.folder, program, name), "./cmd/"+program)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// buildImage writes an image layout for each Linux, and the list of its modules beside it.
func buildImage(o options, c commit, source string) error {
	for _, platform := range o.platforms {
		if arch, ok := strings.CutPrefix(platform, "linux/"); ok {
			layout := filepath.Join(o.folder, "image", arch)
			if err := os.MkdirAll(filepath.Dir(layout), 0o755); err != nil {
				return err
			}
			if err := run(source, []string{epoch(c)}, "go", "run", "./deploy/image", "-o", layout, "-version", o.version, "-revision", c.hash, "-arch", arch); err != nil {
				return err
			}
		}
	}
	return nil
}

// packAll has the programs clients/NAME/pack make the client packages of the unpacked archive of the contract.
func packAll(o options, c commit, source, protos string) error {
	for _, name := range o.packages {
		fmt.Println("release: package", name)
		folder := filepath.Join(o.folder, "packages", name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		// A module zip has no modes, so the shell gets the program by name. Tools put the modes of the files that they write
		// into jar and wheel: these must not be those that somebody's umask leaves.
		pack := filepath.Join(source, "clients", name, "pack")
		if err := run(source, []string{epoch(c)}, "bash", "-c", `umask 022 && exec bash "$@"`, "bash", pack, protos, strings.TrimPrefix(o.version, "v"), folder); err != nil {
			return err
		}
	}
	return nil
}

// epoch tells other tools the only time that they may write into their files.
func epoch(c commit) string { return "SOURCE_DATE_EPOCH=" + strconv.FormatInt(c.time.Unix(), 10) }

// writeChecksums writes checksums.txt in the form of sha256sum, which checks it: sha256sum -c checksums.txt.
func writeChecksums(folder string) error {
	var lines strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(content), filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "checksums.txt"), []byte(lines.String()), 0o644)
}
