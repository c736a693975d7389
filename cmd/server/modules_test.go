package main

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors are the minimum versions of modules. Older versions of grpc and x/net are open to known attacks on HTTP/2.
var floors = map[string]string{
	"google.golang.org/grpc": "v1.83.2",
	"golang.org/x/net":       "v0.58.0",
}

func TestModulesAreNewEnough(t *testing.T) {
	if !slices.ContainsFunc(modules(t), func(m string) bool { return strings.HasPrefix(m, "google.golang.org/grpc ") }) {
		t.Error("grpc is not among the modules")
	}
}

// modules returns the modules that the server is built of, one "path version" each, and checks them against floors. It
// asks the go command, because a test binary has no build info of its dependencies.
func modules(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		path, version, _ := strings.Cut(line, " ")
		if floor, ok := floors[path]; ok && older(version, floor) {
			t.Errorf("%s is at %s, want at least %s", path, version, floor)
		}
	}
	return lines
}

// older reports whether a version is below the floor. Versions have the form v1.2.3.
func older(version, floor string) bool {
	a, b := numbers(version), numbers(floor)
	for i := range b {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func numbers(version string) (n [3]int) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	for i, part := range strings.SplitN(version, ".", 3) {
		n[i], _ = strconv.Atoi(part)
	}
	return n
}
