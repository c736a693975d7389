package main

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors are the versions below which known faults are: grpc and x/net because of attacks on HTTP/2.
var floors = map[string]string{
	"google.golang.org/grpc": "v1.83.2",
	"golang.org/x/net":       "v0.58.0",
}

func TestTheBinaryIsMadeOfModulesThatAreNewEnough(t *testing.T) {
	if !slices.ContainsFunc(oldest(t), func(m string) bool { return strings.HasPrefix(m, "google.golang.org/grpc ") }) {
		t.Error("grpc is not among the modules")
	}
}

// oldest checks the module versions that the server is built of, and returns them. A test binary has no build info of
// its dependencies, so the go command is asked.
func oldest(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		path, version, _ := strings.Cut(line, " ")
		if floor, ok := floors[path]; ok && older(version, floor) {
			t.Errorf("%s is at %s and must be at %s", path, version, floor)
		}
	}
	return lines
}

// older compares versions of the form v1.2.3.
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
