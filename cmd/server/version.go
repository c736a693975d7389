package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/m365backup/backupstorage/internal/admin"
)

// version is set by the linker when a release is built: -X main.version=v1.2.3.
var version string

// development is the version of a build of no release.
const development = "devel"

// buildVersion says which build this is: the version of the linker, else that of the module, as `go install` of a
// version has it. A version that Go makes of the state of a working copy is none, since builds of the same source
// without the repository would have another one.
func buildVersion() admin.Version {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

func versionOf(linked string, info *debug.BuildInfo) admin.Version {
	v := admin.Version{Version: linked, Revision: "unknown", GoVersion: runtime.Version()}
	if info == nil {
		info = new(debug.BuildInfo)
	}
	stamped := false
	for _, s := range info.Settings {
		stamped = stamped || strings.HasPrefix(s.Key, "vcs")
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	if module := info.Main.Version; v.Version == "" && !stamped && module != "(devel)" {
		v.Version = module
	}
	v.Version = cmp.Or(v.Version, development)
	return v
}

// userAgentOf names the product to Graph, in the form that Microsoft asks for.
func userAgentOf(version string) string {
	return "ISV|m365backup|backupstorage/" + strings.TrimPrefix(version, "v")
}

// buildVersionText is what --version prints.
func buildVersionText() string {
	v := buildVersion()
	return fmt.Sprintf("backupstorage server %s (revision %s, %s)", v.Version, v.Revision, v.GoVersion)
}
