package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// contractFiles stand beside the protos in the archive. service_config_replicas.json is for clients that connect to
// each replica.
var contractFiles = []string{"proto/errors.json", "proto/service_config.json", "proto/service_config_replicas.json", "LICENSE"}

// writeContract writes protos.tar.gz, which has all that a client of any language is made of, and released.binpb, with
// which `buf breaking` guards the contract from this release on. The unpacked archive stays in scratch.
//
// A contract that breaks that of the last release is refused, before anything is built.
func writeContract(o options, c commit, source, scratch string) error {
	protos := filepath.Join(scratch, "protos")
	if err := run(source, nil, "go", "run", "./cmd/print-google-protos", filepath.Join(protos, "thirdparty")); err != nil {
		return err
	}
	if err := copyProtos(filepath.Join(source, "proto"), filepath.Join(protos, "proto")); err != nil {
		return err
	}
	// The archive's own buf.yaml: a folder that is not hidden, since here it is no product of the build.
	settings, err := os.ReadFile(filepath.Join(source, "buf.yaml"))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(settings), ".thirdparty", "thirdparty")
	if err := os.WriteFile(filepath.Join(protos, "buf.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	for _, name := range contractFiles {
		if err := copyFile(source, protos, name); err != nil {
			return err
		}
	}
	buf := func(arguments ...string) error {
		return run(source, nil, "go", append([]string{"tool", "buf"}, arguments...)...)
	}
	if last := filepath.Join(source, "proto", "released.binpb"); exists(last) {
		if err := buf("breaking", filepath.Join(protos, "proto"), "--against", last); err != nil {
			return err
		}
	}
	if err := buf("build", protos, "--as-file-descriptor-set", "-o", filepath.Join(protos, "descriptors.binpb")); err != nil {
		return err
	}
	released := filepath.Join(o.folder, "released.binpb")
	if err := buf("build", filepath.Join(protos, "proto"), "--exclude-source-info", "-o", released); err != nil {
		return err
	}
	return writeArchive(filepath.Join(o.folder, "protos.tar.gz"), scratch, c)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// copyProtos copies the protos alone: the folder has tests and pages too.
func copyProtos(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".proto" {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		folder := filepath.Join(to, filepath.Dir(name))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		return copyFile(from, folder, name)
	})
}

// writeArchive packs a folder. Nothing of this machine gets into the archive: its files have one owner, one mode, the
// time of the commit, and the order of their names.
func writeArchive(to, folder string, c commit) error {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		header := tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(content)), ModTime: c.time, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	for _, closer := range []io.Closer{archive, zipped, file} {
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return nil
}
