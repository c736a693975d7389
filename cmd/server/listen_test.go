package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials/insecure"
)

func TestSocketServesAndIsRemoved(t *testing.T) {
	for flag, want := range map[string]os.FileMode{"": 0o600, "0660": 0o660} {
		path := filepath.Join(t.TempDir(), "s")
		arguments := []string{"--listen", "unix://" + path}
		if flag != "" {
			arguments = append(arguments, "--unix-mode", flag)
		}
		r := start(t, arguments...)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want || info.Mode().Type() != os.ModeSocket {
			t.Errorf("--unix-mode %q: the socket has mode %v", flag, info.Mode())
		}
		if err := callOnce(t, r.address, insecure.NewCredentials()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(r.banner, "on unix://"+path+",") || !strings.Contains(r.banner, "-plaintext -unix "+path+" ") {
			t.Errorf("banner: %s", r.banner)
		}
		r.end(t)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}

func TestOnlyStaleSocketsAreReplaced(t *testing.T) {
	folder := t.TempDir()
	stale := filepath.Join(folder, "stale")
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	killed.Close()
	r := start(t, "--listen", "unix://"+stale)
	if err := callOnce(t, r.address, insecure.NewCredentials()); err != nil {
		t.Errorf("a stale socket: %v", err)
	}
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, says string }{
		{"a socket in use", stale, "in use"},
		{"a file", file, "no socket"},
		{"a folder", folder, "no socket"},
		{"a folder that is not there", filepath.Join(folder, "no", "s"), "no such file"},
	} {
		c, err := readConfig([]string{"--listen", "unix://" + test.path}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), c, io.Discard, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--listen: ") || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
		t.Errorf("the file: %q, %v", content, err)
	}
	if err := callOnce(t, r.address, insecure.NewCredentials()); err != nil {
		t.Errorf("the server on the socket in use: %v", err)
	}
}

// A socket that another server made meanwhile is not removed.
func TestSocketOfAnotherServerStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := listenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	second, err := listenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the second socket is gone: %v", err)
	}
}
