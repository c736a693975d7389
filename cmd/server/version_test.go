package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func TestVersionIsThatOfTheBuild(t *testing.T) {
	stamp := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc"}}
	for _, test := range []struct {
		name, linked      string
		info              *debug.BuildInfo
		version, revision string
	}{
		{"a release", "v1.2.3", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026+dirty"}, Settings: stamp}, "v1.2.3", "abc"},
		{"go install of a version", "", &debug.BuildInfo{Main: debug.Module{Version: "v0.4.0"}}, "v0.4.0", "unknown"},
		// The same source without its repository has no such version.
		{"a working copy", "", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026+dirty"}, Settings: stamp}, development, "abc"},
		{"a folder", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, development, "unknown"},
		{"no build info", "", nil, development, "unknown"},
	} {
		if got := versionOf(test.linked, test.info); got.Version != test.version || got.Revision != test.revision {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

// --version, /version, the metric and the user agent say the same. With the variables RELEASED_… a program that was
// built elsewhere is asked, which is how the programs of a release are tested.
func TestAllSayTheSameVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("it links the program")
	}
	program, version := os.Getenv("RELEASED_SERVER"), os.Getenv("RELEASED_VERSION")
	if program == "" {
		program, version = filepath.Join(t.TempDir(), "server"), "v9.8.7"
		build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X main.version="+version, "-o", program, ".")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), program, "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "backupstorage server "+version+" ") {
		t.Errorf("--version: %v, %q", err, out)
	}
	agents := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{}"))
	}))
	defer upstream.Close()
	server, log := process(t, "BACKUPSTORAGE_GRAPH_ENDPOINT="+upstream.URL+"/v1.0", "BACKUPSTORAGE_ADMIN_LISTEN=127.0.0.1:0")
	server.Path, server.Args = program, []string{program}
	lines := new(logBuffer)
	server.Stderr = lines
	conn, stop := begin(t, server)
	ctx, _ := as(t.Context(), someGUID, "")
	if _, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest)); err != nil {
		t.Fatal(err)
	}
	if agent := <-agents; agent != "ISV|m365backup|backupstorage/"+strings.TrimPrefix(version, "v") {
		t.Errorf("the user agent is %q", agent)
	}
	url := (&running{log: lines}).admin(t)
	var served struct{ Version string }
	if _, text := page(t, url+"/version"); json.Unmarshal([]byte(text), &served) != nil || served.Version != version {
		t.Errorf("/version: %s", text)
	}
	if _, text := page(t, url+"/metrics"); !strings.Contains(text, `version="`+version+`"} 1`) {
		t.Error("build_info has another version")
	}
	if err := stop(); err != nil {
		t.Errorf("%v: %s", err, log)
	}
}

// It is asked for by people and scripts, who have no configuration or a wrong one.
func TestVersionNeedsNoConfiguration(t *testing.T) {
	for _, arguments := range [][]string{{"--version"}, {"-version"}, {"serve", "--version"}} {
		var out bytes.Buffer
		_, err := parse(arguments, variables{"BACKUPSTORAGE_LISTEN": "canary", "BACKUPSTORAGE_VERSION": "true"}, &out)
		if !errors.Is(err, errHelp) || !strings.HasPrefix(out.String(), "backupstorage server "+development+" (revision ") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q: %v, %s", arguments, err, &out)
		}
	}
	// A variable is no question.
	if _, err := parse(nil, variables{"BACKUPSTORAGE_VERSION": "true"}, io.Discard); err == nil || !strings.Contains(err.Error(), "BACKUPSTORAGE_VERSION belongs to no flag") {
		t.Errorf("the variable: %v", err)
	}
}
