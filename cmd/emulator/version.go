package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker when a release is built: -X main.version=v1.2.3.
var version string

// versionText is what --version prints: the version of the linker, else that of the module, as `go install` of a
// version has it.
func versionText() string {
	revision, built := "unknown", "devel"
	if info, ok := debug.ReadBuildInfo(); ok {
		stamped := false
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision, stamped = s.Value, true
			}
		}
		if info.Main.Version != "" && info.Main.Version != "(devel)" && !stamped {
			built = info.Main.Version
		}
	}
	if version != "" {
		built = version
	}
	return fmt.Sprintf("backupstorage emulator %s (revision %s, %s)", built, revision, runtime.Version())
}
