package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// generator makes the list of modules. It is no tool of go.mod: its own requirements would become the product's.
const generator = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// build builds a static server. Paths of this machine, the state of the checkout and the linker's own id would make the
// same source another binary.
func build(to string, o options) error {
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version="+o.version, "-o", to, "./cmd/server")
	return run(command, "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+o.arch, "GOFLAGS=")
}

// listModules writes the modules of a binary as CycloneDX. Without number and time the same binary gives the same list.
func listModules(binary, to string, o options) error {
	command := exec.Command("go", "run", generator, "bin", "-json", "-std", "-noserial", "-notimestamp", "-version", o.version, "-output", to, binary)
	return run(command, "GOFLAGS=")
}

func run(command *exec.Cmd, variables ...string) error {
	command.Env = append(os.Environ(), variables...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args[:3], " "), err, output)
	}
	return nil
}
